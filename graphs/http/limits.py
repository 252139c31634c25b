"""Limits of concurrent requests, overall and per API key. A request above a limit is refused at once.

Every POST and every WebSocket counts, because these use models. The counts are those of one Gateway replica.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

from starlette.types import ASGIApp, Receive, Scope, Send

from deployments.errors import Overloaded, ParleyError, RateLimited
from graphs.http import errors
from graphs.http.auth import KEY
from graphs.settings import GatewayConfig

TRY_AGAIN_LATER = 1013  # close code of a WebSocket (IANA registry)


class LimitsMiddleware:
    """Passes requests to ``app`` within the limits of the current settings."""

    def __init__(
        self, app: ASGIApp, config: Callable[[], GatewayConfig], clock_s: Callable[[], float] = time.monotonic
    ) -> None:
        """``config`` returns the current settings."""
        self._app = app
        self._config = config
        self._clock_s = clock_s
        self._active = 0
        self._active_by_key: Counter[str | None] = Counter()
        self._buckets: dict[str, _TokenBucket] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not _is_counted(scope):
            await self._app(scope, receive, send)
            return
        key = scope.get(KEY)
        if refusal := self._refusal(key):
            await _refuse(refusal, scope, receive, send)
            return
        self._active += 1
        self._active_by_key[key] += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._active -= 1
            self._active_by_key[key] -= 1

    def _refusal(self, key: str | None) -> ParleyError | None:
        """Return why a request is refused, or ``None``. ``key`` is ``None`` where the service has no API keys."""
        config = self._config()
        if self._active >= config.max_concurrent_requests:
            return Overloaded(
                "The service has reached its limit of concurrent requests. Try again in a moment.",
                retry_after_s=config.retry_after_s,
            )
        if key is None:
            return None
        limit = config.max_concurrent_per_key
        if limit is not None and self._active_by_key[key] >= limit:
            return RateLimited(
                f"This key has {limit} requests in progress, its limit. Wait until one has ended.",
                retry_after_s=config.retry_after_s,
            )
        per_minute = config.requests_per_minute_per_key
        if per_minute is not None:
            bucket = self._buckets.setdefault(key, _TokenBucket(per_minute, self._clock_s()))
            if wait_s := bucket.take(per_minute, self._clock_s()):
                return RateLimited(
                    f"This key's limit is {per_minute} requests per minute. Try again in {wait_s:.1f} s.",
                    retry_after_s=wait_s,
                )
        return None


class _TokenBucket:
    """A token bucket: its capacity is one minute's requests, and it refills at a constant rate."""

    def __init__(self, tokens: float, at_s: float) -> None:
        self._tokens = tokens
        self._at_s = at_s

    def take(self, per_minute: int, now_s: float) -> float:
        """Take a token and return 0; or return the seconds until there is one."""
        self._tokens = min(per_minute, self._tokens + (now_s - self._at_s) * per_minute / 60)
        self._at_s = now_s
        if self._tokens < 1:
            return (1 - self._tokens) * 60 / per_minute
        self._tokens -= 1
        return 0.0


def _is_counted(scope: Scope) -> bool:
    return bool(scope["type"] == "websocket" or (scope["type"] == "http" and scope["method"] == "POST"))


async def _refuse(refusal: ParleyError, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": TRY_AGAIN_LATER, "reason": refusal.message})
        return
    await errors.response(refusal)(scope, receive, send)
