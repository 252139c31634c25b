"""Load shedding in the proxy."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import httpx
import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from graphs.http.shedding import LIMIT_VARIABLE, LoadSheddingMiddleware

Ask = Callable[..., Awaitable[httpx.Response]]


class Application:
    """Responds to a request when ``release`` is set."""

    def __init__(self) -> None:
        self.started = 0
        self.release = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.started += 1
        await self.release.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"done"})


def client(app: ASGIApp) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://parley")


async def fill(application: Application, http: httpx.AsyncClient, count: int) -> list[asyncio.Task[httpx.Response]]:
    tasks = [asyncio.create_task(http.post("/chat")) for _ in range(count)]
    while application.started < count:  # noqa: ASYNC110
        await asyncio.sleep(0)
    return tasks


def test_rejects_a_request_above_the_limit_as_the_gateway_does() -> None:
    async def scenario() -> httpx.Response:
        application = Application()
        async with client(LoadSheddingMiddleware(application, limit=2)) as http:
            tasks = await fill(application, http, 2)
            refusal = await http.post("/chat", headers={"x-request-id": "mine"})
            application.release.set()
            assert [task.status_code for task in await asyncio.gather(*tasks)] == [200, 200]
            return refusal

    refusal = asyncio.run(scenario())
    assert refusal.status_code == 503
    assert refusal.json()["error"]["code"] == "overloaded"
    assert refusal.headers["retry-after"] == "2"
    assert refusal.headers["x-request-id"] == "mine"


def test_accepts_a_request_after_another_has_ended() -> None:
    async def scenario() -> int:
        application = Application()
        async with client(LoadSheddingMiddleware(application, limit=1)) as http:
            (task,) = await fill(application, http, 1)
            application.release.set()
            await task
            return (await http.post("/chat")).status_code

    assert asyncio.run(scenario()) == 200


@pytest.mark.parametrize(("method", "headers"), [("GET", {}), ("POST", {"origin": "https://example.org"})])
def test_passes_what_it_does_not_count(method: str, headers: dict[str, str]) -> None:
    async def scenario() -> int:
        application = Application()
        async with client(LoadSheddingMiddleware(application, limit=1)) as http:
            tasks = await fill(application, http, 1)
            tasks.append(asyncio.create_task(http.request(method, "/chat", headers=headers)))
            while application.started < 2:  # noqa: ASYNC110
                await asyncio.sleep(0)
            application.release.set()
            return (await asyncio.gather(*tasks))[1].status_code

    assert asyncio.run(scenario()) == 200


def test_does_not_count_a_response_that_its_client_does_not_read() -> None:
    async def scenario() -> int:
        application = Application()
        application.release.set()
        app = LoadSheddingMiddleware(application, limit=1)
        reading = asyncio.Event()

        async def slow_send(_: Message) -> None:
            await reading.wait()

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        scope = {"type": "http", "method": "POST", "path": "/chat", "headers": []}
        slow = asyncio.create_task(app(scope, receive, slow_send))
        await asyncio.sleep(0)
        async with client(app) as http:
            status = (await http.post("/chat")).status_code
        reading.set()
        await slow
        return status

    assert asyncio.run(scenario()) == 200


def test_has_no_limit_unless_the_environment_sets_one(monkeypatch: pytest.MonkeyPatch) -> None:
    async def statuses(count: int) -> list[int]:
        application = Application()
        async with client(LoadSheddingMiddleware(application)) as http:
            tasks = [asyncio.create_task(http.post("/chat")) for _ in range(count)]
            await asyncio.sleep(0.05)
            application.release.set()
            return sorted(task.status_code for task in await asyncio.gather(*tasks))

    assert asyncio.run(statuses(3)) == [200, 200, 200]
    monkeypatch.setenv(LIMIT_VARIABLE, "2")
    assert asyncio.run(statuses(3)) == [200, 200, 503]


def scope() -> Scope:
    return {"type": "http", "method": "POST", "path": "/chat", "headers": []}


class Client:
    """A client of the middleware: its body arrives after ``sends``, and it reads after ``reads``."""

    def __init__(self) -> None:
        self.sends, self.reads = asyncio.Event(), asyncio.Event()
        self.status = 0

    async def receive(self) -> Message:
        await self.sends.wait()
        return {"type": "http.request", "body": b""}

    async def send(self, message: Message) -> None:
        self.status = self.status or message["status"]
        await self.reads.wait()

    async def run(self, middleware: ASGIApp) -> int:
        await middleware(scope(), self.receive, self.send)
        return self.status


async def respond_after_body(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def test_a_request_whose_body_is_still_arriving_does_not_count() -> None:
    async def scenario() -> tuple[int, list[int]]:
        middleware = LoadSheddingMiddleware(respond_after_body, limit=1)
        slow = [Client() for _ in range(5)]
        tasks = [asyncio.create_task(client.run(middleware)) for client in slow]
        await settle()
        quick = Client()
        quick.sends.set()
        quick.reads.set()
        status = await quick.run(middleware)
        for client in slow:
            client.sends.set()
            client.reads.set()
        return status, [await task for task in tasks]

    assert asyncio.run(scenario()) == (200, [200] * 5)


def test_limits_the_responses_that_their_clients_do_not_read() -> None:
    async def scenario() -> list[int]:
        middleware = LoadSheddingMiddleware(respond_after_body, limit=2)
        clients = [Client() for _ in range(5)]
        tasks = []
        for client in clients:
            client.sends.set()
            tasks.append(asyncio.create_task(client.run(middleware)))
            await settle()
        for client in clients:
            client.reads.set()
        return [await task for task in tasks]

    assert asyncio.run(scenario()) == [200, 200, 200, 200, 503]
