"""In front of the Gateway: whoever comes while every place is taken is told so without its being asked.

In an overload most requests are refused, and each refusal by the Gateway costs a millisecond or two of the processor
that answers would need: nearly all of it is the way there and back. So what the Gateway said last is said again, in its
own words, for a moment: until somebody has left, or it is time to ask again. Runs where ``proxy`` does, in Ray's proxy
or before the Gateway's own server.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deployments.errors import Overloaded
from deployments.metrics import REFUSALS
from graphs.wire.body import REQUEST_ID, request_id

FULL = "x-parley-full"  # marks the refusal of a Gateway that has no place for anybody; taken off on the way out
HOLD_S = 0.5
"""So long a refusal is repeated, and as long again while one asks for all. Places that other front doors give back, and
new Gateways, are noticed so late."""

_REQUEST_ID = REQUEST_ID.encode()


@dataclass(slots=True)
class _Refusal:
    """What the Gateway said at ``said_s``, when ``inside`` others were let in; ``asked`` when it is asked again."""

    start: Message
    body: Message
    inside: int
    said_s: float
    asked: bool = False


class Turnstile:
    """Counts those inside, and lets no more in than there were when the Gateway last said that it was full."""

    def __init__(self, app: ASGIApp, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._app = app
        self._clock_s = clock_s
        self._inside = 0
        self._last: _Refusal | None = None
        self._repeated = 0  # and not yet in the metrics, since to count each would double its price

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":  # nothing else takes a place for long
            await self._app(scope, receive, send)
        elif (refusal := self._full()) and not _foreign(scope):
            await self._repeat(refusal, scope, send)
        else:
            await self._let_in(scope, receive, send)

    def _full(self) -> _Refusal | None:
        """The refusal to be repeated. When it is old, the first to come asks the Gateway and the others do not wait."""
        last = self._last
        if last is None or self._inside < last.inside:
            return None
        age_s = self._clock_s() - last.said_s
        if age_s < HOLD_S or (last.asked and age_s < 2 * HOLD_S):
            return last
        last.asked = True
        return None

    async def _let_in(self, scope: Scope, receive: Receive, send: Send) -> None:
        refused: Message | None = None

        async def pass_on(message: Message) -> None:
            nonlocal refused
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if FULL in headers:
                    del headers[FULL]
                    refused = None if _foreign(scope) else message
            elif refused and not message.get("more_body", False):
                self._last = _Refusal(_nameless(refused), message, self._inside - 1, self._clock_s())
            await send(message)

        self._inside += 1
        try:
            await self._app(scope, receive, pass_on)
        finally:
            self._inside -= 1

    async def _repeat(self, refusal: _Refusal, scope: Scope, send: Send) -> None:
        if not self._repeated:
            asyncio.get_running_loop().call_later(HOLD_S, self._count)
        self._repeated += 1
        headers = [*refusal.start["headers"], (_REQUEST_ID, request_id(Request(scope)).encode("latin-1"))]
        await send({**refusal.start, "headers": headers})
        await send(refusal.body)

    def _count(self) -> None:
        REFUSALS.record(self._repeated, reason=Overloaded.code)
        self._repeated = 0


def _foreign(scope: Scope) -> bool:
    """Whether another origin's page asks: what its browser must be told beside the refusal depends on the origin."""
    return any(name == b"origin" for name, _ in scope["headers"])


def _nameless(start: Message) -> Message:
    """Without the id of the request that was answered."""
    return {**start, "headers": [(name, value) for name, value in start["headers"] if name.lower() != _REQUEST_ID]}
