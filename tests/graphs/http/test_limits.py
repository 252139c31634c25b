"""Limits of concurrent requests and of requests per minute, overall and per API key. Does not start Ray."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from deployments.errors import ParleyError
from graphs.http import errors
from graphs.http.auth import KEY
from graphs.http.limits import Admissions, LimitsMiddleware
from graphs.settings import GatewayConfig


def with_key(app: ASGIApp) -> ASGIApp:
    """Put the header ``key`` of a request into its scope, where the real middleware puts the digest of its key."""

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        key = dict(scope["headers"]).get(b"key", b"").decode()
        await app(scope | ({KEY: key} if key else {}), receive, send)

    return call


async def error_response(_: Request, error: Exception) -> Response:
    assert isinstance(error, ParleyError)
    return errors.response(error)


class Service:
    """An application with limits, and a client of it. Requests to /slow end after ``release``."""

    def __init__(self, **limits: Any) -> None:
        self.limits = GatewayConfig(**limits)
        self.now_s = 0.0
        self._started = asyncio.Semaphore(0)
        self._released = asyncio.Event()
        routes = [
            Route("/slow", self._slow, methods=["POST"]),
            Route("/broken", self._broken, methods=["POST"]),
            Route("/health", self._health),
        ]
        application = Starlette(routes=routes, exception_handlers={ParleyError: error_response})
        self.middleware = LimitsMiddleware(application, Admissions(lambda: self.limits, lambda: self.now_s))
        transport = httpx.ASGITransport(with_key(self.middleware), raise_app_exceptions=False)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://parley")

    async def _slow(self, request: Request) -> PlainTextResponse:
        await request.body()
        self._started.release()
        await self._released.wait()
        return PlainTextResponse("done")

    async def _broken(self, request: Request) -> PlainTextResponse:
        await request.body()
        raise RuntimeError("a bug")

    async def _health(self, _: object) -> PlainTextResponse:
        return PlainTextResponse("ready")

    async def start(self, count: int, key: str = "") -> list[asyncio.Task[httpx.Response]]:
        """Return ``count`` more requests in progress."""
        tasks = [asyncio.create_task(self.post(key)) for _ in range(count)]
        for _ in range(count):
            await self._started.acquire()
        return tasks

    async def post(self, key: str = "") -> httpx.Response:
        return await self.client.post("/slow", headers={"key": key})

    def release(self) -> None:
        self._released.set()


def test_refuses_a_request_above_the_limit_with_retry_after() -> None:
    async def body() -> tuple[httpx.Response, list[int]]:
        service = Service(max_concurrent_requests=2, retry_after_s=7)
        tasks = await service.start(2)
        refused = await service.post()
        service.release()
        return refused, [(await task).status_code for task in tasks]

    refused, statuses = asyncio.run(body())
    assert statuses == [200, 200]
    assert refused.status_code == 503
    assert refused.headers["retry-after"] == "7"
    assert refused.json()["error"]["code"] == "overloaded"


def test_a_request_that_failed_or_was_cancelled_is_not_counted() -> None:
    async def body() -> list[int]:
        service = Service(max_concurrent_requests=1)
        first = await service.client.post("/broken")
        (task,) = await service.start(1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        service.release()
        return [first.status_code, (await service.post()).status_code]

    assert asyncio.run(body()) == [500, 200]


def test_health_is_not_limited() -> None:
    async def body() -> int:
        service = Service(max_concurrent_requests=1)
        await service.start(1)
        status = (await service.client.get("/health")).status_code
        service.release()
        return status

    assert asyncio.run(body()) == 200


def test_limits_the_concurrent_requests_of_each_key() -> None:
    async def body() -> tuple[httpx.Response, int, int]:
        service = Service(max_concurrent_per_key=1)
        (first,) = await service.start(1, "ann")
        refused = await service.post("ann")
        service.release()
        await first
        return refused, (await service.post("bob")).status_code, (await service.post("ann")).status_code

    refused, of_another_key, later = asyncio.run(body())
    assert refused.status_code == 429
    assert refused.json()["error"]["type"] == "rate_limit_error"
    assert int(refused.headers["retry-after"]) >= 1
    assert (of_another_key, later) == (200, 200)


def test_limits_the_requests_per_minute_of_each_key() -> None:
    async def body() -> list[Any]:
        service = Service(requests_per_minute_per_key=2)
        service.release()
        statuses: list[Any] = [(await service.post("ann")).status_code for _ in range(2)]
        refused = await service.post("ann")
        service.now_s += 29
        statuses += [refused.status_code, refused.headers["retry-after"], (await service.post("ann")).status_code]
        service.now_s += 1
        return [*statuses, (await service.post("ann")).status_code, (await service.post("bob")).status_code]

    assert asyncio.run(body()) == [200, 200, 429, "30", 429, 200, 200]


def test_without_api_keys_no_limit_per_key_applies() -> None:
    async def body() -> set[int]:
        service = Service(max_concurrent_per_key=1, requests_per_minute_per_key=1)
        service.release()
        return {response.status_code for response in await asyncio.gather(*(service.post() for _ in range(5)))}

    assert asyncio.run(body()) == {200}


def test_new_settings_apply_to_the_next_request() -> None:
    async def body() -> list[int]:
        service = Service(max_concurrent_requests=1)
        first = await service.start(1)
        before = await service.post()
        service.limits = GatewayConfig(max_concurrent_requests=2)
        second = await service.start(1)
        service.release()
        return [before.status_code, *[(await task).status_code for task in (*first, *second)]]

    assert asyncio.run(body()) == [503, 200, 200]


def test_an_open_websocket_is_not_a_request() -> None:
    async def receive_once(socket: WebSocket) -> None:
        await socket.accept()
        await socket.receive_text()
        await socket.close()

    app = Starlette(routes=[WebSocketRoute("/v1/realtime", receive_once)])
    client = TestClient(LimitsMiddleware(app, Admissions(lambda: GatewayConfig(max_concurrent_requests=1))))
    with client.websocket_connect("/v1/realtime") as first, client.websocket_connect("/v1/realtime") as second:
        first.send_text("bye")
        second.send_text("bye")


def test_a_response_of_a_session_counts_as_a_request() -> None:
    admissions = Admissions(lambda: GatewayConfig(max_concurrent_requests=1))
    admissions.enter(None)
    with pytest.raises(ParleyError, match="limit of concurrent requests"):
        admissions.announce(None)
    admissions.leave(None)
    admissions.announce(None)


# --- bodies that arrive slowly ----------------------------------------------------------------------------------------


class SlowBody:
    """A request whose body arrives when ``arrive`` is called."""

    def __init__(self, **limits: Any) -> None:
        self.now_s = 0.0
        self.processing_s = 0.0  # for each piece
        self.sent: list[Message] = []
        self._messages: asyncio.Queue[Message] = asyncio.Queue()
        self._limits = GatewayConfig(**limits)
        routes = [Route(path, self._read, methods=["POST"]) for path in ("/", "/v1/audio/transcriptions")]
        application = Starlette(routes=routes, exception_handlers={ParleyError: error_response})
        self.limits = LimitsMiddleware(application, Admissions(lambda: self._limits, lambda: self.now_s))

    async def _read(self, request: Request) -> PlainTextResponse:
        size_bytes = 0
        async for piece in request.stream():
            size_bytes += len(piece)
            self.now_s += self.processing_s
        return PlainTextResponse(str(size_bytes))

    def arrive(self, size_bytes: int, *, more: bool = True) -> None:
        self._messages.put_nowait({"type": "http.request", "body": b"x" * size_bytes, "more_body": more})

    async def run(self, path: str = "/") -> int:
        """Return the status of the response."""
        scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": []}
        await self.limits(scope, self._messages.get, self._send)
        return int(self.sent[0]["status"])

    async def _send(self, message: Message) -> None:
        self.sent.append(message)


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def test_refuses_a_body_that_does_not_arrive_within_the_grace_period() -> None:
    body = SlowBody(body_grace_s=0.05)
    assert asyncio.run(body.run()) == 408
    assert b"body_timeout" in body.sent[1]["body"]


def test_refuses_a_body_that_stalls_after_a_fast_start() -> None:
    body = SlowBody(body_grace_s=0.05)
    body.arrive(31 * 2**20)
    assert asyncio.run(asyncio.wait_for(body.run(), 5)) == 408


def test_refuses_a_body_whose_pauses_add_up_to_less_than_the_minimum_rate() -> None:
    async def run() -> int:
        body = SlowBody(body_grace_s=10, min_body_rate=100)
        task = asyncio.create_task(body.run())
        body.arrive(10_000)
        for _ in range(2):
            await settle()
            assert not task.done()
            body.now_s += 6
            body.arrive(1)
        return await task

    assert asyncio.run(asyncio.wait_for(run(), 5)) == 408


@pytest.mark.parametrize(("path", "duration_s"), [("/", 10), ("/v1/audio/transcriptions", 20)])
def test_refuses_a_body_that_takes_too_long_whatever_its_rate(path: str, duration_s: int) -> None:
    async def run() -> float:
        body = SlowBody(max_body_s=10, max_upload_s=20, min_body_rate=100)
        task = asyncio.create_task(body.run(path))
        await settle()
        while not task.done():
            body.now_s += 2
            body.arrive(10_000)
            await settle()
        assert await task == 408
        return body.now_s

    assert asyncio.run(asyncio.wait_for(run(), 5)) == duration_s


def test_the_time_that_the_service_takes_for_a_piece_of_a_body_does_not_count_in_its_rate() -> None:
    async def run() -> int:
        body = SlowBody(body_grace_s=10)
        body.processing_s = 20
        task = asyncio.create_task(body.run())
        for more in (True, True, False):
            await settle()
            body.arrive(5, more=more)
        return await task

    assert asyncio.run(run()) == 200


def test_refuses_a_body_below_the_minimum_rate() -> None:
    async def run() -> int:
        body = SlowBody(body_grace_s=10, min_body_rate=100)
        task = asyncio.create_task(body.run())
        for _ in range(6):  # 10 bytes every 2 s: 12 s after the start, 10.6 s were allowed
            await settle()
            assert not task.done()
            body.now_s += 2
            body.arrive(10)
        return await task

    assert asyncio.run(run()) == 408


def test_accepts_a_body_at_the_minimum_rate() -> None:
    async def run() -> tuple[int, bytes]:
        body = SlowBody(body_grace_s=10, min_body_rate=100)
        task = asyncio.create_task(body.run())
        for _ in range(60):
            await settle()
            body.now_s += 2
            body.arrive(200)
        body.arrive(0, more=False)
        return await task, body.sent[1]["body"]

    assert asyncio.run(run()) == (200, b"12000")


def test_a_request_does_not_count_while_its_body_arrives() -> None:
    async def run() -> tuple[int, list[int]]:
        first, second = SlowBody(max_concurrent_requests=1), SlowBody()
        second.limits = first.limits
        tasks = [asyncio.create_task(body.run()) for body in (first, second)]
        await settle()
        third = SlowBody()
        third.limits = first.limits
        third.arrive(5, more=False)
        status = await third.run()
        for body in (first, second):
            body.arrive(5, more=False)
        return status, [await task for task in tasks]

    assert asyncio.run(run()) == (200, [200, 200])


def test_refuses_a_request_whose_body_is_complete_when_the_limit_is_reached() -> None:
    async def run() -> list[int]:
        service = Service(max_concurrent_requests=1)
        body = SlowBody()
        body.limits = service.middleware
        waiting = asyncio.create_task(body.run("/slow"))
        await settle()
        tasks = await service.start(1)
        body.arrive(5, more=False)
        status = await waiting
        service.release()
        return [status, *[(await task).status_code for task in tasks]]

    assert asyncio.run(run()) == [503, 200]


def test_a_client_that_disconnects_in_its_body_is_not_counted() -> None:
    async def run() -> int:
        first, second = SlowBody(max_concurrent_requests=1), SlowBody()
        second.limits = first.limits
        first.arrive(5)
        first._messages.put_nowait({"type": "http.disconnect"})
        await asyncio.gather(first.run(), return_exceptions=True)
        second.arrive(5, more=False)
        return await second.run()

    assert asyncio.run(run()) == 200
