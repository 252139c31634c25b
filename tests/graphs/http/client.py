"""Requests for the tests of this folder: to an ASGI application, or as the Gateway's readers receive them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import httpx
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope


def send(app: ASGIApp, path: str = "/", method: str = "GET") -> httpx.Response:
    """Return the response of ``app``; its unhandled exceptions are responses with status 500."""

    async def respond() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://parley") as client:
            return await client.request(method, path)

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
