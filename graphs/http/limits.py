"""How many requests come in at once, in all and by one key; the others are told at once when to come back.

What costs a model is counted: every POST and every socket. Counts are those of one gateway replica. Knows no route and
no key by name.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deployments.errors import Overloaded, ParleyError, RateLimited
from deployments.settings import GatewayConfig
from graphs.http.errors import answer, in_words
from graphs.http.turnstile import PLACES, QUESTION, Places

KEY = "parley.key"  # where the guard leaves in a request's scope which key it came with
TRY_AGAIN_LATER = 1013  # the code with which a socket is closed


class Admission:
    """Lets requests through to an application as the limits in force allow."""

    def __init__(
        self, app: ASGIApp, limits: Callable[[], GatewayConfig], clock_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._app = app
        self._limits = limits
        self._clock_s = clock_s
        self._name = os.urandom(8).hex()
        self._under_way = 0
        self._under_way_by_key: Counter[str | None] = Counter()
        self._under_way_by_door: Counter[str] = Counter()
        self._allowances: dict[str, _Allowance] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not _costs(scope):
            await self._app(scope, receive, send)
            return
        door, _, asks = _mark(scope).partition(" ")
        if door:
            send = self._telling(send, door)
        if asks == QUESTION:
            words = in_words(self._full())
            words.status_code = 200  # for Ray, which would count a failure
            await words(scope, receive, send)
            return
        key = scope.get(KEY)
        if refusal := self._refusal(key):
            await _refuse(refusal, scope, receive, send)
            return
        self._under_way += 1
        self._under_way_by_key[key] += 1
        self._under_way_by_door[door] += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._under_way -= 1
            self._under_way_by_key[key] -= 1
            self._under_way_by_door[door] -= 1
            if not self._under_way_by_door[door]:  # proxies come and go
                del self._under_way_by_door[door]

    def _telling(self, send: Send, door: str) -> Send:
        """``send``, and the door is told with the answer how many places are taken."""

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                mine = self._under_way_by_door[door]
                places = Places(self._name, mine, self._under_way - mine, self._limits().max_concurrent_requests)
                MutableHeaders(scope=message)[PLACES] = str(places)
            await send(message)

        return told

    def _full(self) -> Overloaded:
        return Overloaded("Every place is taken. Try again in a moment.", retry_after_s=self._limits().retry_after_s)

    def _refusal(self, key: str | None) -> ParleyError | None:
        """Why a request cannot come in now, if it cannot. A key's own limits count where there are keys."""
        limits = self._limits()
        if self._under_way >= limits.max_concurrent_requests:
            return self._full()
        if key is None:
            return None
        most = limits.max_concurrent_per_key
        if most is not None and self._under_way_by_key[key] >= most:
            return RateLimited(
                f"{most} requests with this key are under way, the most at once. Wait until one has ended.",
                retry_after_s=limits.retry_after_s,
            )
        per_minute = limits.requests_per_minute_per_key
        if per_minute is not None:
            allowance = self._allowances.setdefault(key, _Allowance(per_minute, self._clock_s()))
            if wait_s := allowance.take(per_minute, self._clock_s()):
                return RateLimited(
                    f"This key may ask {per_minute} times a minute. Try again in {wait_s:.1f} s.", retry_after_s=wait_s
                )
        return None


class _Allowance:
    """So many requests a minute: as many at once, and one more after each share of the minute."""

    def __init__(self, left: float, at_s: float) -> None:
        self._left = left
        self._at_s = at_s

    def take(self, per_minute: int, now_s: float) -> float:
        """0 when one may be taken now, and then it is; otherwise the seconds until there is one."""
        self._left = min(per_minute, self._left + (now_s - self._at_s) * per_minute / 60)
        self._at_s = now_s
        if self._left < 1:
            return (1 - self._left) * 60 / per_minute
        self._left -= 1
        return 0.0


def _costs(scope: Scope) -> bool:
    return bool(scope["type"] == "websocket" or scope["method"] == "POST")


def _mark(scope: Scope) -> str:
    """What the door by which a request came says of itself; nothing, where there is none."""
    return Headers(scope=scope).get(PLACES, "") if scope["type"] == "http" else ""


async def _refuse(refusal: ParleyError, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": TRY_AGAIN_LATER, "reason": refusal.message})
        return
    await answer(refusal)(scope, receive, send)
