"""The id of an answer's sound, which a client gives back in place of the sound. Pure.

The id holds what was said and until when it may be given back. So no gateway has to remember anything, every replica
can read it, and it outlives a restart. It is no secret and no proof: a client may write any answer it likes anyway.
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib

from deployments.errors import InvalidRequest

_PREFIX = "audio_"
MAX_CHARS = 100_000  # of what an id unpacks to


def audio_id(transcript: str, expires_at: int) -> str:
    """An id for what was said, good until ``expires_at`` in seconds of Unix time."""
    packed = zlib.compress(json.dumps([expires_at, transcript]).encode(), 9)
    return _PREFIX + base64.urlsafe_b64encode(packed).decode().rstrip("=")


def transcript(name: str, now: float, param: str) -> str:
    """What was said under an id. Raises ``InvalidRequest`` for one that has expired or that Parley never gave."""
    try:
        text = name.removeprefix(_PREFIX)
        packed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        expander = zlib.decompressobj()
        expires_at, said = json.loads(expander.decompress(packed, MAX_CHARS))
        good_until, said = float(expires_at), str(said)
        said.encode()
    except (binascii.Error, ValueError, zlib.error, TypeError, RecursionError, OverflowError):
        raise InvalidRequest("This audio id is none that Parley gave. Send the answer as text.", param=param) from None
    if not now < good_until:
        raise InvalidRequest("This audio id has expired. Send the answer's transcript as text.", param=param)
    return said
