"""Gathering joins deltas without changing the text, the end or the errors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

import pytest

from deployments.engines.deltas import MAX_BUFFERED, gather_deltas
from deployments.errors import EngineUnavailable
from deployments.messages import ChatEnd, TextDelta

Run = Callable[[Any], Any]
LONG_S = 60.0  # a window that no test waits for
END = ChatEnd("stop", 3, 5)


class Engine:
    """Generates ``words``; waits for ``gate`` before each but the first; ends with ``failure`` if it is given."""

    def __init__(self, words: list[str], *, gated: bool = False, failure: Exception | None = None) -> None:
        self.words = words
        self.failure = failure
        self.gate = asyncio.Semaphore(0 if gated else len(words))
        self.generated = 0
        self.closed = False

    async def chat(self) -> AsyncGenerator[TextDelta | ChatEnd, None]:
        try:
            for at, word in enumerate(self.words):
                if at:
                    await self.gate.acquire()
                self.generated += 1
                yield TextDelta(word)
            if self.failure:
                raise self.failure
            yield END
        finally:
            self.closed = True


async def collect(engine: Engine, window_s: float) -> list[Any]:
    return [value async for value in gather_deltas(engine.chat(), window_s)]


def text(values: list[Any]) -> str:
    return "".join(value.text for value in values if isinstance(value, TextDelta))


def test_joins_deltas_of_one_window(run: Run) -> None:
    async def body() -> list[Any]:
        return await collect(Engine([f"w{i} " for i in range(50)]), LONG_S)

    values = run(body())
    assert text(values) == "".join(f"w{i} " for i in range(50))
    assert values[-1] == END
    assert len(values) <= 4


def test_the_first_delta_and_the_end_are_not_delayed(run: Run) -> None:
    async def body() -> list[Any]:
        engine = Engine(["one ", "two ", "three"], gated=True)
        async with aclosing(gather_deltas(engine.chat(), LONG_S)) as values:
            first = await anext(values)
            engine.gate.release()
            engine.gate.release()
            return [first, *[value async for value in values]]

    assert run(body()) == [TextDelta("one "), TextDelta("two three"), END]


def test_a_delta_waits_at_most_one_window(run: Run) -> None:
    async def body() -> Any:
        engine = Engine(["one ", "two ", "three"], gated=True)
        async with aclosing(gather_deltas(engine.chat(), 0.01)) as values:
            await anext(values)
            engine.gate.release()
            return await anext(values)

    assert run(body()) == TextDelta("two ")


def test_an_error_follows_the_text_before_it(run: Run) -> None:
    received: list[Any] = []

    async def body() -> None:
        engine = Engine(["one ", "two"], failure=EngineUnavailable("broken"))
        async for value in gather_deltas(engine.chat(), LONG_S):
            received.append(value)

    with pytest.raises(EngineUnavailable):
        run(body())
    assert text(received) == "one two"


def test_a_slow_reader_stops_the_engine(run: Run) -> None:
    async def body() -> int:
        engine = Engine(["word "] * 1000)
        async with aclosing(gather_deltas(engine.chat(), 0)) as values:
            await anext(values)
            for _ in range(2000):
                await asyncio.sleep(0)
            return engine.generated

    assert run(body()) <= 2 * MAX_BUFFERED


def test_closing_the_generator_closes_the_engine(run: Run) -> None:
    async def body() -> bool:
        engine = Engine(["one ", "two "], gated=True)
        async with aclosing(gather_deltas(engine.chat(), 0.01)) as values:
            await anext(values)
        return engine.closed

    assert run(body())


@pytest.mark.parametrize("words", [MAX_BUFFERED - 1, MAX_BUFFERED, MAX_BUFFERED + 1, 1000])
def test_more_text_than_the_buffer_holds_does_not_wait_for_the_window(run: Run, words: int) -> None:
    async def body() -> str:
        async with asyncio.timeout(5), aclosing(gather_deltas(Engine(["word "] * words).chat(), LONG_S)) as values:
            return "".join([value.text async for value in values if isinstance(value, TextDelta)])

    assert run(body()) == "word " * words
