"""What is short is not behind what is long, and what is little does not go away at all."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable

import pytest

from graphs.http.executor import LARGE_BYTES, LITTLE_BYTES, Lanes

PATIENCE_S = 10


def run(what: Callable[[Lanes], Awaitable[None]], each: int = 1) -> None:
    async def within() -> None:
        async with asyncio.timeout(PATIENCE_S):
            await what(Lanes(each))

    asyncio.run(within())


def on_loop() -> bool:
    return threading.current_thread() is threading.main_thread()


@pytest.mark.parametrize(("size_bytes", "at_once"), [(0, True), (LITTLE_BYTES, True), (LITTLE_BYTES + 1, False)])
def test_a_little_text_is_read_at_once(size_bytes: int, at_once: bool) -> None:
    async def what(lanes: Lanes) -> None:
        assert await lanes.text(size_bytes, on_loop) is at_once

    run(what)


def test_media_are_never_decoded_in_the_event_loop() -> None:
    async def what(lanes: Lanes) -> None:
        assert not await lanes.media(1, on_loop)

    run(what)


@pytest.mark.parametrize("kind", ["text", "media"])
def test_what_is_short_does_not_wait_for_what_is_large(kind: str) -> None:
    async def what(lanes: Lanes) -> None:
        over = threading.Event()
        large = asyncio.create_task(getattr(lanes, kind)(LARGE_BYTES + 1, over.wait, PATIENCE_S))
        await asyncio.sleep(0)
        assert await lanes.media(LARGE_BYTES, int, "7") == 7
        assert not large.done()
        over.set()
        assert await large

    run(what)


def test_as_many_at_once_as_the_settings_say() -> None:
    async def what(lanes: Lanes) -> None:
        together = threading.Barrier(2)
        await asyncio.gather(*(lanes.media(1, together.wait, PATIENCE_S) for _ in range(2)))

    run(what, each=2)


def test_one_that_nobody_waits_for_any_more_is_not_begun() -> None:
    async def what(lanes: Lanes) -> None:
        over, begun = threading.Event(), threading.Event()
        first = asyncio.create_task(lanes.media(1, over.wait, PATIENCE_S))
        second = asyncio.create_task(lanes.media(1, begun.set))
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)
        over.set()
        assert await first
        await lanes.media(1, int)
        assert not begun.is_set()

    run(what)


def test_what_it_raises_is_raised() -> None:
    async def what(lanes: Lanes) -> None:
        for size_bytes in (0, LARGE_BYTES + 1):
            with pytest.raises(ValueError, match="seven"):
                await lanes.text(size_bytes, int, "seven")

    run(what)
