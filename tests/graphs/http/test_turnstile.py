"""Who is turned away in front of a full Gateway, without its being asked. No Ray is started."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import Message, Receive, Scope, Send

from deployments.metrics import Metric
from graphs.http import turnstile
from graphs.http.turnstile import HOLD_S, PLACES, QUESTION, House, Places, Turnstile


class Gateway:
    """A Gateway with ``places`` places; who is let in stays until ``let_one_go`` is called."""

    def __init__(self, places: int) -> None:
        self.places = places
        self.name = "first"
        self.word = "full"
        self.asked = 0
        self.doors: set[str] = set()
        self.now_s = 0.0
        self.awake, self.way_back = asyncio.Event(), asyncio.Event()
        self.awake.set()
        self.way_back.set()
        self._inside = 0
        self._entered, self._leave, self._left = (asyncio.Semaphore(0) for _ in range(3))
        self.door = Turnstile(self, clock_s=lambda: self.now_s)
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(self.door), base_url="http://parley")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.asked += 1
        response = await self._answer(Request(scope, receive))
        response.headers["X-Request-ID"] = f"its-own-{self.asked}"
        await response(scope, receive, send)
        if response.status_code == 200:
            await self.way_back.wait()

    async def _answer(self, request: Request) -> Response:
        if request.method == "GET":
            return PlainTextResponse("ready")
        self.doors.add(request.headers[PLACES].split()[0])
        if request.headers[PLACES].endswith(QUESTION):
            await self.awake.wait()
            assert (request.url.path, request.url.query, await request.body()) == ("/chat/places", "", b"")
            if "authorization" in request.headers:
                return JSONResponse({"error": "unknown key"}, 401)
            return self._words(200)
        if self._inside < self.places:
            self._inside += 1
            self._entered.release()
            await self._leave.acquire()
            said = self._said()
            self._inside -= 1
            return PlainTextResponse("done", headers=said)
        return self._words(503)

    def _words(self, status: int) -> Response:
        return JSONResponse({"error": self.word}, status, {"Retry-After": "2", **self._said()})

    def _said(self) -> dict[str, str]:
        return {PLACES: str(Places(self.name, self._inside, 0, self.places))}

    async def enter(self) -> None:
        """One more is let in."""
        guest = asyncio.create_task(self.client.post("/chat"))
        guest.add_done_callback(lambda _: self._left.release())
        await self._entered.acquire()

    async def enter_slowly(self, may_read: asyncio.Event) -> asyncio.Task[None]:
        """One more is let in, who takes nothing of his answer before he may."""

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(_: Message) -> None:
            await may_read.wait()

        scope = {"type": "http", "method": "POST", "path": "/chat", "query_string": b"", "headers": []}
        guest = asyncio.create_task(self.door(scope, receive, send))
        await self._entered.acquire()
        return guest

    async def ask(self) -> str:
        """What one more, who has something to send, is refused with."""
        answer = await self.client.post("/chat", json={"text": "hello"})
        assert answer.status_code == 503
        return str(answer.json()["error"])

    def answer_one(self) -> None:
        """One of those inside gives his place back; whether his client takes the answer is another matter."""
        self._leave.release()

    async def let_one_go(self) -> None:
        """One of those inside has left."""
        self.answer_one()
        await self._left.acquire()


def behind_the_door(visit: Callable[[Gateway], Awaitable[None]], *, inside: int = 2) -> None:
    """Visit a Gateway of two places that has said so when the second came, and which is full unless fewer came."""

    async def run() -> None:
        house = Gateway(places=2)
        for _ in range(inside):
            await house.enter()
        await asyncio.sleep(0.01)
        await visit(house)
        for _ in range(inside):
            await house.let_one_go()

    asyncio.run(run())


def test_who_comes_when_it_is_full_hears_its_words_though_it_has_refused_nobody() -> None:
    async def visit(house: Gateway) -> None:
        asked = house.asked
        answers = [await house.client.post("/chat") for _ in range(5)]
        assert house.asked == asked
        assert {(one.status_code, one.text, one.headers["retry-after"]) for one in answers} == {
            (503, '{"error":"full"}', "2")
        }

    behind_the_door(visit)


def test_repeated_refusals_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[tuple[float, str]] = []
    monkeypatch.setattr(Metric, "record", lambda _, value, reason: counted.append((value, reason)))
    monkeypatch.setattr(turnstile, "HOLD_S", 0.01)

    async def visit(house: Gateway) -> None:
        for _ in range(2):
            for _ in range(3):
                await house.ask()
            await asyncio.sleep(0.05)
        await house.client.post("/chat", headers={"Origin": "https://elsewhere"})  # which the Gateway counts
        await asyncio.sleep(0.05)

    behind_the_door(visit)
    assert counted == [(3, "overloaded"), (3, "overloaded")]


def test_each_refusal_has_an_id_of_its_own_or_the_clients() -> None:
    async def visit(house: Gateway) -> None:
        first, second = [(await house.client.post("/chat")).headers.get_list("x-request-id") for _ in range(2)]
        assert len(first) == len(second) == 1
        assert first != second
        mine = await house.client.post("/chat", headers={"X-Request-Id": "mine"})
        assert mine.headers.get_list("x-request-id") == ["mine"]

    behind_the_door(visit)


def test_who_comes_when_somebody_has_left_is_let_in_and_the_next_is_not() -> None:
    async def visit(house: Gateway) -> None:
        await house.let_one_go()
        await house.enter()
        asked = house.asked
        assert (await house.client.post("/chat")).status_code == 503
        assert house.asked == asked

    behind_the_door(visit)


def test_after_a_moment_it_is_asked_once_whether_that_still_holds() -> None:
    async def visit(house: Gateway) -> None:
        asked = house.asked
        house.word = "still full"
        assert await house.ask() == "full"
        house.now_s += HOLD_S
        assert await house.ask() == "full"
        await asyncio.sleep(0.01)
        assert await house.ask() == "still full"
        assert house.asked == asked + 1

    behind_the_door(visit)


def test_as_many_more_are_let_in_as_it_says_that_places_are_free() -> None:
    async def visit(house: Gateway) -> None:
        house.places += 2  # another Gateway, or a limit that was raised
        assert await house.ask() == "full"
        house.now_s += HOLD_S
        assert await house.ask() == "full"
        await asyncio.sleep(0.01)
        await house.enter()
        await house.enter()
        asked = house.asked
        assert await house.ask() == "full"
        assert house.asked == asked
        for _ in range(2):
            await house.let_one_go()

    behind_the_door(visit)


def test_a_crowd_after_a_silence_is_told_at_once_who_is_too_many() -> None:
    async def visit(house: Gateway) -> None:
        await house.enter()
        await asyncio.sleep(0.01)
        await house.let_one_go()
        house.now_s += 10
        house.awake.clear()
        asked = house.asked
        for _ in range(2):
            await house.enter()
        assert await asyncio.gather(*(house.ask() for _ in range(20))) == 20 * ["full"]
        assert house.asked == asked + 3  # the two, and a question that it has not answered yet
        house.awake.set()
        for _ in range(2):
            await house.let_one_go()

    behind_the_door(visit, inside=0)


def test_nobody_is_kept_waiting_while_it_thinks_about_it() -> None:
    async def visit(house: Gateway) -> None:
        asked = house.asked
        house.awake.clear()
        house.now_s += HOLD_S
        assert [await house.ask() for _ in range(3)] == 3 * ["full"]
        house.now_s += HOLD_S
        assert await house.ask() == "full"
        await asyncio.sleep(0.01)
        assert house.asked == asked + 1
        house.awake.set()

    behind_the_door(visit)


def test_when_it_does_not_say_everybody_is_let_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turnstile, "SILENCE_S", 0.02)

    async def visit(house: Gateway) -> None:
        house.places += 1
        house.awake.clear()
        house.now_s += HOLD_S
        assert await house.ask() == "full"
        await asyncio.sleep(0.05)
        house.awake.set()
        await house.enter()
        await house.let_one_go()

    behind_the_door(visit)


def test_the_question_of_an_unknown_key_teaches_nothing_and_half_a_second_later_another_asks() -> None:
    async def visit(house: Gateway) -> None:
        house.now_s += HOLD_S
        stranger = await house.client.post("/chat", headers={"Authorization": "Bearer unknown"})
        assert stranger.status_code == 503
        await asyncio.sleep(0.01)
        asked = house.asked
        assert await house.ask() == "full"
        assert house.asked == asked
        house.now_s += HOLD_S
        house.word = "still full"
        assert await house.ask() == "full"
        await asyncio.sleep(0.01)
        assert [await house.ask() for _ in range(2)] == 2 * ["still full"]
        assert house.asked == asked + 1

    behind_the_door(visit)


def test_what_takes_no_place_is_always_passed_on() -> None:
    async def visit(house: Gateway) -> None:
        assert (await house.client.get("/health")).text == "ready"

    behind_the_door(visit)


def test_the_page_of_another_origin_hears_the_gateway_itself() -> None:
    async def visit(house: Gateway) -> None:
        asked = house.asked
        assert (await house.client.post("/chat", headers={"Origin": "https://a.example"})).status_code == 503
        assert house.asked == asked + 1

    behind_the_door(visit)


@pytest.mark.parametrize("headers", [{}, {"Origin": "https://a.example"}])
def test_no_client_sees_the_mark(headers: dict[str, str]) -> None:
    async def visit(house: Gateway) -> None:
        for _ in range(2):
            assert PLACES not in (await house.client.post("/chat", headers=headers)).headers

    behind_the_door(visit)


def test_another_refusal_is_not_repeated() -> None:
    async def run() -> None:
        asked = 0

        async def one_model_is_full(scope: Scope, receive: Receive, send: Send) -> None:
            nonlocal asked
            asked += 1
            await JSONResponse({}, 503)(scope, receive, send)

        transport = httpx.ASGITransport(Turnstile(one_model_is_full))
        async with httpx.AsyncClient(transport=transport, base_url="http://parley") as client:
            for _ in range(3):
                await client.post("/chat")
        assert asked == 3

    asyncio.run(run())


def test_one_at_a_time_it_is_asked_for_its_words_and_then_no_more() -> None:
    async def visit(house: Gateway) -> None:
        for _ in range(3):
            await house.enter()
            await house.let_one_go()
            house.now_s += HOLD_S
        assert house.asked == 3 + 1

    behind_the_door(visit, inside=0)


def test_every_answer_tells_how_many_more_may_come_in() -> None:
    async def visit(house: Gateway) -> None:
        house.places = 3
        await house.let_one_go()
        await house.enter()
        await house.enter()
        asked = house.asked
        assert await house.ask() == "full"
        assert house.asked == asked
        await house.let_one_go()

    behind_the_door(visit)


def test_who_is_slow_to_take_his_answer_has_no_place_any_more() -> None:
    async def visit(house: Gateway) -> None:
        may_read = asyncio.Event()
        slow = [await house.enter_slowly(may_read) for _ in range(2)]
        assert await house.ask() == "full"
        await asyncio.sleep(0.01)
        for _ in slow:
            house.answer_one()
        house.now_s += HOLD_S
        assert await house.ask() == "full"  # since nobody has said otherwise yet
        await asyncio.sleep(0.01)
        for _ in slow:
            await house.enter()
        assert await house.ask() == "full"
        may_read.set()
        await asyncio.gather(*slow)
        for _ in slow:
            await house.let_one_go()

    behind_the_door(visit, inside=0)


def test_a_door_has_one_name_which_no_client_gives_it() -> None:
    async def visit(house: Gateway) -> None:
        house.doors.clear()
        for headers in ({}, {PLACES: "another"}, {PLACES: f"another {QUESTION}"}):
            house.now_s += 2 * HOLD_S
            assert (await house.client.post("/chat", headers=headers)).status_code == 503
            await asyncio.sleep(0.01)
        assert len(house.doors) == 1
        assert house.doors != {"another"}

    behind_the_door(visit)


def test_who_has_all_of_his_answer_is_no_longer_inside() -> None:
    async def visit(house: Gateway) -> None:
        may_read = asyncio.Event()
        may_read.set()
        guests = [await house.enter_slowly(may_read) for _ in range(2)]
        await asyncio.sleep(0.01)
        assert await house.ask() == "full"
        house.way_back.clear()
        for _ in guests:
            house.answer_one()
        await asyncio.sleep(0.01)
        for _ in guests:
            await house.enter()
        house.way_back.set()
        await asyncio.gather(*guests)
        for _ in guests:
            await house.let_one_go()

    behind_the_door(visit, inside=0)


def house_of(*said: Places) -> House:
    """After Gateways have said something, when nobody was inside who has left them."""
    house = House()
    for places in said:
        house.told(places, 0, now_s=0)
    return house


def test_the_places_of_all_gateways_count() -> None:
    assert house_of(Places("a", 2, 0, 4), Places("b", 1, 0, 4)).most == 8
    assert house_of(Places("a", 4, 0, 4), Places("b", 0, 0, 4), Places("b", 4, 0, 4)).most == 8


def test_guests_of_other_doors_have_taken_their_places() -> None:
    assert house_of(Places("a", 1, 2, 4)).most == 2
    assert house_of(Places("a", 0, 4, 4)).most == 0
    assert house_of(Places("a", 0, 4, 4), Places("b", 1, 1, 4)).most == 3


@pytest.mark.parametrize(("inside", "reading", "most"), [(3, 0, 4), (3, 1, 5), (3, 2, 6), (3, 3, 6), (1, 1, 4)])
def test_who_may_have_left_the_gateway_keeps_nobody_out(inside: int, reading: int, most: int) -> None:
    house = House()
    house.told(Places("a", 1, 0, 4), inside, now_s=0, reading=reading)
    assert house.most == most


@pytest.mark.parametrize(("silent_s", "most"), [(HOLD_S, 6), (2 * HOLD_S, 4)])
def test_when_one_is_full_too_early_those_that_were_silent_are_forgotten(silent_s: float, most: int) -> None:
    house = house_of(Places("gone", 0, 0, 2))
    house.told(Places("a", 4, 0, 4), 4, now_s=silent_s, turned_away=True)
    assert house.most == most


@pytest.mark.parametrize(("reading", "most"), [(0, 8), (3, 11)])
def test_of_what_was_said_long_ago_only_the_number_of_places_counts(reading: int, most: int) -> None:
    house = house_of(Places("a", 1, 3, 4), Places("b", 0, 4, 4))
    house.recall(reading)
    assert house.most == most


def test_before_anything_was_said_everybody_is_let_in() -> None:
    house = House()
    house.recall(0)
    assert house.most == math.inf


def test_a_limit_that_was_lowered_lets_nobody_in_until_there_is_room() -> None:
    assert house_of(Places("a", 6, 0, 4)).most == 4
