"""The parser of server-sent events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from bench.client import read_events


def test_reads_the_name_and_data_of_events() -> None:
    async def lines() -> AsyncIterator[str]:
        for line in ("event: transcript", 'data: {"text": "hi"}', "", "event: text", 'data: {"text": "a: b"}', ""):
            yield line

    async def events() -> list[tuple[str, dict[str, str]]]:
        return [event async for event in read_events(lines())]

    assert asyncio.run(events()) == [("transcript", {"text": "hi"}), ("text", {"text": "a: b"})]
