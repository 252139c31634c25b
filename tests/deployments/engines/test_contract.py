"""What every engine in the registry does, real or fake, as its Protocol says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import numpy as np
import pytest

from deployments.engines.registry import EngineEntry
from deployments.messages import Audio, ChatEnd, Segment, TextDelta
from tests.deployments.engines.cases import ENTRIES, Case, cases_of

Run = Callable[[Any], Any]


async def collect(case: Case, engine: Any) -> list[Any]:
    return [value async for value in case.request(engine)]


def equal(one: list[Any], other: list[Any]) -> bool:
    """Compare answers; their text may be split into other deltas."""
    return comparable(one) == comparable(other)


def comparable(values: list[Any]) -> Any:
    text = "".join(value.text for value in values if isinstance(value, TextDelta))
    durations = [round(value.duration_s, 3) for value in values if isinstance(value, Audio)]
    return text, durations, [value for value in values if isinstance(value, Segment | ChatEnd)]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.engine)
def test_every_entry_of_the_registry_has_a_case(entry: EngineEntry) -> None:
    assert cases_of(entry), f"tests/deployments/engines/{entry.name}/contract.py has no case of {entry.args.__name__}"


def test_yields_typed_values_in_order(run: Run, case: Case, engine: Any) -> None:
    values = run(collect(case, engine))
    assert values
    kinds = {type(value) for value in values}
    assert kinds in ({Segment}, {Audio}, {TextDelta, ChatEnd}, {ChatEnd})
    if ChatEnd in kinds:
        assert [isinstance(value, ChatEnd) for value in values] == [False] * (len(values) - 1) + [True]
        assert values[-1].prompt_tokens > 0
        assert engine.vision in (False, True)
    for chunk in (value for value in values if isinstance(value, Audio)):
        assert chunk.samples.dtype == np.float32
        assert chunk.samples.ndim == 1
        assert 0 < np.abs(chunk.samples).max() <= 1
        assert chunk.rate_hz == engine.rate_hz
        language = engine.language(None)
        assert language is None or language.islower()
    times = [value.start_s for value in values if isinstance(value, Segment)]
    assert times == sorted(times)


def test_two_concurrent_requests_get_the_answers_of_separate_ones(run: Run, case: Case, engine: Any) -> None:
    async def body() -> tuple[list[Any], list[Any], list[Any]]:
        alone = await collect(case, engine)
        first, second = await asyncio.gather(collect(case, engine), collect(case, engine))
        return alone, first, second

    alone, first, second = run(body())
    assert equal(first, alone)
    assert equal(second, alone)


def test_closing_a_request_stops_its_work_and_the_next_request_is_answered(run: Run, case: Case, engine: Any) -> None:
    async def body() -> tuple[int, int, list[Any], list[Any]]:
        whole = await collect(case, engine)
        async with aclosing(case.request(engine)) as values:
            await anext(values)
        await engine.check()
        while engine.load().active:  # noqa: ASYNC110  # the running step ends first
            await asyncio.sleep(0.005)
        soon = engine.produced
        await asyncio.sleep(0.1)
        return soon, engine.produced, whole, await collect(case, engine)

    soon, later, whole, again = run(body())
    assert later == soon
    assert equal(whole, again)


def test_a_request_that_is_cancelled_in_the_queue_computes_nothing(run: Run, case: Case, engine: Any) -> None:
    async def body() -> tuple[int, int]:
        before = engine.produced
        await collect(case, engine)
        cost = engine.produced - before
        before = engine.produced
        running = [asyncio.create_task(collect(case, engine)) for _ in range(engine.load().slots)]
        queued = asyncio.create_task(collect(case, engine))
        await asyncio.sleep(0)
        queued.cancel()
        await asyncio.gather(*running)
        await asyncio.gather(queued, return_exceptions=True)
        return cost * len(running), engine.produced - before

    expected, produced = run(body())
    assert produced == expected


def test_check_passes_when_idle_and_when_busy(run: Run, case: Case, engine: Any) -> None:
    async def body() -> list[Any]:
        await engine.check()
        task = asyncio.create_task(collect(case, engine))
        await asyncio.sleep(0.002)
        await engine.check()
        return await task

    assert equal(run(body()), run(collect(case, engine)))


def test_check_does_not_change_later_answers(run: Run, case: Case, engine: Any) -> None:
    before = run(collect(case, engine))
    run(engine.check())
    assert equal(run(collect(case, engine)), before)


def test_a_request_does_not_block_the_event_loop(run: Run, case: Case, engine: Any) -> None:
    async def body() -> int:
        ticks = 0
        task = asyncio.create_task(collect(case, engine))
        while not task.done():
            await asyncio.sleep(0)
            ticks += 1
        await task
        return ticks

    assert run(body()) > 10
