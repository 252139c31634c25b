"""The connections of a client that asks much at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from bench.client import Request, ask, connect

REFUSAL = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 2\r\nContent-Length: 4\r\n\r\nfull"


class Server:
    """Refuses every call, after a moment; ``connections`` counts those that were made, ``bodies`` what was sent."""

    def __init__(self, answer: bytes = REFUSAL) -> None:
        self.answer = answer
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
            writer.write(self.answer)
        writer.close()

    async def _head(self, reader: asyncio.StreamReader) -> bytes:
        try:
            return await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            return b""


@asynccontextmanager
async def served(server: Server) -> AsyncIterator[httpx.AsyncClient]:
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    async with listening, connect(url) as client:
        yield client


def test_a_connection_is_used_again_and_each_request_under_way_has_its_own() -> None:
    server = Server()

    async def body() -> list[int]:
        counts = []
        async with served(server) as client:
            for at_once in (1, 1, 3, 3, 2):
                answers = await asyncio.gather(*(ask(client, Request("text", text="hi")) for _ in range(at_once)))
                assert {(answer.status, answer.text, answer.retry_after) for answer in answers} == {(503, "full", "2")}
                counts.append(server.connections)
        return counts

    assert asyncio.run(body()) == [1, 1, 3, 3, 3]


def test_a_call_that_is_made_again_sends_the_same_again() -> None:
    server = Server()

    async def body() -> None:
        async with served(server) as client:
            for _ in range(2):
                await ask(client, Request("voice", audio=b"RIFF" * 50_000))

    asyncio.run(body())
    first, second = server.bodies
    assert first == second
    assert b"RIFF" * 50_000 in first


def test_a_connection_that_broke_is_not_used_again() -> None:
    server = Server(answer=b"nonsense\r\n\r\n")

    async def body() -> None:
        async with served(server) as client:
            with pytest.raises(httpx.HTTPError):
                await ask(client, Request("text", text="hi"))
            server.answer = REFUSAL
            assert (await ask(client, Request("text", text="hi"))).status == 503

    asyncio.run(body())
    assert server.connections == 2
