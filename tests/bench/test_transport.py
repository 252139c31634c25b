"""The connections of a client with many concurrent requests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from bench.client import Request, connect, post_chat

REJECTION = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 2\r\nContent-Length: 4\r\n\r\nfull"


class Server:
    """Sends ``response`` after 10 ms to every request; counts connections and keeps the bodies of requests."""

    def __init__(self, response: bytes = REJECTION) -> None:
        self.response = response
        self.connections = 0
        self.bodies: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while head := await self._head(reader):
            length = next(
                int(line.split(b":")[1]) for line in head.splitlines() if line.lower().startswith(b"content-l")
            )
            self.bodies.append(await reader.readexactly(length))
            await asyncio.sleep(0.01)
            writer.write(self.response)
        writer.close()

    async def _head(self, reader: asyncio.StreamReader) -> bytes:
        try:
            return await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            return b""


@asynccontextmanager
async def connected(server: Server) -> AsyncIterator[httpx.AsyncClient]:
    tcp_server = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{tcp_server.sockets[0].getsockname()[1]}"
    async with tcp_server, connect(url) as client:
        yield client


def test_reuses_idle_connections_and_opens_one_per_concurrent_request() -> None:
    server = Server()

    async def body() -> list[int]:
        counts = []
        async with connected(server) as client:
            for concurrency in (1, 1, 3, 3, 2):
                posts = (post_chat(client, Request("text", text="hi")) for _ in range(concurrency))
                responses = await asyncio.gather(*posts)
                assert {(one.status, one.text, one.retry_after) for one in responses} == {(503, "full", "2")}
                counts.append(server.connections)
        return counts

    assert asyncio.run(body()) == [1, 1, 3, 3, 3]


def test_a_repeated_request_sends_the_same_body() -> None:
    server = Server()

    async def body() -> None:
        async with connected(server) as client:
            for _ in range(2):
                await post_chat(client, Request("voice", audio=b"RIFF" * 50_000))

    asyncio.run(body())
    first, second = server.bodies
    assert first == second
    assert b"RIFF" * 50_000 in first


def test_does_not_reuse_a_broken_connection() -> None:
    server = Server(response=b"nonsense\r\n\r\n")

    async def body() -> None:
        async with connected(server) as client:
            with pytest.raises(httpx.HTTPError):
                await post_chat(client, Request("text", text="hi"))
            server.response = REJECTION
            assert (await post_chat(client, Request("text", text="hi"))).status == 503

    asyncio.run(body())
    assert server.connections == 2
