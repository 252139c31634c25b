"""Where a gateway does what takes the processor: beside its event loop, and what is short not behind what is long.

Beside eight callers with pictures of 12 million pixels a written question took 650 ms when all shared the loop's own
threads, and takes 30 now (``bench.beside``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

LITTLE_BYTES = 16_384  # of JSON take up to a third of a millisecond, mostly less than the way to a thread and back
LARGE_BYTES = 1_048_576  # half a minute of WAV is no more, nor ten seconds as browsers record it


class Lanes:
    """``each`` threads for what is short, and as many for what is large."""

    def __init__(self, each: int) -> None:
        self._short = ThreadPoolExecutor(each, "short")
        self._large = ThreadPoolExecutor(each, "large")

    async def text(self, size_bytes: int, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """``work`` on JSON or other text of that size; what is little is done at once."""
        if size_bytes <= LITTLE_BYTES:
            return work(*args, **kwargs)
        return await self.media(size_bytes, work, *args, **kwargs)

    async def media(self, size_bytes: int, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """``work`` on sound or pictures of that size, which is never little: a few bytes may be many pixels."""
        lane = self._large if size_bytes > LARGE_BYTES else self._short
        return await asyncio.get_running_loop().run_in_executor(lane, lambda: work(*args, **kwargs))
