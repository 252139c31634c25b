"""The order of the steps, who never starts, and what one caller's end means for the others."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import aclosing
from typing import Any

import pytest

from deployments.errors import EngineUnavailable, Overloaded
from deployments.engines.pool import Pool

Run = Callable[[Any], Any]


class Source:
    """Work of ``count`` steps that keeps account of itself and writes its name into ``log`` at each."""

    def __init__(self, count: int = 1, step_s: float = 0.0, *, name: str = "", log: list[str] | None = None) -> None:
        self.count, self.step_s, self.name = count, step_s, name
        self.log = [] if log is None else log
        self.made = 0
        self.closed = threading.Event()
        self.gate: threading.Event | None = None

    def __call__(self) -> Generator[int, None, None]:
        try:
            for i in range(self.count):
                if self.gate:
                    self.gate.wait(5)
                time.sleep(self.step_s)
                self.made += 1
                self.log.append(f"{self.name}{i}")
                yield i
        finally:
            self.closed.set()


@pytest.fixture
def pool() -> Iterator[Pool]:
    made = Pool("t", 1, max_waiting=8, stall_timeout_s=5)
    yield made
    made.close(lambda: None)


async def taken(pool: Pool, source: Source, rank: int = 0) -> list[int]:
    return [value async for value in pool.stream(source(), rank)]


async def behind(pool: Pool, *work: Callable[[], Any]) -> None:
    """All of ``work`` handed over, in order, while the only thread is kept busy."""
    first = Source()
    first.gate = threading.Event()
    tasks = [asyncio.create_task(taken(pool, first))]
    await asyncio.sleep(0.02)
    for make in work:
        tasks.append(asyncio.create_task(make()))
        await asyncio.sleep(0.005)
    first.gate.set()
    await asyncio.gather(*tasks)


def test_values_come_in_order_and_from_other_threads(run: Run, pool: Pool) -> None:
    names: set[int] = set()

    def source() -> Generator[int, None, None]:
        for i in range(5):
            names.add(threading.get_ident())
            yield i

    async def body() -> list[int]:
        return [value async for value in pool.stream(source())]

    assert run(body()) == [0, 1, 2, 3, 4]
    assert threading.get_ident() not in names


def test_as_many_run_at_once_as_there_are_threads(run: Run) -> None:
    meeting = threading.Barrier(3, timeout=5)

    def source() -> Generator[int, None, None]:
        yield meeting.wait()

    async def body() -> int:
        pool = Pool("t", 3, max_waiting=8, stall_timeout_s=5)

        async def one() -> list[int]:
            return [value async for value in pool.stream(source())]

        met = await asyncio.gather(one(), one(), one())
        pool.close(lambda: None)
        return sum(map(len, met))

    assert run(body()) == 3


def test_a_lower_rank_goes_first(run: Run, pool: Pool) -> None:
    log: list[str] = []
    ranks = (3, 1, 2, 0)
    run(behind(pool, *(lambda r=r: taken(pool, Source(name=f"rank {r}, step ", log=log), r) for r in ranks)))
    assert log == [f"rank {rank}, step 0" for rank in range(4)]


def test_within_a_rank_who_came_first_goes_first(run: Run, pool: Pool) -> None:
    log: list[str] = []
    run(behind(pool, *(lambda i=i: taken(pool, Source(name=f"{i}:", log=log)) for i in range(6))))
    assert log == [f"{i}:0" for i in range(6)]


def test_a_first_step_goes_before_anothers_later_ones(run: Run, pool: Pool) -> None:
    async def body() -> list[str]:
        log: list[str] = []
        long = asyncio.create_task(taken(pool, Source(10, 0.01, name="long ", log=log)))
        await asyncio.sleep(0.025)
        await taken(pool, Source(name="short ", log=log))
        assert not long.done()
        await long
        return log

    log = run(body())
    assert log.index("short 0") < log.index("long 5")


def test_steps_are_made_one_ahead_of_the_caller_and_no_further(run: Run, pool: Pool) -> None:
    async def body() -> int:
        source = Source(100)
        async with aclosing(pool.stream(source())) as values:
            await anext(values)
            await asyncio.sleep(0.05)
            return source.made

    assert run(body()) == 2


def test_one_who_leaves_the_queue_never_starts(run: Run, pool: Pool) -> None:
    left = Source()

    async def leave() -> None:
        waiting = asyncio.create_task(taken(pool, left))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

    async def body() -> list[int]:
        await behind(pool, leave)
        return await taken(pool, Source())

    assert run(body()) == [0]
    assert left.made == 0


def test_leaving_stops_after_the_step_in_hand_and_closes_the_work(run: Run, pool: Pool) -> None:
    async def body() -> Source:
        source = Source(1000, 0.01)
        async with aclosing(pool.stream(source())) as values:
            await anext(values)
        await asyncio.to_thread(source.closed.wait, 2)
        return source

    source = run(body())
    assert source.closed.is_set()
    assert source.made <= 2


def test_a_cancelled_caller_stops_the_work(run: Run, pool: Pool) -> None:
    async def body() -> Source:
        source = Source(1000, 0.01)
        task = asyncio.create_task(taken(pool, source))
        await asyncio.sleep(0.03)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.to_thread(source.closed.wait, 2)
        return source

    assert run(body()).closed.is_set()


def test_the_failure_of_one_does_not_touch_the_others(run: Run, pool: Pool) -> None:
    def broken() -> Generator[int, None, None]:
        yield 1
        raise RuntimeError("broken")

    async def body() -> tuple[list[Any], list[int]]:
        async def failing() -> list[int]:
            return [value async for value in pool.stream(broken())]

        failed, *others = await asyncio.gather(
            failing(), *(taken(pool, Source(5, 0.001)) for _ in range(3)), return_exceptions=True
        )
        return [failed], others  # type: ignore[return-value]

    (failed,), others = run(body())
    assert isinstance(failed, RuntimeError)
    assert others == [[0, 1, 2, 3, 4]] * 3


def test_one_more_than_may_wait_is_refused_with_advice(run: Run) -> None:
    async def body() -> list[Any]:
        pool = Pool("t", 1, max_waiting=2, stall_timeout_s=5)
        busy = asyncio.create_task(taken(pool, Source(1, 0.05)))
        await asyncio.sleep(0.01)
        waiting = [asyncio.create_task(taken(pool, Source())) for _ in range(3)]
        found = await asyncio.gather(busy, *waiting, return_exceptions=True)
        pool.close(lambda: None)
        return found

    *answered, refused = run(body())
    assert answered == [[0], [0], [0]]
    assert isinstance(refused, Overloaded)
    assert refused.retry_after_s


def test_the_load_tells_who_works_and_who_waits(run: Run, pool: Pool) -> None:
    async def body() -> tuple[Any, Any]:
        tasks = [asyncio.create_task(taken(pool, Source(1, 0.03))) for _ in range(3)]
        await asyncio.sleep(0.01)
        busy = pool.load()
        await asyncio.gather(*tasks)
        return busy, pool.load()

    busy, idle = run(body())
    assert (busy.active, busy.waiting, busy.slots) == (1, 2, 1)
    assert (idle.active, idle.waiting, idle.slots) == (0, 0, 1)


def test_an_idle_engine_is_really_asked(run: Run, pool: Pool) -> None:
    asked: list[int] = []
    run(pool.check(lambda: asked.append(1)))
    assert asked == [1]


def test_a_failing_probe_is_a_failing_check(run: Run, pool: Pool) -> None:
    def probe() -> None:
        raise RuntimeError("no answer")

    with pytest.raises(RuntimeError, match="no answer"):
        run(pool.check(probe))


@pytest.mark.parametrize(("stall_timeout_s", "healthy"), [(60, True), (0.1, False)])
def test_an_engine_at_work_is_well_unless_a_step_hangs(run: Run, stall_timeout_s: float, healthy: bool) -> None:
    async def body() -> None:
        pool = Pool("t", 2, max_waiting=8, stall_timeout_s=stall_timeout_s)
        begun, gate = threading.Event(), threading.Event()

        def step() -> Generator[bool, None, None]:
            begun.set()
            yield gate.wait(5)

        task = asyncio.create_task(anext(pool.stream(step())))
        await asyncio.to_thread(begun.wait, 5)
        await asyncio.sleep(0.2)
        try:
            await pool.check(lambda: pytest.fail("an engine at work must not be disturbed"))
        finally:
            gate.set()
            await task
            pool.close(lambda: None)

    if healthy:
        run(body())
    else:
        with pytest.raises(EngineUnavailable, match="silent"):
            run(body())


def test_closing_lets_the_step_in_hand_end_and_happens_once(run: Run) -> None:
    order: list[str] = []
    ended = threading.Event()

    def release() -> None:
        order.append("released")
        ended.set()

    async def body() -> None:
        pool = Pool("t", 2, max_waiting=8, stall_timeout_s=5)
        task = asyncio.create_task(taken(pool, Source(1, 0.03, name="step ", log=order)))
        await asyncio.sleep(0.01)
        pool.close(release)
        pool.close(release)
        await asyncio.gather(task, return_exceptions=True)
        await asyncio.to_thread(ended.wait, 2)
        with pytest.raises(EngineUnavailable):
            await taken(pool, Source())

    run(body())
    assert order == ["step 0", "released"]
