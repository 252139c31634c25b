"""Generated text on its way from a worker's thread to the event loops of the requests.

The text of one answer is gathered for ``WINDOW_S``, and all deltas of a step that are due go to an event loop in one
call.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple

from deployments.engines.deltas import WINDOW_S
from deployments.errors import ParleyError
from deployments.messages import FinishReason

End = FinishReason | ParleyError | None
"""How an answer has ended; ``None`` if it has not."""


class OutputQueue:
    """The text of one answer that its request has not read yet.

    The queue needs no limit: it never has more than one answer, whose length the request limits.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._sent_at = 0.0  # used in the worker's thread; the other attributes in the event loop
        self._text: list[str] = []
        self._end: End = None
        self._ready = asyncio.Event()

    async def wait(self, timeout_s: float) -> bool:
        """Wait for text or the end; return false after ``timeout_s``."""
        # asyncio.wait_for of Python 3.11 loses a cancellation that coincides with the event.
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._ready.wait()
        return self._ready.is_set()

    def take(self) -> tuple[str, FinishReason | None]:
        """Return the text and, if the answer has ended, why. Raise the error that ended it, after its text."""
        text = "".join(self._text)
        self._text.clear()
        if isinstance(self._end, ParleyError):
            if not text:
                raise self._end
            return text, None
        self._ready.clear()
        return text, self._end

    def due_text(self, take_text: Callable[[], str], end: End, now_s: float) -> str | None:
        """Return the text to send now, or ``None`` if it is not due; called in the worker's thread."""
        if end is None and now_s - self._sent_at < WINDOW_S:
            return None
        text = take_text()
        if end is None and not text:
            return None
        self._sent_at = now_s
        return text

    def put(self, text: str, end: End) -> None:
        """Add text and the end, if there is one; called in the event loop."""
        self._text.append(text)
        self._end = end
        self._ready.set()


class Delta(NamedTuple):
    """New text of an answer. ``take_text`` returns what has been generated since its last call."""

    queue: OutputQueue
    take_text: Callable[[], str]
    end: End


def send(deltas: Sequence[Delta]) -> None:
    """Put the deltas that are due into their queues, with one call into each event loop."""
    now_s = time.monotonic()
    due: defaultdict[asyncio.AbstractEventLoop, list[tuple[OutputQueue, str, End]]] = defaultdict(list)
    for queue, take_text, end in deltas:
        if (text := queue.due_text(take_text, end, now_s)) is not None:
            due[queue.loop].append((queue, text, end))
    for loop, texts in due.items():
        with suppress(RuntimeError):  # the event loop is closed
            loop.call_soon_threadsafe(_put, texts)


def _put(texts: Sequence[tuple[OutputQueue, str, End]]) -> None:
    for queue, text, end in texts:
        queue.put(text, end)
