"""In front of the Gateway: whoever comes while every place is taken is told so without its being asked.

In an overload most requests are refused, and each refusal by the Gateway costs a millisecond or two of the processor
that answers would need: nearly all of it is the way there and back. So what the Gateway said last is said again, in its
own words, until somebody has left. Every half second the Gateway is asked how many places it has; no client waits for
what it says to that. Runs where ``proxy`` does, in Ray's proxy or before the Gateway's own server.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deployments.errors import Overloaded
from deployments.metrics import REFUSALS
from graphs.wire.body import REQUEST_ID, request_id

FREE = "x-parley-free"
"""On a request, it asks how many places are free and wants nothing else; on an answer, it says that. A refusal with 0,
which no client sees, holds for everybody."""
HOLD_S = 0.5
"""So long a refusal is repeated before the first to come lets the Gateway be asked again; after twice as long without
anybody, it is forgotten. Places that other front doors give back, and new Gateways, are noticed so late."""
SILENCE_S = 5.0
"""A Gateway that has not said by then how many places are free is passed everybody, until it refuses one."""

_OF_A_BODY = (b"content-length", b"content-type", b"transfer-encoding", b"expect")
_REQUEST_ID = REQUEST_ID.encode()


@dataclass(frozen=True, slots=True)
class _Refusal:
    """What the Gateway says when ``inside`` are let in; at ``said_s`` it was so."""

    start: Message
    body: Message
    inside: int
    said_s: float


class Turnstile:
    """Counts those inside, and lets no more in than there were when the Gateway last said that it was full."""

    def __init__(self, app: ASGIApp, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._app = app
        self._clock_s = clock_s
        self._inside = 0
        self._last: _Refusal | None = None
        self._question: asyncio.Task[None] | None = None  # under way
        self._repeated = 0  # and not yet in the metrics, since to count each would double its price

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":  # nothing else takes a place for long
            await self._app(scope, receive, send)
            return
        refusal = self._full()
        if refusal is None or _foreign(scope):
            await self._let_in(scope, receive, send)
            return
        if self._question or self._age_s(refusal) < HOLD_S:
            self._count()
        else:  # in the name of this one, whom the Gateway counts if it refuses
            self._question = asyncio.create_task(self._ask(_question(scope), refusal))
        await _repeat(refusal, scope, send)

    def _full(self) -> _Refusal | None:
        """The refusal to be repeated, if one holds."""
        last = self._last
        if last is None or self._inside < last.inside:
            return None
        return last if self._question or self._age_s(last) < 2 * HOLD_S else None

    def _age_s(self, refusal: _Refusal) -> float:
        return self._clock_s() - refusal.said_s

    async def _let_in(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._inside += 1
        try:
            await self._app(scope, receive, self._heard(scope, send, lambda: self._inside - 1))
        finally:
            self._inside -= 1

    async def _ask(self, question: Scope, last: _Refusal) -> None:
        """How many places the Gateway has free. If it does not say, the next ones are let in and ask it themselves."""
        inside = self._inside
        try:
            async with asyncio.timeout(SILENCE_S):
                heard = self._heard(question, _unsent, lambda: min(inside, self._inside))
                await self._app(question, _Nothing(), heard)
        except TimeoutError:
            pass
        finally:
            self._question = None
            if self._last is last:
                self._last = None

    def _heard(self, scope: Scope, send: Send, inside: Callable[[], int]) -> Send:
        """``send``, and what the Gateway says of its places is kept; ``inside`` tells how many others are let in."""
        refused: Message | None = None

        async def pass_on(message: Message) -> None:
            nonlocal refused
            if message["type"] == "http.response.start":
                free = _taken(message)
                if free == 0 and not _foreign(scope):
                    refused = message
                elif free and self._last:
                    self._last = replace(self._last, inside=inside() + free, said_s=self._clock_s())
            elif refused and not message.get("more_body", False):
                self._last = _Refusal(_nameless(refused), message, inside(), self._clock_s())
            await send(message)

        return pass_on

    def _count(self) -> None:
        if not self._repeated:
            asyncio.get_running_loop().call_later(HOLD_S, self._record)
        self._repeated += 1

    def _record(self) -> None:
        REFUSALS.record(self._repeated, reason=Overloaded.code)
        self._repeated = 0


class _Nothing:
    """``receive`` of a request without a body, whose client stays for the answer."""

    def __init__(self) -> None:
        self._taken = False

    async def __call__(self) -> Message:
        if self._taken:
            await asyncio.Event().wait()
        self._taken = True
        return {"type": "http.request", "body": b"", "more_body": False}


async def _unsent(_: Message) -> None:
    """``send`` to nobody."""


async def _repeat(refusal: _Refusal, scope: Scope, send: Send) -> None:
    headers = [*refusal.start["headers"], (_REQUEST_ID, request_id(Request(scope)).encode("latin-1"))]
    await send({**refusal.start, "headers": headers})
    await send(refusal.body)


def _question(scope: Scope) -> Scope:
    """How many places are free, instead of what was wanted."""
    headers = [(name, value) for name, value in scope["headers"] if name not in _OF_A_BODY]
    return {**scope, "headers": [*headers, (FREE.encode(), b"?")]}


def _taken(start: Message) -> int | None:
    """How many places are free, by the mark that is taken off."""
    headers = MutableHeaders(scope=start)
    if (free := headers.get(FREE)) is None:
        return None
    del headers[FREE]
    return int(free)


def _foreign(scope: Scope) -> bool:
    """Whether another origin's page asks: what its browser must be told beside the refusal depends on the origin."""
    return any(name == b"origin" for name, _ in scope["headers"])


def _nameless(start: Message) -> Message:
    """Without the id of the request that was answered."""
    return {**start, "headers": [(name, value) for name, value in start["headers"] if name.lower() != _REQUEST_ID]}
