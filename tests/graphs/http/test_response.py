"""Streams whose client disconnects before they start."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Any

import pytest
from starlette.requests import ClientDisconnect
from starlette.types import Message

from graphs.http.response import Stream
from graphs.pipeline.events import Event, TextChunk

DISCONNECTED = {"type": "http.disconnect"}


async def endless(closed: list[str]) -> AsyncGenerator[Event, None]:
    try:
        while True:
            yield TextChunk("He")
    finally:
        closed.append("events")


async def content(events: AsyncGenerator[Event, None]) -> AsyncGenerator[str, None]:
    async for _ in events:
        yield "He"


async def waits(_: Message) -> None:
    await asyncio.Event().wait()


async def fails(_: Message) -> None:
    raise OSError("the connection is lost")


@pytest.mark.parametrize(
    ("spec_version", "send"), [("2.3", waits), ("2.4", fails)], ids=["a message", "an error of send"]
)
def test_a_stream_whose_client_is_gone_before_it_starts_closes_its_run(spec_version: str, send: Any) -> None:
    async def call() -> list[str]:
        closed: list[str] = []

        async def on_close() -> None:
            closed.append("recording")

        async def receive() -> Message:
            return DISCONNECTED

        events = endless(closed)
        await anext(events)
        response = Stream(events, content(events), "text/event-stream", {}, on_close)
        with suppress(ClientDisconnect):
            await response({"type": "http", "asgi": {"spec_version": spec_version}}, receive, send)
        return closed

    assert asyncio.run(call()) == ["events", "recording"]


def test_a_stream_that_is_cancelled_before_it_starts_closes_its_run() -> None:
    async def call() -> list[str]:
        closed: list[str] = []

        async def on_close() -> None:
            closed.append("recording")

        events = endless(closed)
        await anext(events)
        response = Stream(events, content(events), "text/event-stream", {}, on_close)
        never: Any = asyncio.Event().wait
        with suppress(TimeoutError):
            async with asyncio.timeout(0):
                await response({"type": "http", "asgi": {"spec_version": "2.3"}}, never, waits)
        return closed

    assert asyncio.run(call()) == ["events", "recording"]
