"""API keys. Only their digests are kept; no key is ever logged or put into a response."""

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
from graphs.http import errors

ENVIRONMENT = "PARLEY_API_KEYS"
OPEN_PATHS = frozenset({"/health", "/health/live"})
MIN_CHARS = 16
KEY = "parley.key"  # the entry of a request's scope that holds the digest of its key
POLICY_VIOLATION = 1008  # close code of a WebSocket (RFC 6455)


@dataclass(frozen=True, slots=True)
class ApiKeys:
    """The digests of the valid keys. Without any, the service is open."""

    digests: tuple[bytes, ...] = ()

    @classmethod
    def load(cls, file: Path | None, environment: Mapping[str, str] = os.environ) -> ApiKeys:
        """Return the keys of the environment (separated by commas or spaces) and of a file (one per line).

        Raises ``ValueError``, without quoting the key, for one that is too short to be secret. Raises it also for a
        file, and for a variable that is set, without keys: a service that is meant to require keys must not start
        without them.
        """
        keys = [key for key in re.split(r"[\s,]+", environment.get(ENVIRONMENT, "")) if key]
        if ENVIRONMENT in environment and not keys:
            raise ValueError(f"{ENVIRONMENT} is set but has no API key; unset it to require none")
        if file is not None:
            lines = [line.strip() for line in file.read_text().splitlines()]
            listed = [line for line in lines if line and not line.startswith("#")]
            if not listed:
                raise ValueError(f"there is no API key in {file}")
            keys += listed
        if short := [key for key in keys if len(key) < MIN_CHARS]:
            raise ValueError(f"{len(short)} of the API keys have fewer than {MIN_CHARS} characters")
        return cls(tuple(map(_digest, keys)))

    def __bool__(self) -> bool:
        return bool(self.digests)

    def match(self, authorization: str) -> str | None:
        """Return the digest of the key in an Authorization header if it is valid, in constant time."""
        scheme, _, key = authorization.partition(" ")
        given = _digest(key.strip())
        matches = [hmac.compare_digest(given, known) for known in self.digests]
        return given.hex() if scheme.lower() == "bearer" and any(matches) else None


class AuthMiddleware:
    """Passes requests with a valid key to ``app``; without keys, all requests."""

    def __init__(self, app: ASGIApp, keys: ApiKeys) -> None:
        self._app = app
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._keys or scope["type"] == "lifespan" or scope["path"] in OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        if key := self._keys.match(_authorization(scope)):
            await self._app({**scope, KEY: key}, receive, send)
            return
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": "an API key is required"})
            return
        refusal = errors.response(Unauthorized("Send an API key of this service as Authorization: Bearer <key>."))
        refusal.headers["WWW-Authenticate"] = "Bearer"
        await refusal(scope, receive, send)


def _authorization(scope: Scope) -> str:
    return next((value.decode("latin-1") for name, value in scope["headers"] if name == b"authorization"), "")


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
