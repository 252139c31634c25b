"""Limits of concurrent requests, overall and per API key, and of the time in which a body must arrive.

Every POST counts, as these use models, and so does every response of a WebSocket session; a session by itself does not.
A request counts from the end of its body on, so that a client with a slow connection occupies nothing; above a limit it
is refused at once. The counts are those of one Gateway replica.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deployments.errors import BodyTimeout, Overloaded, ParleyError, RateLimited
from graphs.http import errors
from graphs.http.auth import KEY
from graphs.http.server import UPLOAD_PATH
from graphs.settings import GatewayConfig


class Admissions:
    """The requests in progress, counted against the current settings."""

    def __init__(self, config: Callable[[], GatewayConfig], clock_s: Callable[[], float] = time.monotonic) -> None:
        """``config`` returns the current settings."""
        self.config = config
        self.clock_s = clock_s
        self._active = 0
        self._active_by_key: Counter[str | None] = Counter()
        self._buckets: dict[str, _TokenBucket] = {}

    def announce(self, key: str | None) -> None:
        """Count a request of ``key`` in its rate. Raise the refusal if a limit is reached.

        ``key`` is ``None`` where the service has no API keys.
        """
        self._check(key)
        per_minute = self.config().requests_per_minute_per_key
        if key is not None and per_minute is not None:
            bucket = self._buckets.setdefault(key, _TokenBucket(per_minute, self.clock_s()))
            if wait_s := bucket.take(per_minute, self.clock_s()):
                raise RateLimited(
                    f"This key's limit is {per_minute} requests per minute. Try again in {wait_s:.1f} s.",
                    retry_after_s=wait_s,
                )

    def enter(self, key: str | None) -> None:
        """Count a request as active. Raise the refusal if a limit is reached."""
        self._check(key)
        self._active += 1
        self._active_by_key[key] += 1

    def leave(self, key: str | None) -> None:
        """Stop counting a request that has entered."""
        self._active -= 1
        self._active_by_key[key] -= 1
        if not self._active_by_key[key]:
            del self._active_by_key[key]

    def _check(self, key: str | None) -> None:
        config = self.config()
        if self._active >= config.max_concurrent_requests:
            raise Overloaded(
                "The service has reached its limit of concurrent requests. Try again in a moment.",
                retry_after_s=config.retry_after_s,
            )
        limit = config.max_concurrent_per_key
        if key is not None and limit is not None and self._active_by_key[key] >= limit:
            raise RateLimited(
                f"This key has {limit} requests in progress, its limit. Wait until one has ended.",
                retry_after_s=config.retry_after_s,
            )


class LimitsMiddleware:
    """Passes requests to ``app`` within the limits."""

    def __init__(self, app: ASGIApp, admissions: Admissions) -> None:
        self._app = app
        self._admissions = admissions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        key = scope.get(KEY)
        try:
            self._admissions.announce(key)
        except ParleyError as refusal:
            await errors.response(refusal)(scope, receive, send)
            return
        entered = False

        def enter() -> None:
            nonlocal entered
            self._admissions.enter(key)
            entered = True

        try:
            config = self._admissions.config()
            max_s = config.max_upload_s if scope["path"].endswith(UPLOAD_PATH) else config.max_body_s
            body = _TimedBody(receive, config, max_s, enter, self._admissions.clock_s)
            await self._app(scope, body.receive, send)
        finally:
            if entered:
                self._admissions.leave(key)


class _TimedBody:
    """A request's body, which must arrive at a minimum rate and within ``max_s``. ``complete`` is called at its end.

    Only the time that is spent waiting for the client counts in the rate.
    """

    def __init__(
        self,
        receive: Receive,
        config: GatewayConfig,
        max_s: float,
        complete: Callable[[], None],
        clock_s: Callable[[], float],
    ) -> None:
        self._receive = receive
        self._config = config
        self._max_s = max_s
        self._complete = complete
        self._clock_s = clock_s
        self._started_s = clock_s()
        self._patience_s = config.body_grace_s  # never more, so that a fast start does not buy a long silence
        self._is_complete = False

    async def receive(self) -> Message:
        """Return the next message. Raise ``BodyTimeout`` if the body arrives too slowly."""
        if self._is_complete:
            return await self._receive()
        waiting_s = self._clock_s()
        left_s = self._started_s + self._max_s - waiting_s
        try:
            async with asyncio.timeout(max(0.0, min(self._patience_s, left_s))):
                message = await self._receive()
        except TimeoutError:
            raise self._too_slow() from None
        self._count(len(message.get("body", b"")), self._clock_s() - waiting_s)
        if message["type"] == "http.request" and not message.get("more_body", False):
            self._is_complete = True
            self._complete()
        return message

    def _count(self, size_bytes: int, waited_s: float) -> None:
        earned_s = size_bytes / self._config.min_body_rate
        self._patience_s = min(self._patience_s - waited_s + earned_s, self._config.body_grace_s)

    def _too_slow(self) -> BodyTimeout:
        config = self._config
        return BodyTimeout(
            f"The body arrives too slowly: it should not pause for {config.body_grace_s:g} s, arrive at "
            f"{config.min_body_rate:g} bytes per second or more, and be complete after {self._max_s:g} s."
        )


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
