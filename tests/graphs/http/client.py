"""Requests for the tests of this folder: to an ASGI application, or as the Gateway's readers receive them."""

from __future__ import annotations

import asyncio
import atexit
from collections.abc import Mapping
from functools import cache
from typing import Any

import httpx
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope

from graphs.http.budget import ByteBudget
from graphs.http.media.sandbox import Sandbox

MEMORY_BYTES = 768 * 2**20


@cache
def sandbox() -> Sandbox:
    """Return the sandbox that all tests share; its processes start with the first call."""
    shared = Sandbox(2, memory_bytes=MEMORY_BYTES, cpu_s=20, timeout_s=60)
    atexit.register(shared.close)
    return shared


def budget(limit_bytes: int = 2**30) -> ByteBudget:
    """Return a budget that is large enough unless a test says otherwise."""
    return ByteBudget(limit_bytes, retry_after_s=2)


def send(app: ASGIApp, path: str = "/", method: str = "GET", headers: Any = None) -> httpx.Response:
    """Return the response of ``app``; its unhandled exceptions are responses with status 500."""

    async def respond() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://parley") as client:
            return await client.request(method, path, headers=headers)

    return asyncio.run(respond())


def received(path: str, chunk_bytes: int = 1000, **parts: Any) -> Request:
    """Return the POST request that httpx sends for ``parts``, its body in chunks of ``chunk_bytes``."""
    sent = httpx.Request("POST", f"http://parley{path}", **parts)
    body = sent.read()
    chunks = [body[i : i + chunk_bytes] for i in range(0, len(body), chunk_bytes)] or [b""]
    messages = iter(
        {"type": "http.request", "body": chunk, "more_body": i + 1 < len(chunks)} for i, chunk in enumerate(chunks)
    )

    async def receive() -> dict[str, Any]:
        return next(messages)

    headers = {name.lower(): value for name, value in sent.headers.raw}
    return post(receive, headers, path, sent.url.query)


def post(receive: Receive, headers: Mapping[bytes, bytes], path: str = "/", query: bytes = b"") -> Request:
    """Return a POST request whose body ``receive`` returns."""
    scope: Scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "query_string": query,
        "headers": list(headers.items()),
    }
    return Request(scope, receive)
