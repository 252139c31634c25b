"""Threads for work that would block the Gateway's event loop: parsing large bodies, and working on audio."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

INLINE_BYTES = 16_384  # JSON of this size is parsed in 0.3 ms, about the cost of switching threads
LARGE_BYTES = 1_048_576


class CodecExecutor:
    """Two pools of ``threads`` threads each, for small and for large data, so that small ones do not queue behind."""

    def __init__(self, threads: int) -> None:
        self._small = ThreadPoolExecutor(threads, "codec-small")
        self._large = ThreadPoolExecutor(threads, "codec-large")

    async def parse(self, size_bytes: int, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run ``work`` on a request body of ``size_bytes``; a small one is processed in place."""
        if size_bytes <= INLINE_BYTES:
            return work(*args, **kwargs)
        return await self.encode(size_bytes, work, *args, **kwargs)

    async def encode(self, size_bytes: int, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run ``work`` on data of ``size_bytes`` in a thread."""
        pool = self._large if size_bytes > LARGE_BYTES else self._small
        return await asyncio.get_running_loop().run_in_executor(pool, lambda: work(*args, **kwargs))
