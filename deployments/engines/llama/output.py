"""From the thread of the steps to the event loops of the callers: text that is ready together travels together."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress

from deployments.errors import ParleyError
from deployments.messages import FinishReason

LINGER_S = 0.02

End = FinishReason | ParleyError | None
Letter = tuple["Mailbox", Callable[[], str], End]
"""To whom; what gives all that has been said since it was last called; and how the answer ended, if it has."""


class Mailbox:
    """What waits for one caller: never more than his own answer."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._sent_s = 0.0  # this belongs to the thread of the steps, what follows to the loop
        self._text: list[str] = []
        self._end: End = None
        self._arrived = asyncio.Event()

    async def wait(self, timeout_s: float) -> bool:
        """Whether anything came within ``timeout_s``."""
        # asyncio.wait_for of Python 3.11 would forget that its caller was cancelled, if something came just then
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._arrived.wait()
        return self._arrived.is_set()

    def take(self) -> tuple[str, FinishReason | None]:
        """All text that has come, and how the answer ended if it has. Raises its error behind the last text."""
        text = "".join(self._text)
        self._text.clear()
        if isinstance(self._end, ParleyError):
            if not text:
                raise self._end
            return text, None
        self._arrived.clear()
        return text, self._end

    def due(self, said: Callable[[], str], end: End, now_s: float) -> str | None:
        """What ``said`` gives, if it is time to send it."""
        if end is None and now_s - self._sent_s < LINGER_S:
            return None
        text = said()
        if end is None and not text:
            return None
        self._sent_s = now_s
        return text

    def put(self, text: str, end: End) -> None:
        """Text and an end arrive; called in the loop."""
        self._text.append(text)
        self._end = end
        self._arrived.set()


def deliver(letters: Sequence[Letter]) -> None:
    """Send what is due, with one call into each loop."""
    now_s = time.monotonic()
    sent: defaultdict[asyncio.AbstractEventLoop, list[tuple[Mailbox, str, End]]] = defaultdict(list)
    for mailbox, said, end in letters:
        if (text := mailbox.due(said, end, now_s)) is not None:
            sent[mailbox.loop].append((mailbox, text, end))
    for loop, due in sent.items():
        with suppress(RuntimeError):  # the loop is closed, and nobody waits there
            loop.call_soon_threadsafe(_put, due)


def _put(letters: Sequence[tuple[Mailbox, str, End]]) -> None:
    for mailbox, text, end in letters:
        mailbox.put(text, end)
