"""In front of the Gateway: whoever comes while every place is taken is told so without its being asked.

In an overload most requests are refused, and each refusal by the Gateway costs a millisecond or two of the processor
that answers would need: nearly all of it is the way there and back, which is long while it decodes for those whom it
has just let in. So every Gateway says with every answer how many of its places are taken, and its words for a refusal
are kept, to be said again here. Runs where ``proxy`` does, in Ray's proxy or before the Gateway's own server.
"""

from __future__ import annotations

import asyncio
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self
from urllib.parse import quote

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deployments.errors import Overloaded
from deployments.metrics import REFUSALS
from graphs.http.body import REQUEST_ID, request_id

PLACES = "x-parley-places"
"""On a request, the name of the door by which it came, and with ``QUESTION`` behind it, that nothing is wanted but
``Places`` and the words of a refusal; on an answer, these places. No client sees it."""
QUESTION = "?"
HOLD_S = 0.5
"""While several are inside, and until its words are known, the Gateway is asked so often; after twice as long without a
word, what it said is old."""
SILENCE_S = 5.0
"""What the Gateway has not answered by then was not asked."""

_ID = REQUEST_ID.encode()
_PLACES = PLACES.encode()
_NOT_ASKED = (b"content-length", b"content-type", b"transfer-encoding", b"expect", b"origin", _ID)


@dataclass(frozen=True, slots=True)
class Places:
    """What a Gateway, by its name, says to a door of its places: how many that one's guests have, and those of all
    others, of how many."""

    gateway: str
    mine: int
    others: int
    in_all: int

    def __str__(self) -> str:
        return f"{self.gateway} {self.mine} {self.others} {self.in_all}"

    @classmethod
    def parse(cls, text: str) -> Self:
        gateway, *counts = text.split()
        return cls(gateway, *map(int, counts))

    @property
    def full(self) -> bool:
        return self.mine + self.others >= self.in_all


@dataclass(frozen=True, slots=True)
class _Words:
    """An answer to be said again."""

    start: Message
    body: Message


class House:
    """What is known of all Gateways behind a door, and from it how many guests may be inside by this door."""

    def __init__(self) -> None:
        self._gateways: dict[str, tuple[Places, float]] = {}
        self.most = math.inf
        self._told_s = -math.inf

    def told(self, places: Places, inside: int, now_s: float, *, reading: int = 0, turned_away: bool = False) -> None:
        """A Gateway has said something while ``inside`` were in by this door.

        Those whom no Gateway has are on the way there, or, as ``reading`` of them, slow to take an answer that left it.
        ``turned_away`` is somebody for whom there should have been room: Gateways not heard of lately may be gone.
        """
        if turned_away:
            self._gateways = {name: told for name, told in self._gateways.items() if now_s - told[1] < 2 * HOLD_S}
        self._gateways[places.gateway] = places, now_s
        known = [of_one for of_one, _ in self._gateways.values()]
        nowhere = max(0, inside - sum(of_one.mine for of_one in known))
        self.most = sum(of_one.in_all - of_one.others for of_one in known) + min(nowhere, reading)
        self._told_s = now_s

    def is_old(self, now_s: float) -> bool:
        """Whether what was said last is too long ago to count."""
        return now_s - self._told_s >= 2 * HOLD_S

    def recall(self, reading: int) -> None:
        """Of what was said long ago, only how many places there are still counts: a crowd may come in one instant.

        All ``reading`` of those inside may have left their Gateways by now.
        """
        if self._gateways:
            self.most = sum(of_one.in_all for of_one, _ in self._gateways.values()) + reading

    def forget(self) -> None:
        """Let everybody in until a Gateway says something."""
        self._gateways.clear()
        self.most = math.inf


class Turnstile:
    """Counts those inside, and lets no more in than the Gateways have places."""

    def __init__(self, app: ASGIApp, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._app = app
        self._clock_s = clock_s
        self._name = os.urandom(8).hex()
        self._inside = 0
        self._reading = 0  # of those inside; their client has to take something first
        self._house = House()
        self._words: _Words | None = None
        self._question: asyncio.Task[None] | None = None  # under way
        self._asked_s = -math.inf
        self._repeated = 0  # and not yet in the metrics, since to count each would double its price

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":  # nothing else takes a place for long
            await self._app(scope, receive, send)
            return
        now_s = self._clock_s()
        if self._question is None and self._house.is_old(now_s):
            self._house.recall(self._reading)
        words = self._words if self._inside >= self._house.most and not _foreign(scope) else None
        in_need = self._inside or words or not self._words
        if in_need and self._question is None and now_s - self._asked_s >= HOLD_S:
            self._asked_s = now_s
            self._question = asyncio.create_task(self._ask(scope))  # in this one's name, who does not wait
        if words:
            self._count()
            await _repeat(words, scope, send)
        else:
            await self._let_in(scope, receive, send)

    async def _let_in(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._inside += 1
        inside = True

        async def pass_on(message: Message) -> None:
            nonlocal inside
            if message["type"] == "http.response.start" and (places := _taken_off(message)):
                self._told(places, turned_away=message["status"] == Overloaded.status and places.full)
            elif inside and message["type"] == "http.response.body" and not message.get("more_body", False):
                inside = False  # its client may ask again before the way back is closed
                self._inside -= 1
            reading = inside
            self._reading += reading
            try:
                await send(message)
            finally:
                self._reading -= reading

        try:
            await self._app(_marked(scope, self._name), receive, pass_on)
        finally:
            self._inside -= inside

    async def _ask(self, scope: Scope) -> None:
        """For the words of a refusal, and how many places are taken."""
        start: Message = {}

        async def hear(message: Message) -> None:
            if message["type"] == "http.response.start" and (places := _taken_off(message)):
                self._told(places)
                start.update({**_nameless(message), "status": Overloaded.status})
            elif start and not message.get("more_body", False):
                self._words = _Words(start, message)

        try:
            async with asyncio.timeout(SILENCE_S):
                await self._app(_question(scope, self._name), _Nothing(), hear)
        except TimeoutError:
            self._house.forget()
        finally:
            self._question = None

    def _told(self, places: Places, *, turned_away: bool = False) -> None:
        self._house.told(places, self._inside, self._clock_s(), reading=self._reading, turned_away=turned_away)

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


async def _repeat(words: _Words, scope: Scope, send: Send) -> None:
    headers = [*words.start["headers"], (_ID, request_id(Request(scope)).encode("latin-1"))]
    await send({**words.start, "headers": headers})
    await send(words.body)


def _marked(scope: Scope, mark: str) -> Scope:
    """The request with our mark, and without a client's."""
    headers = [(name, value) for name, value in scope["headers"] if name != _PLACES]
    return {**scope, "headers": [*headers, (_PLACES, mark.encode())]}


def _question(scope: Scope, door: str) -> Scope:
    """How many places are taken, instead of what was wanted; a path without a route, for Ray's log and metrics."""
    headers = [(name, value) for name, value in scope["headers"] if name not in _NOT_ASKED]
    path = f"{scope['path']}/places"
    asked = {**scope, "path": path, "raw_path": quote(path).encode(), "query_string": b"", "headers": headers}
    return _marked(asked, f"{door} {QUESTION}")


def _taken_off(start: Message) -> Places | None:
    """What the Gateway says beside an answer, which no client sees."""
    headers = MutableHeaders(scope=start)
    if (said := headers.get(PLACES)) is None:
        return None
    del headers[PLACES]
    return Places.parse(said)


def _foreign(scope: Scope) -> bool:
    """Whether another origin's page asks: what its browser must be told beside the refusal depends on the origin."""
    return any(name == b"origin" for name, _ in scope["headers"])


def _nameless(start: Message) -> Message:
    """Without the id of the request that was answered."""
    return {**start, "headers": [(name, value) for name, value in start["headers"] if name.lower() != _ID]}
