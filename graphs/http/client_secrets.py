"""Client secrets: short-lived keys for browsers, each valid for live sessions of one API key's owner.

A secret contains what it grants, signed with the owner's key (HMAC, RFC 2104), so every Gateway replica can verify it,
and it is void once the key is removed. Pure; the clock is passed in.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from deployments.errors import TooLarge

PREFIX = "ek_"
MAX_CHARS = 16_384  # of a secret; a browser sends it in a header
MAX_SESSION_BYTES = 65_536
MIN_TTL_S, DEFAULT_TTL_S, MAX_TTL_S = 10, 600, 7200  # as OpenAI's

_LABEL = b"parley client secret"
_OPEN = b""  # the key where the service has no API keys: the signature protects nothing there


@dataclass(frozen=True, slots=True)
class Grant:
    """What a secret grants: sessions with the configuration ``session``. ``owner`` is the digest of an API key."""

    session: dict[str, Any]
    expires_at: int
    owner: bytes = _OPEN


def issue(grant: Grant) -> str:
    """Return the secret of a grant. Raise ``TooLarge`` for a configuration that fits no header."""
    content = json.dumps([grant.expires_at, grant.session], separators=(",", ":")).encode()
    if len(content) <= MAX_SESSION_BYTES:
        data = zlib.compress(content)
        secret = PREFIX + _encoded(data) + "." + _encoded(_signature(grant.owner, data))
        if len(secret) <= MAX_CHARS:
            return secret
    raise TooLarge(
        "This session is too large for a client secret. Send its instructions with session.update.", param="session"
    )


def verified(secret: str, owners: Iterable[bytes], now_s: float) -> Grant | None:
    """Return what a secret grants; ``None`` if it is forged, has expired, or its owner is not among ``owners``.

    Without owners the service is open, and only its secrets without an owner are valid.
    """
    if not secret.startswith(PREFIX) or len(secret) > MAX_CHARS:
        return None
    content, _, signature = secret.removeprefix(PREFIX).partition(".")
    try:
        data, given = _decoded(content), _decoded(signature)
    except (binascii.Error, ValueError):
        return None
    for owner in tuple(owners) or (_OPEN,):
        if hmac.compare_digest(_signature(owner, data), given):
            return _unpacked(data, owner, now_s)
    return None


def _unpacked(data: bytes, owner: bytes, now_s: float) -> Grant | None:
    try:
        content = zlib.decompressobj().decompress(data, MAX_SESSION_BYTES)  # an open service also gets forged ones
        expires_at, session = json.loads(content)
    except (zlib.error, ValueError, TypeError, RecursionError):
        return None
    if not isinstance(expires_at, int) or not isinstance(session, dict) or expires_at <= now_s:
        return None
    return Grant(session, expires_at, owner)


def _signature(owner: bytes, data: bytes) -> bytes:
    return hmac.digest(hashlib.sha256(_LABEL + owner).digest(), data, "sha256")


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
