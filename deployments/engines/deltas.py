"""Pieces of an answer that are ready together travel together: each message to another process has its price.

The first piece leaves at once and the last waits for nothing; those between leave ``WINDOW_S`` after the ones before
them. Knows nothing of engines or of Ray.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from deployments.messages import ChatEnd, TextDelta

WINDOW_S = 0.02
PIECES_AHEAD = 64  # held for a reader who is slow, before the engine has to wait


async def coalesced(
    values: AsyncGenerator[TextDelta | ChatEnd, None], window_s: float = WINDOW_S
) -> AsyncGenerator[TextDelta | ChatEnd, None]:
    """The same text and the same end, in fewer pieces. Closing it closes ``values``."""
    basket = _Basket(window_s)
    filling = asyncio.create_task(basket.fill(values))
    try:
        while (text := await basket.next_text()) is not None:
            yield TextDelta(text)
        await filling  # raises what the values raised, once their text is told
        if basket.end is not None:
            yield basket.end
    finally:
        filling.cancel()
        await asyncio.gather(filling, return_exceptions=True)


class _Basket:
    """Collects pieces until they are due."""

    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self._pieces: list[str] = []
        self._closed = False
        self._due = asyncio.Event()
        self._room = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._not_before_s = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self.end: ChatEnd | None = None

    async def fill(self, values: AsyncGenerator[TextDelta | ChatEnd, None]) -> None:
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
        self._pieces.append(text)
        if self._timer is None:
            self._timer = self._loop.call_at(self._not_before_s, self._due.set)
        while len(self._pieces) >= PIECES_AHEAD:
            self._room.clear()
            await self._room.wait()

    async def next_text(self) -> str | None:
        """What has come, once it is due; ``None`` when nothing comes any more."""
        await self._due.wait()
        if not self._closed:
            self._due.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._pieces:
            return None
        text = "".join(self._pieces)
        self._pieces.clear()
        self._room.set()
        self._not_before_s = self._loop.time() + self._window_s
        return text
