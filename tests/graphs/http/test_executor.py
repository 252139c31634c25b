"""The Gateway's threads: small inputs do not queue behind large ones, and small text needs no thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable

import pytest

from graphs.http.executor import INLINE_BYTES, LARGE_BYTES, CodecExecutor

TIMEOUT_S = 10


def run(test: Callable[[CodecExecutor], Awaitable[None]], threads: int = 1) -> None:
    async def within_timeout() -> None:
        async with asyncio.timeout(TIMEOUT_S):
            await test(CodecExecutor(threads))

    asyncio.run(within_timeout())


def in_event_loop() -> bool:
    return threading.current_thread() is threading.main_thread()


@pytest.mark.parametrize(("size_bytes", "inline"), [(0, True), (INLINE_BYTES, True), (INLINE_BYTES + 1, False)])
def test_parses_small_text_in_the_event_loop(size_bytes: int, inline: bool) -> None:
    async def test(executor: CodecExecutor) -> None:
        assert await executor.parse(size_bytes, in_event_loop) is inline

    run(test)


def test_never_encodes_audio_in_the_event_loop() -> None:
    async def test(executor: CodecExecutor) -> None:
        assert not await executor.encode(1, in_event_loop)

    run(test)


@pytest.mark.parametrize("method", ["parse", "encode"])
def test_small_work_does_not_wait_for_large_work(method: str) -> None:
    async def test(executor: CodecExecutor) -> None:
        release = threading.Event()
        large = asyncio.create_task(getattr(executor, method)(LARGE_BYTES + 1, release.wait, TIMEOUT_S))
        await asyncio.sleep(0)
        assert await executor.encode(LARGE_BYTES, int, "7") == 7
        assert not large.done()
        release.set()
        assert await large

    run(test)


def test_runs_as_many_calls_at_once_as_it_has_threads() -> None:
    async def test(executor: CodecExecutor) -> None:
        together = threading.Barrier(2)
        await asyncio.gather(*(executor.encode(1, together.wait, TIMEOUT_S) for _ in range(2)))

    run(test, threads=2)


def test_does_not_start_cancelled_work() -> None:
    async def test(executor: CodecExecutor) -> None:
        release, started = threading.Event(), threading.Event()
        first = asyncio.create_task(executor.encode(1, release.wait, TIMEOUT_S))
        second = asyncio.create_task(executor.encode(1, started.set))
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)
        release.set()
        assert await first
        await executor.encode(1, int)
        assert not started.is_set()

    run(test)


def test_raises_the_error_of_the_work() -> None:
    async def test(executor: CodecExecutor) -> None:
        for size_bytes in (0, LARGE_BYTES + 1):
            with pytest.raises(ValueError, match="seven"):
                await executor.parse(size_bytes, int, "seven")

    run(test)
