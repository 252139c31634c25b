"""The id of an answer's audio, which a client sends in a later request in place of the audio. Pure.

The id contains the transcript and its expiry. So the Gateway keeps no state, every replica can read it, and it remains
valid after a restart. It is neither secret nor signed: a client may put any text into an assistant's message anyway.
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib

from deployments.errors import InvalidRequest

_PREFIX = "audio_"
MAX_CHARS = 100_000  # of the decompressed content


def audio_id(transcript: str, expires_at: int) -> str:
    """Return an id that is valid until ``expires_at``, in seconds of Unix time."""
    packed = zlib.compress(json.dumps([expires_at, transcript]).encode(), 9)
    return _PREFIX + base64.urlsafe_b64encode(packed).decode().rstrip("=")


def transcript(name: str, now: float, param: str) -> str:
    """Return the transcript in an id. Raise ``InvalidRequest`` for one that has expired or that is malformed."""
    try:
        encoded = name.removeprefix(_PREFIX)
        packed = base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True)
        expander = zlib.decompressobj()
        expires_at, text = json.loads(expander.decompress(packed, MAX_CHARS))
        valid_until, text = float(expires_at), str(text)
        text.encode()
    except (binascii.Error, ValueError, zlib.error, TypeError, RecursionError, OverflowError):
        raise InvalidRequest("This audio id is not one of Parley's. Send the answer as text.", param=param) from None
    if not now < valid_until:
        raise InvalidRequest("This audio id has expired. Send the answer's transcript as text.", param=param)
    return text
