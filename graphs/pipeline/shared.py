"""One computation for all concurrent callers, whose result the next ones get as well for ``CACHE_S``.

For results that anybody may request at any rate, and that cost the replicas a call.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

CACHE_S = 1.0

T = TypeVar("T")


class Shared(Generic[T]):
    """The latest result of a computation."""

    def __init__(self) -> None:
        self._task: asyncio.Task[T] | None = None
        self._ended_s = 0.0

    async def get(self, compute: Callable[[], Awaitable[T]]) -> T:
        """Return a result that is at most ``CACHE_S`` old. A caller that is cancelled does not cancel the others."""
        if self._task is None or (self._task.done() and time.monotonic() - self._ended_s >= CACHE_S):
            self._task = asyncio.create_task(self._run(compute))
        return await asyncio.shield(self._task)

    async def _run(self, compute: Callable[[], Awaitable[T]]) -> T:
        result = await compute()
        self._ended_s = time.monotonic()
        return result
