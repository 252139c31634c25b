"""Who comes in when places or a key's allowance run out, and what the others are told. No Ray is started."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from deployments.settings import GatewayConfig
from graphs.http.limits import KEY, Admission
from graphs.http.turnstile import PLACES, QUESTION, Places


def named(app: ASGIApp) -> ASGIApp:
    """As the guard does it: the key of a request stands in its scope."""

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        key = dict(scope["headers"]).get(b"key", b"").decode()
        await app(scope | ({KEY: key} if key else {}), receive, send)

    return call


class House:
    """An application behind the limits; what is asked of /slow waits until ``leave`` is called."""

    def __init__(self, **limits: Any) -> None:
        self.limits = GatewayConfig(**limits)
        self.now_s = 0.0
        self._entered = asyncio.Semaphore(0)
        self._open = asyncio.Event()
        routes = [
            Route("/slow", self.slow, methods=["POST"]),
            Route("/broken", self.broken, methods=["POST"]),
            Route("/health", self.quick),
        ]
        app = named(Admission(Starlette(routes=routes), lambda: self.limits, lambda: self.now_s))
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://parley")

    async def slow(self, _: object) -> PlainTextResponse:
        self._entered.release()
        await self._open.wait()
        return PlainTextResponse("done")

    async def broken(self, _: object) -> PlainTextResponse:
        raise RuntimeError("a fault")

    async def quick(self, _: object) -> PlainTextResponse:
        return PlainTextResponse("well")

    async def enter(self, count: int, key: str = "") -> list[asyncio.Task[httpx.Response]]:
        """So many more requests, once they are inside."""
        tasks = [asyncio.create_task(self.ask(key)) for _ in range(count)]
        for _ in range(count):
            await self._entered.acquire()
        return tasks

    async def ask(self, key: str = "") -> httpx.Response:
        return await self.client.post("/slow", headers={"key": key})

    def leave(self) -> None:
        self._open.set()


def test_beyond_the_places_a_client_is_told_when_to_come_back() -> None:
    async def body() -> tuple[httpx.Response, list[int]]:
        house = House(max_concurrent_requests=2, retry_after_s=7)
        tasks = await house.enter(2)
        refused = await house.ask()
        house.leave()
        return refused, [(await task).status_code for task in tasks]

    refused, statuses = asyncio.run(body())
    assert statuses == [200, 200]
    assert refused.status_code == 503
    assert refused.headers["retry-after"] == "7"
    assert refused.json()["error"]["code"] == "overloaded"


def told(response: httpx.Response) -> tuple[int, int, int]:
    """Places that guests by the same door have, those by others, and all."""
    places = Places.parse(response.headers[PLACES])
    return places.mine, places.others, places.in_all


def test_the_front_door_may_ask_what_a_full_house_says_without_taking_a_place() -> None:
    async def body() -> list[httpx.Response]:
        house = House(max_concurrent_requests=2, requests_per_minute_per_key=1)
        question = {PLACES: f"front {QUESTION}", "key": "ann"}
        responses = [await house.client.post("/slow", headers=question) for _ in range(2)]
        for key in ("ann", "bob"):
            await house.enter(1, key)
            responses.append(await house.client.post("/slow", headers=question))
        house.leave()
        return responses

    responses = asyncio.run(body())
    assert [told(response) for response in responses] == [(0, 0, 2), (0, 0, 2), (0, 1, 2), (0, 2, 2)]
    assert {(response.status_code, response.json()["error"]["code"]) for response in responses} == {(200, "overloaded")}
    assert {response.headers["retry-after"] for response in responses} == {"2"}


def test_every_answer_tells_the_door_how_many_places_its_guests_have_and_those_of_others() -> None:
    async def body() -> list[httpx.Response]:
        house = House(max_concurrent_requests=2)
        front = {PLACES: "front"}
        alone = await house.client.post("/broken", headers=front)
        await house.enter(1)
        second = await house.client.post("/broken", headers=front)
        await house.enter(1)
        refused = await house.client.post("/slow", headers=front)
        house.leave()
        return [alone, second, refused]

    assert [told(response) for response in asyncio.run(body())] == [(1, 0, 2), (1, 1, 2), (0, 2, 2)]


def test_without_a_door_nobody_is_told() -> None:
    async def body() -> tuple[httpx.Response, httpx.Response]:
        house = House(max_concurrent_requests=1)
        (first,) = await house.enter(1)
        refused = await house.ask()
        house.leave()
        return await first, refused

    for response in asyncio.run(body()):
        assert PLACES not in response.headers


def test_whoever_ended_makes_room_however_it_ended() -> None:
    async def body() -> list[int]:
        house = House(max_concurrent_requests=1)
        first = await house.client.post("/broken")
        (waiting,) = await house.enter(1)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        house.leave()
        return [first.status_code, (await house.ask()).status_code]

    assert asyncio.run(body()) == [500, 200]


def test_a_full_house_still_says_that_it_is_well() -> None:
    async def body() -> int:
        house = House(max_concurrent_requests=1)
        await house.enter(1)
        status = (await house.client.get("/health")).status_code
        house.leave()
        return status

    assert asyncio.run(body()) == 200


def test_a_key_has_its_own_places() -> None:
    async def body() -> tuple[httpx.Response, int, int]:
        house = House(max_concurrent_per_key=1)
        (first,) = await house.enter(1, "ann")
        refused = await house.ask("ann")
        house.leave()
        await first
        return refused, (await house.ask("bob")).status_code, (await house.ask("ann")).status_code

    refused, of_another, later = asyncio.run(body())
    assert refused.status_code == 429
    assert refused.json()["error"]["type"] == "rate_limit_error"
    assert int(refused.headers["retry-after"]) >= 1
    assert (of_another, later) == (200, 200)


def test_a_key_has_an_allowance_that_fills_up_again() -> None:
    async def body() -> list[Any]:
        house = House(requests_per_minute_per_key=2)
        house.leave()
        statuses: list[Any] = [(await house.ask("ann")).status_code for _ in range(2)]
        refused = await house.ask("ann")
        house.now_s += 29
        statuses += [refused.status_code, refused.headers["retry-after"], (await house.ask("ann")).status_code]
        house.now_s += 1
        return [*statuses, (await house.ask("ann")).status_code, (await house.ask("bob")).status_code]

    assert asyncio.run(body()) == [200, 200, 429, "30", 429, 200, 200]


def test_without_a_key_there_is_no_limit_of_one() -> None:
    async def body() -> set[int]:
        house = House(max_concurrent_per_key=1, requests_per_minute_per_key=1)
        house.leave()
        return {response.status_code for response in await asyncio.gather(*(house.ask() for _ in range(5)))}

    assert asyncio.run(body()) == {200}


def test_limits_change_while_it_serves() -> None:
    async def body() -> list[int]:
        house = House(max_concurrent_requests=1)
        first = await house.enter(1)
        before = await house.ask()
        house.limits = GatewayConfig(max_concurrent_requests=2)
        second = await house.enter(1)
        house.leave()
        return [before.status_code, *[(await task).status_code for task in (*first, *second)]]

    assert asyncio.run(body()) == [503, 200, 200]


def test_a_socket_takes_a_place_and_is_refused_one() -> None:
    async def talk(socket: WebSocket) -> None:
        await socket.accept()
        await socket.receive_text()
        await socket.close()

    app = Starlette(routes=[WebSocketRoute("/v1/realtime", talk)])
    client = TestClient(Admission(app, lambda: GatewayConfig(max_concurrent_requests=1)))
    with client.websocket_connect("/v1/realtime") as first:
        with pytest.raises(WebSocketDisconnect) as refused, client.websocket_connect("/v1/realtime"):
            pass
        first.send_text("bye")
    assert refused.value.code == 1013
