"""Who is turned away in front of a full Gateway, without its being asked. No Ray is started."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from deployments.metrics import Metric
from graphs.wire import turnstile
from graphs.wire.turnstile import FREE, HOLD_S, Turnstile


class House:
    """A Gateway with ``places`` places; who is let in stays until ``let_one_go`` is called."""

    def __init__(self, places: int) -> None:
        self.places = places
        self.word = "full"
        self.asked = 0
        self.now_s = 0.0
        self.awake = asyncio.Event()
        self.awake.set()
        self._inside = 0
        self._entered, self._leave, self._left = (asyncio.Semaphore(0) for _ in range(3))
        app = Turnstile(self, clock_s=lambda: self.now_s)
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://parley")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.asked += 1
        response = await self._answer(Request(scope, receive))
        response.headers["X-Request-ID"] = f"its-own-{self.asked}"
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        if request.method == "GET":
            return PlainTextResponse("ready")
        await self.awake.wait()
        if FREE in request.headers and "authorization" in request.headers:
            return JSONResponse({"error": "unknown key"}, 401)
        if self._inside >= self.places:
            return JSONResponse({"error": self.word}, 503, {"Retry-After": "2", FREE: "0"})
        if FREE in request.headers:
            assert await request.body() == b""
            return Response(status_code=204, headers={FREE: str(self.places - self._inside)})
        self._inside += 1
        self._entered.release()
        await self._leave.acquire()
        self._inside -= 1
        return PlainTextResponse("done")

    async def enter(self) -> None:
        """One more is let in."""
        guest = asyncio.create_task(self.client.post("/chat"))
        guest.add_done_callback(lambda _: self._left.release())
        await self._entered.acquire()

    async def ask(self) -> str:
        """What one more, who has something to send, is refused with."""
        answer = await self.client.post("/chat", json={"text": "hello"})
        assert answer.status_code == 503
        return str(answer.json()["error"])

    async def let_one_go(self) -> None:
        """One of those inside has left."""
        self._leave.release()
        await self._left.acquire()


def in_a_full_house(visit: Callable[[House], Awaitable[None]]) -> None:
    """Visit a house of two places that is full and has said so once."""

    async def run() -> None:
        house = House(places=2)
        await house.enter()
        await house.enter()
        assert (await house.client.post("/chat")).status_code == 503
        await visit(house)
        await house.let_one_go()
        await house.let_one_go()

    asyncio.run(run())


def test_while_it_is_full_its_refusal_is_repeated_and_it_is_not_asked() -> None:
    async def visit(house: House) -> None:
        asked = house.asked
        answers = [await house.client.post("/chat") for _ in range(5)]
        assert house.asked == asked
        assert {(one.status_code, one.text, one.headers["retry-after"]) for one in answers} == {
            (503, '{"error":"full"}', "2")
        }

    in_a_full_house(visit)


def test_repeated_refusals_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[tuple[float, str]] = []
    monkeypatch.setattr(Metric, "record", lambda _, value, reason: counted.append((value, reason)))
    monkeypatch.setattr(turnstile, "HOLD_S", 0.01)

    async def visit(house: House) -> None:
        for _ in range(2):
            for _ in range(3):
                await house.ask()
            await asyncio.sleep(0.05)
        house.now_s += HOLD_S
        await house.ask()  # which the Gateway counts
        await asyncio.sleep(0.05)

    in_a_full_house(visit)
    assert counted == [(3, "overloaded"), (3, "overloaded")]


def test_each_refusal_has_an_id_of_its_own_or_the_clients() -> None:
    async def visit(house: House) -> None:
        first, second = [(await house.client.post("/chat")).headers.get_list("x-request-id") for _ in range(2)]
        assert len(first) == len(second) == 1
        assert first != second
        mine = await house.client.post("/chat", headers={"X-Request-Id": "mine"})
        assert mine.headers.get_list("x-request-id") == ["mine"]

    in_a_full_house(visit)


def test_who_comes_when_somebody_has_left_is_let_in_and_the_next_is_not() -> None:
    async def visit(house: House) -> None:
        await house.let_one_go()
        await house.enter()
        asked = house.asked
        assert (await house.client.post("/chat")).status_code == 503
        assert house.asked == asked

    in_a_full_house(visit)


def test_after_a_moment_it_is_asked_once_whether_that_still_holds() -> None:
    async def visit(house: House) -> None:
        asked = house.asked
        house.word = "still full"
        assert await house.ask() == "full"
        house.now_s += HOLD_S
        assert await house.ask() == "full"
        await asyncio.sleep(0.01)
        assert await house.ask() == "still full"
        assert house.asked == asked + 1

    in_a_full_house(visit)


def test_as_many_more_are_let_in_as_it_says_that_places_are_free() -> None:
    async def visit(house: House) -> None:
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

    in_a_full_house(visit)


def test_what_it_said_long_ago_does_not_count() -> None:
    async def visit(house: House) -> None:
        house.places += 1
        house.now_s += 2 * HOLD_S
        await house.enter()
        await house.let_one_go()

    in_a_full_house(visit)


def test_nobody_is_kept_waiting_while_it_thinks_about_it() -> None:
    async def visit(house: House) -> None:
        asked = house.asked
        house.awake.clear()
        house.now_s += HOLD_S
        assert [await house.ask() for _ in range(3)] == 3 * ["full"]
        house.now_s += HOLD_S
        assert await house.ask() == "full"
        await asyncio.sleep(0.01)
        assert house.asked == asked + 1
        house.awake.set()

    in_a_full_house(visit)


def test_when_it_does_not_say_everybody_is_let_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turnstile, "SILENCE_S", 0.02)

    async def visit(house: House) -> None:
        house.places += 1
        house.awake.clear()
        house.now_s += HOLD_S
        assert await house.ask() == "full"
        await asyncio.sleep(0.05)
        house.awake.set()
        await house.enter()
        await house.let_one_go()

    in_a_full_house(visit)


def test_the_question_of_an_unknown_key_teaches_nothing_and_the_next_one_asks() -> None:
    async def visit(house: House) -> None:
        house.now_s += HOLD_S
        stranger = await house.client.post("/chat", headers={"Authorization": "Bearer unknown"})
        assert stranger.status_code == 503
        await asyncio.sleep(0.01)
        asked = house.asked
        assert [await house.ask() for _ in range(2)] == 2 * ["full"]
        assert house.asked == asked + 1

    in_a_full_house(visit)


def test_what_takes_no_place_is_always_passed_on() -> None:
    async def visit(house: House) -> None:
        assert (await house.client.get("/health")).text == "ready"

    in_a_full_house(visit)


def test_the_page_of_another_origin_hears_the_gateway_itself() -> None:
    async def visit(house: House) -> None:
        asked = house.asked
        assert (await house.client.post("/chat", headers={"Origin": "https://a.example"})).status_code == 503
        assert house.asked == asked + 1

    in_a_full_house(visit)


@pytest.mark.parametrize("headers", [{}, {"Origin": "https://a.example"}])
def test_no_client_sees_the_mark(headers: dict[str, str]) -> None:
    async def visit(house: House) -> None:
        for _ in range(2):
            assert FREE not in (await house.client.post("/chat", headers=headers)).headers

    in_a_full_house(visit)


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
