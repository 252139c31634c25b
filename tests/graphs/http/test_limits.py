"""Limits of concurrent requests and of requests per minute, overall and per API key. Does not start Ray."""

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

from graphs.http.auth import KEY
from graphs.http.limits import LimitsMiddleware
from graphs.settings import GatewayConfig


def with_key(app: ASGIApp) -> ASGIApp:
    """Put the header ``key`` of a request into its scope, where the real middleware puts the digest of its key."""

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        key = dict(scope["headers"]).get(b"key", b"").decode()
        await app(scope | ({KEY: key} if key else {}), receive, send)

    return call


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
        app = with_key(LimitsMiddleware(Starlette(routes=routes), lambda: self.limits, lambda: self.now_s))
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://parley")

    async def _slow(self, _: object) -> PlainTextResponse:
        self._started.release()
        await self._released.wait()
        return PlainTextResponse("done")

    async def _broken(self, _: object) -> PlainTextResponse:
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


def test_counts_and_refuses_websockets() -> None:
    async def receive_once(socket: WebSocket) -> None:
        await socket.accept()
        await socket.receive_text()
        await socket.close()

    app = Starlette(routes=[WebSocketRoute("/v1/realtime", receive_once)])
    client = TestClient(LimitsMiddleware(app, lambda: GatewayConfig(max_concurrent_requests=1)))
    with client.websocket_connect("/v1/realtime") as first:
        with pytest.raises(WebSocketDisconnect) as refused, client.websocket_connect("/v1/realtime"):
            pass
        first.send_text("bye")
    assert refused.value.code == 1013
