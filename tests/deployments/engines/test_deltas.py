"""Fewer pieces, the same text: the first at once, the end without waiting, and no reader means no work."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

import pytest

from deployments.engines.deltas import PIECES_AHEAD, coalesced
from deployments.errors import EngineUnavailable
from deployments.messages import ChatEnd, TextDelta

Run = Callable[[Any], Any]
LONG_S = 60.0  # no test waits for a window of this length
END = ChatEnd("stop", 3, 5)


class Engine:
    """Says ``words``, waiting for ``gate`` before each after the first, and fails at the end if told to."""

    def __init__(self, words: list[str], *, gated: bool = False, failure: Exception | None = None) -> None:
        self.words = words
        self.failure = failure
        self.gate = asyncio.Semaphore(0 if gated else len(words))
        self.said = 0
        self.closed = False

    async def chat(self) -> AsyncGenerator[TextDelta | ChatEnd, None]:
        try:
            for at, word in enumerate(self.words):
                if at:
                    await self.gate.acquire()
                self.said += 1
                yield TextDelta(word)
            if self.failure:
                raise self.failure
            yield END
        finally:
            self.closed = True


async def read(engine: Engine, window_s: float) -> list[Any]:
    return [value async for value in coalesced(engine.chat(), window_s)]


def text(values: list[Any]) -> str:
    return "".join(value.text for value in values if isinstance(value, TextDelta))


def test_pieces_that_are_ready_travel_together(run: Run) -> None:
    async def body() -> list[Any]:
        return await read(Engine([f"w{i} " for i in range(50)]), LONG_S)

    values = run(body())
    assert text(values) == "".join(f"w{i} " for i in range(50))
    assert values[-1] == END
    assert len(values) <= 4


def test_the_first_piece_waits_for_nothing_and_neither_does_the_end(run: Run) -> None:
    async def body() -> list[Any]:
        engine = Engine(["one ", "two ", "three"], gated=True)
        async with aclosing(coalesced(engine.chat(), LONG_S)) as values:
            first = await anext(values)
            engine.gate.release()
            engine.gate.release()
            return [first, *[value async for value in values]]

    assert run(body()) == [TextDelta("one "), TextDelta("two three"), END]


def test_a_piece_waits_no_longer_than_the_window(run: Run) -> None:
    async def body() -> Any:
        engine = Engine(["one ", "two ", "three"], gated=True)
        async with aclosing(coalesced(engine.chat(), 0.01)) as values:
            await anext(values)
            engine.gate.release()
            return await anext(values)

    assert run(body()) == TextDelta("two ")


def test_a_failure_comes_after_the_text_before_it(run: Run) -> None:
    told: list[Any] = []

    async def body() -> None:
        engine = Engine(["one ", "two"], failure=EngineUnavailable("dead"))
        async for value in coalesced(engine.chat(), LONG_S):
            told.append(value)

    with pytest.raises(EngineUnavailable):
        run(body())
    assert text(told) == "one two"


def test_a_reader_who_is_slow_holds_the_engine_back(run: Run) -> None:
    async def body() -> int:
        engine = Engine(["word "] * 1000)
        async with aclosing(coalesced(engine.chat(), 0)) as values:
            await anext(values)
            for _ in range(2000):
                await asyncio.sleep(0)
            return engine.said

    assert run(body()) <= 2 * PIECES_AHEAD


def test_leaving_closes_the_engine(run: Run) -> None:
    async def body() -> bool:
        engine = Engine(["one ", "two "], gated=True)
        async with aclosing(coalesced(engine.chat(), 0.01)) as values:
            await anext(values)
        return engine.closed

    assert run(body())
