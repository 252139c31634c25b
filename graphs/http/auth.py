"""API keys: who may ask. Only digests are kept, and no key is ever logged or told. Knows no route but the open ones."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from starlette.types import ASGIApp, Receive, Scope, Send

from deployments.errors import Unauthorized
from graphs.http.limits import KEY
from graphs.http.errors import answer

ENVIRONMENT = "PARLEY_API_KEYS"
OPEN_PATHS = frozenset({"/health"})
MIN_CHARS = 16


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys that open the service, as digests; none at all leave it open."""

    digests: tuple[bytes, ...] = ()

    @classmethod
    def load(cls, file: Path | None, environment: Mapping[str, str] = os.environ) -> Keys:
        """The keys of the environment (parted by commas or spaces) and of a file (one in each line).

        Raises ``ValueError``, without telling the key, for one that is too short to be secret, and for a file that
        holds none: a service that was to be closed is not left open.
        """
        named = re.split(r"[\s,]+", environment.get(ENVIRONMENT, ""))
        if file is not None:
            lines = [line.strip() for line in file.read_text().splitlines()]
            listed = [line for line in lines if line and not line.startswith("#")]
            if not listed:
                raise ValueError(f"there is no API key in {file}")
            named += listed
        keys = [key for key in named if key]
        if short := [key for key in keys if len(key) < MIN_CHARS]:
            raise ValueError(f"{len(short)} of the API keys have fewer than {MIN_CHARS} characters")
        return cls(tuple(map(_digest, keys)))

    def __bool__(self) -> bool:
        return bool(self.digests)

    def named_by(self, authorization: str) -> str | None:
        """The digest of the key in an Authorization header, if it is one of these. Takes the same time whichever."""
        scheme, _, key = authorization.partition(" ")
        given = _digest(key.strip())
        matches = [hmac.compare_digest(given, known) for known in self.digests]
        return given.hex() if scheme.lower() == "bearer" and any(matches) else None


class Guard:
    """Lets only those with a key through to an application; everybody where there are none."""

    def __init__(self, app: ASGIApp, keys: Keys) -> None:
        self._app = app
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._keys or scope["path"] in OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        if key := self._keys.named_by(_authorization(scope)):
            await self._app({**scope, KEY: key}, receive, send)
            return
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": "an API key is needed"})
            return
        response = answer(Unauthorized("Send an API key of this service as Authorization: Bearer <key>."))
        response.headers["WWW-Authenticate"] = "Bearer"
        await response(scope, receive, send)


def _authorization(scope: Scope) -> str:
    return next((value.decode("latin-1") for name, value in scope["headers"] if name == b"authorization"), "")


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
