"""Gathering of deltas: each message to another process costs about half a millisecond, so there should be few.

The first delta is passed on at once, and the end without delay. Text in between is joined: a delta follows the one
before it after ``WINDOW_S`` at the earliest.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from deployments.messages import ChatEnd, TextDelta

WINDOW_S = 0.02
MAX_BUFFERED = 64  # deltas; with more, the engine waits for the reader


async def gather_deltas(
    values: AsyncGenerator[TextDelta | ChatEnd, None], window_s: float = WINDOW_S
) -> AsyncGenerator[TextDelta | ChatEnd, None]:
    """Yield the same text and the same end in fewer deltas. Closing this generator closes ``values``."""
    buffer = DeltaBuffer(window_s)
    filling = asyncio.create_task(buffer.fill(values))
    try:
        while (text := await buffer.next_text()) is not None:
            yield TextDelta(text)
        await filling  # raises the error of ``values``, after its text
        if buffer.end is not None:
            yield buffer.end
    finally:
        filling.cancel()
        await asyncio.gather(filling, return_exceptions=True)


class DeltaBuffer:
    """Joins deltas of one answer. One task calls ``fill``, another one ``next_text`` until it returns ``None``."""

    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self._texts: list[str] = []
        self._closed = False
        self._due = asyncio.Event()
        self._has_space = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._not_before_s = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self.end: ChatEnd | None = None

    async def fill(self, values: AsyncGenerator[TextDelta | ChatEnd, None]) -> None:
        """Read ``values`` to their end and close them; wait while the buffer is full."""
        try:
            async with aclosing(values):
                async for value in values:
                    if isinstance(value, ChatEnd):
                        self.end = value
                    else:
                        await self._add(value.text)
        finally:
            self._closed = True
            self._due.set()

    async def _add(self, text: str) -> None:
        self._texts.append(text)
        if self._timer is None:
            self._timer = self._loop.call_at(self._not_before_s, self._due.set)
        while len(self._texts) >= MAX_BUFFERED:
            self._has_space.clear()
            await self._has_space.wait()

    async def next_text(self) -> str | None:
        """Return the buffered text once it is due; ``None`` at the end."""
        await self._due.wait()
        if not self._closed:
            self._due.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._texts:
            return None
        text = "".join(self._texts)
        self._texts.clear()
        self._has_space.set()
        self._not_before_s = self._loop.time() + self._window_s
        return text
