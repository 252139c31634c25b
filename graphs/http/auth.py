"""API keys. Only their digests are kept; no key is ever logged or put into a response."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from deployments.errors import Unauthorized
from graphs.http import errors, page
from graphs.http.client_secrets import verified

ENVIRONMENT = "PARLEY_API_KEYS"
OPEN_PATHS = frozenset({"/health", "/health/live"}) | page.PATHS
MIN_CHARS = 16
KEY = "parley.key"  # the entry of a request's scope that holds the digest of its key
GRANT = "parley.grant"  # the entry of a WebSocket's scope that holds the grant of its client secret
KEY_PROTOCOL = "openai-insecure-api-key."  # a subprotocol with a key, as OpenAI's clients for browsers offer it
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
        return self.match_key(key.strip()) if scheme.lower() == "bearer" else None

    def match_key(self, key: str) -> str | None:
        """Return the digest of a key if it is valid, in constant time."""
        given = _digest(key)
        matches = [hmac.compare_digest(given, known) for known in self.digests]
        return given.hex() if any(matches) else None


class AuthMiddleware:
    """Passes requests with a valid key to ``app``; without keys, all requests.

    A WebSocket may have its key in a subprotocol, as browsers cannot set headers, and it may have a client secret in
    place of a key. A browser sends a WebSocket to any service that its user reaches, whatever page asks for it: without
    keys, only pages of the service itself and of ``origins`` may open one.
    """

    def __init__(self, app: ASGIApp, keys: ApiKeys, origins: Collection[str] = ()) -> None:
        self._app = app
        self._keys = keys
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._connect(scope, receive, send)
        elif not self._keys or scope["type"] == "lifespan" or scope["path"] in OPEN_PATHS:
            await self._app(scope, receive, send)
        elif key := self._keys.match(_authorization(scope)):
            await self._app({**scope, KEY: key}, receive, send)
        else:
            refusal = errors.response(Unauthorized("Send an API key of this service as Authorization: Bearer <key>."))
            refusal.headers["WWW-Authenticate"] = "Bearer"
            await refusal(scope, receive, send)

    async def _connect(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a WebSocket on, or refuse it before it is accepted, which its client sees as status 403."""
        credential = _credential(scope)
        if grant := verified(credential, self._keys.digests, time.time()):
            key = {KEY: grant.owner.hex()} if grant.owner else {}
            await self._app({**scope, **key, GRANT: grant}, receive, send)
        elif self._keys and (key_digest := self._keys.match_key(credential)):
            await self._app({**scope, KEY: key_digest}, receive, send)
        elif not self._keys and self._is_own_page(scope):
            await self._app(scope, receive, send)
        else:
            reason = "an API key is required" if self._keys else "this origin is not allowed"
            await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": reason})

    def _is_own_page(self, scope: Scope) -> bool:
        """Return whether the page that opens a WebSocket may do so. Other programs than browsers send no origin."""
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        if origin is None or origin in self._origins or "*" in self._origins:
            return True
        return origin.partition("://")[2] == headers.get("host")


def _authorization(scope: Scope) -> str:
    return Headers(scope=scope).get("authorization", "")


def _credential(scope: Scope) -> str:
    """Return the API key or client secret of a WebSocket, from its Authorization header or a subprotocol."""
    scheme, _, key = _authorization(scope).partition(" ")
    if scheme.lower() == "bearer":
        return key.strip()
    offered: list[str] = scope.get("subprotocols", [])
    return next((name.removeprefix(KEY_PROTOCOL) for name in offered if name.startswith(KEY_PROTOCOL)), "")


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
