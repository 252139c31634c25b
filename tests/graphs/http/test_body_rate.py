"""The rate at which the proxy reads large bodies, with a clock that sleeping advances."""

from __future__ import annotations

import asyncio
from typing import Any
from unittest.mock import patch

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from graphs.http.body_rate import FREE_BYTES, BodyRateMiddleware

RATE = 1000


class Clock:
    """Time passes only by ``sleep``."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        self.now_s += seconds


async def read_all(scope: Scope, receive: Receive, send: Send) -> None:
    while (await receive()).get("more_body", False):
        pass


def read_s(*bodies: list[bytes], rate: float = RATE, kind: str = "http") -> float:
    """Return the time to read bodies, each in these pieces, one after another."""
    clock = Clock()
    app: ASGIApp = BodyRateMiddleware(read_all, rate, clock)

    async def read(pieces: list[bytes]) -> None:
        messages = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
        messages[-1]["more_body"] = False
        left = iter(messages)

        async def receive() -> Message:
            return next(left)

        async def send(_: Any) -> None: ...

        await app({"type": kind}, receive, send)

    async def run() -> None:
        for body in bodies:
            await read(body)

    with patch("graphs.http.body_rate.asyncio.sleep", clock.sleep):
        asyncio.run(run())
    return clock.now_s - 100


def test_what_follows_the_first_bytes_of_a_body_is_read_at_the_rate() -> None:
    pieces = [bytes(FREE_BYTES - 300), *[bytes(500)] * 20]
    assert read_s(pieces) == pytest.approx(9.2)  # the last piece is not followed by another


def test_the_first_bytes_of_every_body_are_not_delayed() -> None:
    body = [bytes(FREE_BYTES // 2), bytes(FREE_BYTES // 2), bytes(500)]
    assert read_s(body, body, [bytes(5000)]) == 0


@pytest.mark.parametrize("options", [{"rate": 0}, {"kind": "websocket"}])
def test_without_a_rate_and_on_a_websocket_nothing_is_delayed(options: dict[str, Any]) -> None:
    assert read_s([bytes(FREE_BYTES)] * 20, **options) == 0


def test_all_bodies_together_have_the_rate() -> None:
    async def run() -> float:
        app = BodyRateMiddleware(read_all, 100_000)
        started_s = asyncio.get_running_loop().time()

        async def read() -> None:
            left = iter([FREE_BYTES, *[2000] * 5, 0])

            async def receive() -> Message:
                size_bytes = next(left)
                return {"type": "http.request", "body": bytes(size_bytes), "more_body": size_bytes > 0}

            async def send(_: Any) -> None: ...

            await app({"type": "http"}, receive, send)

        await asyncio.gather(*(read() for _ in range(4)))
        return asyncio.get_running_loop().time() - started_s

    assert asyncio.run(run()) >= 4 * 5 * 2000 / 100_000
