"""What every engine promises, real and fake."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import numpy as np

from deployments.messages import Audio, ChatEnd, Segment, TextDelta
from tests.deployments.engines.cases import Case

Run = Callable[[Any], Any]


async def asked(case: Case, engine: Any) -> list[Any]:
    return [value async for value in case.ask(engine)]


def same(one: list[Any], other: list[Any]) -> bool:
    return comparable(one) == comparable(other)


def comparable(values: list[Any]) -> Any:
    """Deltas may be cut differently from one time to the next."""
    text = "".join(value.text for value in values if isinstance(value, TextDelta))
    sound = [round(value.duration_s, 3) for value in values if isinstance(value, Audio)]
    return text, sound, [value for value in values if isinstance(value, Segment | ChatEnd)]


def test_it_gives_typed_values_in_order(run: Run, case: Case, engine: Any) -> None:
    values = run(asked(case, engine))
    assert values
    kinds = {type(value) for value in values}
    assert kinds in ({Segment}, {Audio}, {TextDelta, ChatEnd}, {ChatEnd})
    if ChatEnd in kinds:
        assert [isinstance(value, ChatEnd) for value in values] == [False] * (len(values) - 1) + [True]
        assert values[-1].prompt_tokens > 0
    for chunk in (value for value in values if isinstance(value, Audio)):
        assert chunk.samples.dtype == np.float32
        assert chunk.samples.ndim == 1
        assert 0 < np.abs(chunk.samples).max() <= 1
        assert chunk.rate_hz == values[0].rate_hz
    times = [value.start_s for value in values if isinstance(value, Segment)]
    assert times == sorted(times)


def test_two_at_once_are_both_answered_as_if_alone(run: Run, case: Case, engine: Any) -> None:
    async def body() -> tuple[list[Any], list[Any], list[Any]]:
        alone = await asked(case, engine)
        first, second = await asyncio.gather(asked(case, engine), asked(case, engine))
        return alone, first, second

    alone, first, second = run(body())
    assert same(first, alone)
    assert same(second, alone)


def test_leaving_stops_the_work_and_the_next_request_is_answered(run: Run, case: Case, engine: Any) -> None:
    async def body() -> tuple[int, int, list[Any], list[Any]]:
        whole = await asked(case, engine)
        async with aclosing(case.ask(engine)) as values:
            await anext(values)
        await engine.check()
        while engine.load().active:  # noqa: ASYNC110  # the value in hand
            await asyncio.sleep(0.005)
        soon = engine.produced
        await asyncio.sleep(0.1)
        return soon, engine.produced, whole, await asked(case, engine)

    soon, later, whole, again = run(body())
    assert later == soon
    assert same(whole, again)


def test_one_who_leaves_the_queue_costs_nothing(run: Run, case: Case, engine: Any) -> None:
    async def body() -> tuple[int, int]:
        before = engine.produced
        await asked(case, engine)
        cost = engine.produced - before
        before = engine.produced
        firsts = [asyncio.create_task(asked(case, engine)) for _ in range(engine.load().slots)]
        last = asyncio.create_task(asked(case, engine))
        await asyncio.sleep(0)
        last.cancel()
        await asyncio.gather(*firsts)
        await asyncio.gather(last, return_exceptions=True)
        return cost * len(firsts), engine.produced - before

    cost, all_of_them = run(body())
    assert all_of_them == cost


def test_its_health_can_be_asked_idle_and_at_work(run: Run, case: Case, engine: Any) -> None:
    async def body() -> list[Any]:
        await engine.check()
        task = asyncio.create_task(asked(case, engine))
        await asyncio.sleep(0.002)
        await engine.check()
        return await task

    assert same(run(body()), run(asked(case, engine)))


def test_a_check_changes_no_answer(run: Run, case: Case, engine: Any) -> None:
    before = run(asked(case, engine))
    run(engine.check())
    assert same(run(asked(case, engine)), before)


def test_the_event_loop_goes_on_meanwhile(run: Run, case: Case, engine: Any) -> None:
    async def body() -> int:
        ticks = 0
        task = asyncio.create_task(asked(case, engine))
        while not task.done():
            await asyncio.sleep(0)
            ticks += 1
        await task
        return ticks

    assert run(body()) > 10
