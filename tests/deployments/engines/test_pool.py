"""The order of steps in a pool, cancellation, limits and health."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import aclosing
from typing import Any

import pytest

from deployments.engines.pool import Pool
from deployments.errors import EngineUnavailable, Overloaded

Run = Callable[[Any], Any]


class Source:
    """Work of ``count`` steps; each appends its name to ``log``. With a ``gate``, each step waits for it."""

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


async def collect(pool: Pool, source: Source, rank: int = 0) -> list[int]:
    return [value async for value in pool.stream(source(), rank)]


async def queue_up(pool: Pool, *work: Callable[[], Any]) -> None:
    """Submit all of ``work`` in order while the only thread is busy, then run it."""
    first = Source()
    first.gate = threading.Event()
    tasks = [asyncio.create_task(collect(pool, first))]
    await asyncio.sleep(0.02)
    for make in work:
        tasks.append(asyncio.create_task(make()))
        await asyncio.sleep(0.005)
    first.gate.set()
    await asyncio.gather(*tasks)


def test_yields_values_in_order_from_other_threads(run: Run, pool: Pool) -> None:
    names: set[int] = set()

    def source() -> Generator[int, None, None]:
        for i in range(5):
            names.add(threading.get_ident())
            yield i

    async def body() -> list[int]:
        return [value async for value in pool.stream(source())]

    assert run(body()) == [0, 1, 2, 3, 4]
    assert threading.get_ident() not in names


def test_runs_as_many_steps_concurrently_as_it_has_threads(run: Run) -> None:
    barrier = threading.Barrier(3, timeout=5)

    def source() -> Generator[int, None, None]:
        yield barrier.wait()

    async def body() -> int:
        pool = Pool("t", 3, max_waiting=8, stall_timeout_s=5)

        async def one() -> list[int]:
            return [value async for value in pool.stream(source())]

        results = await asyncio.gather(one(), one(), one())
        pool.close(lambda: None)
        return sum(map(len, results))

    assert run(body()) == 3


def test_runs_a_lower_rank_first(run: Run, pool: Pool) -> None:
    log: list[str] = []
    ranks = (3, 1, 2, 0)
    run(queue_up(pool, *(lambda r=r: collect(pool, Source(name=f"rank {r}, step ", log=log), r) for r in ranks)))
    assert log == [f"rank {rank}, step 0" for rank in range(4)]


def test_runs_steps_of_one_rank_in_order_of_submission(run: Run, pool: Pool) -> None:
    log: list[str] = []
    run(queue_up(pool, *(lambda i=i: collect(pool, Source(name=f"{i}:", log=log)) for i in range(6))))
    assert log == [f"{i}:0" for i in range(6)]


def test_runs_a_first_step_before_later_steps_of_another_request(run: Run, pool: Pool) -> None:
    async def body() -> list[str]:
        log: list[str] = []
        long = asyncio.create_task(collect(pool, Source(10, 0.01, name="long ", log=log)))
        await asyncio.sleep(0.025)
        await collect(pool, Source(name="short ", log=log))
        assert not long.done()
        await long
        return log

    log = run(body())
    assert log.index("short 0") < log.index("long 5")


def test_computes_one_step_ahead_of_the_caller(run: Run, pool: Pool) -> None:
    async def body() -> int:
        source = Source(100)
        async with aclosing(pool.stream(source())) as values:
            await anext(values)
            await asyncio.sleep(0.05)
            return source.made

    assert run(body()) == 2


def test_a_request_cancelled_in_the_queue_never_starts(run: Run, pool: Pool) -> None:
    cancelled = Source()

    async def cancel() -> None:
        waiting = asyncio.create_task(collect(pool, cancelled))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

    async def body() -> list[int]:
        await queue_up(pool, cancel)
        return await collect(pool, Source())

    assert run(body()) == [0]
    assert cancelled.made == 0


def test_closing_a_request_ends_it_after_the_running_step(run: Run, pool: Pool) -> None:
    async def body() -> Source:
        source = Source(1000, 0.01)
        async with aclosing(pool.stream(source())) as values:
            await anext(values)
        await asyncio.to_thread(source.closed.wait, 2)
        return source

    source = run(body())
    assert source.closed.is_set()
    assert source.made <= 2


def test_cancelling_the_caller_closes_the_source(run: Run, pool: Pool) -> None:
    async def body() -> Source:
        source = Source(1000, 0.01)
        task = asyncio.create_task(collect(pool, source))
        await asyncio.sleep(0.03)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.to_thread(source.closed.wait, 2)
        return source

    assert run(body()).closed.is_set()


def test_an_error_ends_only_its_own_request(run: Run, pool: Pool) -> None:
    def broken() -> Generator[int, None, None]:
        yield 1
        raise RuntimeError("broken")

    async def body() -> tuple[list[Any], list[int]]:
        async def failing() -> list[int]:
            return [value async for value in pool.stream(broken())]

        failed, *others = await asyncio.gather(
            failing(), *(collect(pool, Source(5, 0.001)) for _ in range(3)), return_exceptions=True
        )
        return [failed], others  # type: ignore[return-value]

    (failed,), others = run(body())
    assert isinstance(failed, RuntimeError)
    assert others == [[0, 1, 2, 3, 4]] * 3


def test_refuses_a_request_when_the_queue_is_full(run: Run) -> None:
    async def body() -> list[Any]:
        pool = Pool("t", 1, max_waiting=2, stall_timeout_s=5)
        busy = asyncio.create_task(collect(pool, Source(1, 0.05)))
        await asyncio.sleep(0.01)
        waiting = [asyncio.create_task(collect(pool, Source())) for _ in range(3)]
        found = await asyncio.gather(busy, *waiting, return_exceptions=True)
        pool.close(lambda: None)
        return found

    *answers, refused = run(body())
    assert answers == [[0], [0], [0]]
    assert isinstance(refused, Overloaded)
    assert refused.retry_after_s


def test_load_counts_running_and_queued_steps(run: Run, pool: Pool) -> None:
    async def body() -> tuple[Any, Any]:
        tasks = [asyncio.create_task(collect(pool, Source(1, 0.03))) for _ in range(3)]
        await asyncio.sleep(0.01)
        busy = pool.load()
        await asyncio.gather(*tasks)
        return busy, pool.load()

    busy, idle = run(body())
    assert (busy.active, busy.waiting, busy.slots) == (1, 2, 1)
    assert (idle.active, idle.waiting, idle.slots) == (0, 0, 1)


def test_check_runs_the_probe_when_idle(run: Run, pool: Pool) -> None:
    probes: list[int] = []
    run(pool.check(lambda: probes.append(1)))
    assert probes == [1]


def test_check_raises_the_error_of_the_probe(run: Run, pool: Pool) -> None:
    def probe() -> None:
        raise RuntimeError("broken probe")

    with pytest.raises(RuntimeError, match="broken probe"):
        run(pool.check(probe))


@pytest.mark.parametrize(("stall_timeout_s", "healthy"), [(60, True), (0.1, False)])
def test_check_of_a_busy_pool_fails_only_if_a_step_hangs(run: Run, stall_timeout_s: float, healthy: bool) -> None:
    async def body() -> None:
        pool = Pool("t", 2, max_waiting=8, stall_timeout_s=stall_timeout_s)
        started, gate = threading.Event(), threading.Event()

        def step() -> Generator[bool, None, None]:
            started.set()
            yield gate.wait(5)

        task = asyncio.create_task(anext(pool.stream(step())))
        await asyncio.to_thread(started.wait, 5)
        await asyncio.sleep(0.2)
        try:
            await pool.check(lambda: pytest.fail("a busy pool must not run the probe"))
        finally:
            gate.set()
            await task
            pool.close(lambda: None)

    if healthy:
        run(body())
    else:
        with pytest.raises(EngineUnavailable, match="no progress"):
            run(body())


def test_close_releases_once_after_the_running_step(run: Run) -> None:
    order: list[str] = []
    ended = threading.Event()

    def release() -> None:
        order.append("released")
        ended.set()

    async def body() -> None:
        pool = Pool("t", 2, max_waiting=8, stall_timeout_s=5)
        task = asyncio.create_task(collect(pool, Source(1, 0.03, name="step ", log=order)))
        await asyncio.sleep(0.01)
        pool.close(release)
        pool.close(release)
        await asyncio.gather(task, return_exceptions=True)
        await asyncio.to_thread(ended.wait, 2)
        with pytest.raises(EngineUnavailable):
            await collect(pool, Source())

    run(body())
    assert order == ["step 0", "released"]
