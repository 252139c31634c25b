from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Generator
from contextlib import aclosing
from typing import Any

import pytest

from deployments.errors import EngineUnavailable
from deployments.threads import Worker

Run = Callable[[Any], Any]


class Source:
    """A blocking generator that keeps account of itself."""

    def __init__(self, count: int, step_s: float = 0.0, fail: bool = False) -> None:
        self.count, self.step_s, self.fail = count, step_s, fail
        self.made = 0
        self.threads: set[int] = set()
        self.closed = threading.Event()

    def __call__(self) -> Generator[int, None, None]:
        try:
            for i in range(self.count):
                time.sleep(self.step_s)
                self.threads.add(threading.get_ident())
                self.made += 1
                yield i
            if self.fail:
                raise RuntimeError("the end")
        finally:
            self.threads.add(threading.get_ident())
            self.closed.set()


async def taken(worker: Worker, source: Source, linger_s: float = 0.0) -> list[list[int]]:
    return [batch async for batch in worker.stream(source, linger_s)]


def test_values_come_in_order_from_one_other_thread(run: Run) -> None:
    source = Source(5)
    assert run(taken(Worker("t", 1), source)) == [[0], [1], [2], [3], [4]]
    assert source.threads.isdisjoint({threading.get_ident()})
    assert len(source.threads) == 1


def test_the_first_value_comes_alone_and_later_ones_together(run: Run) -> None:
    batches = run(taken(Worker("t", 1), Source(200, step_s=0.0005), linger_s=0.02))
    assert batches[0] == [0]
    assert len(batches) < 40
    assert [value for batch in batches for value in batch] == list(range(200))


def test_slow_values_do_not_wait_for_each_other(run: Run) -> None:
    assert run(taken(Worker("t", 1), Source(3, step_s=0.03), linger_s=0.02)) == [[0], [1], [2]]


def test_the_thread_works_one_batch_ahead_and_no_further(run: Run) -> None:
    async def body() -> int:
        source = Source(100)
        async with aclosing(Worker("t", 1).stream(source)) as batches:
            await anext(batches)
            await asyncio.sleep(0.05)
            return source.made

    assert run(body()) == 2


def test_a_failure_comes_after_the_values_before_it(run: Run) -> None:
    seen: list[int] = []

    async def body() -> None:
        async for batch in Worker("t", 1).stream(Source(20, fail=True), linger_s=1.0):
            seen.extend(batch)

    with pytest.raises(RuntimeError, match="the end"):
        run(body())
    assert seen == list(range(20))


def test_leaving_stops_the_work_and_closes_the_generator_in_its_thread(run: Run) -> None:
    async def body() -> Source:
        source = Source(1000, step_s=0.01)
        async with aclosing(Worker("t", 1).stream(source, linger_s=5.0)) as batches:
            await anext(batches)
        await asyncio.to_thread(source.closed.wait, 1)
        return source

    source = run(body())
    assert source.closed.is_set()
    assert source.made <= 3
    assert len(source.threads) == 1


def test_a_cancelled_task_stops_the_work(run: Run) -> None:
    async def body() -> Source:
        source = Source(1000, step_s=0.01)
        task = asyncio.create_task(taken(Worker("t", 1), source, linger_s=5.0))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.to_thread(source.closed.wait, 1)
        return source

    source = run(body())
    assert source.closed.is_set()
    assert source.made < 20


def test_requests_take_turns_in_order_of_arrival(run: Run) -> None:
    async def body() -> list[int]:
        worker = Worker("t", 1)
        ended: list[int] = []

        async def one(name: int) -> None:
            await taken(worker, Source(3, step_s=0.002))
            ended.append(name)

        await asyncio.gather(*(one(name) for name in range(6)))
        return ended

    assert run(body()) == list(range(6))


def test_one_who_leaves_the_queue_never_starts(run: Run) -> None:
    async def body() -> tuple[Source, list[list[int]]]:
        worker = Worker("t", 1)
        waiting = Source(3)
        first = asyncio.create_task(taken(worker, Source(5, step_s=0.01)))
        await asyncio.sleep(0.005)
        second = asyncio.create_task(taken(worker, waiting))
        third = asyncio.create_task(taken(worker, Source(1)))
        await asyncio.sleep(0.005)
        second.cancel()
        await first
        return waiting, await third

    waiting, third = run(body())
    assert waiting.made == 0
    assert third == [[0]]


def test_none_is_a_sign_of_life_and_no_value(run: Run) -> None:
    def source() -> Generator[int | None, None, None]:
        yield None
        yield 1
        yield None

    async def body() -> list[list[int]]:
        return [batch async for batch in Worker("t", 1).stream(source)]

    assert run(body()) == [[1]]


def test_an_idle_engine_is_really_asked(run: Run) -> None:
    asked: list[int] = []
    run(Worker("t", 1).check(lambda: asked.append(1)))
    assert asked == [1]


def test_a_failing_probe_is_a_failing_check(run: Run) -> None:
    def probe() -> None:
        raise RuntimeError("no answer")

    with pytest.raises(RuntimeError, match="no answer"):
        run(Worker("t", 1).check(probe))


@pytest.mark.parametrize(("step_s", "healthy"), [(0.005, True), (0.2, False)])
def test_an_engine_at_work_is_well_while_it_gives_signs_of_life(run: Run, step_s: float, healthy: bool) -> None:
    async def body() -> None:
        worker = Worker("t", stall_timeout_s=0.05)
        task = asyncio.create_task(taken(worker, Source(1000, step_s), linger_s=5.0))
        await asyncio.sleep(0.12)
        try:
            await worker.check(lambda: pytest.fail("an engine at work must not be disturbed"))
        finally:
            task.cancel()

    if healthy:
        run(body())
    else:
        with pytest.raises(EngineUnavailable, match="silent"):
            run(body())


def test_closing_waits_for_the_work_in_hand_and_happens_once() -> None:
    released: list[int] = []
    worker = Worker("t", 1)
    worker.close(lambda: released.append(1))
    worker.close(lambda: released.append(2))
    deadline = time.monotonic() + 1
    while not released and time.monotonic() < deadline:
        time.sleep(0.01)
    assert released == [1]
