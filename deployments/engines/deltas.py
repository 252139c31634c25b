"""Gathering of deltas: each message to another process costs about half a millisecond, so there should be few.

The first delta is passed on at once, and the end without delay. Text in between is joined: a delta follows the one
before it after ``WINDOW_S`` at the earliest.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import NamedTuple

from deployments.messages import ChatEnd, TextDelta

WINDOW_S = 0.02
MAX_BUFFERED = 64  # deltas; with more, the engine waits for the reader


class _Last(NamedTuple):
    """The last item of the queue: the error that ended the values, if any."""

    error: Exception | None


async def gather_deltas(
    values: AsyncGenerator[TextDelta | ChatEnd, None], window_s: float = WINDOW_S
) -> AsyncGenerator[TextDelta | ChatEnd, None]:
    """Yield the same text and the same end in fewer deltas. Closing this generator closes ``values``."""
    queue: asyncio.Queue[TextDelta | ChatEnd | _Last] = asyncio.Queue(MAX_BUFFERED - 1)  # and one in _fill
    ready = asyncio.Event()  # the queue is full or has all values
    filling = asyncio.create_task(_fill(queue, ready, values))
    try:
        while True:
            ready.clear()
            items = [await queue.get()]
            while not queue.empty():
                items.append(queue.get_nowait())
            if text := "".join(item.text for item in items if isinstance(item, TextDelta)):
                yield TextDelta(text)
            for item in items:
                if isinstance(item, ChatEnd):
                    yield item
            if isinstance(last := items[-1], _Last):
                if last.error:
                    raise last.error
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(window_s):
                    await ready.wait()
    finally:
        filling.cancel()
        await asyncio.gather(filling, return_exceptions=True)


async def _fill(
    queue: asyncio.Queue[TextDelta | ChatEnd | _Last],
    ready: asyncio.Event,
    values: AsyncGenerator[TextDelta | ChatEnd, None],
) -> None:
    async def put(item: TextDelta | ChatEnd | _Last) -> None:
        if queue.full():
            ready.set()
        await queue.put(item)

    error = None
    try:
        async with aclosing(values):
            async for value in values:
                await put(value)
    except Exception as failure:
        error = failure
    await put(_Last(error))
    ready.set()
