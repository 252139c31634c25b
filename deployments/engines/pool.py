"""Blocking libraries as async generators: a few threads run the steps of many requests from one queue.

The work of a request is a blocking generator. A step computes one value of it and is not interrupted. Queued steps run
by rank, then in order of submission. Every further step of a request has a rank one higher: the first step of a new
request runs before the fifth step of another.
"""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from queue import PriorityQueue
from threading import Lock, Thread, get_ident
from typing import Any, TypeVar

from deployments.errors import EngineUnavailable, Overloaded
from deployments.messages import Load
from deployments.settings import PooledArgs

T = TypeVar("T")

RETRY_AFTER_S = 1.0  # of a request that finds the queue full
_CHECK_RANK = -1  # before every request
_END = object()


@dataclass(order=True, slots=True)
class _Step:
    rank: int
    number: int
    work: Callable[[], object] = field(compare=False)
    result: Future[Any] = field(compare=False, default_factory=Future)


class Pool:
    """``threads`` threads with one priority queue. Use it from one event loop only."""

    def __init__(self, name: str, threads: int, *, max_waiting: int, stall_timeout_s: float) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._threads = threads
        self._max_waiting = max_waiting
        self._stall_timeout_s = stall_timeout_s
        self._queue: PriorityQueue[_Step] = PriorityQueue()
        self._numbers = count()
        self._busy_since: dict[int, float] = {}  # by thread
        self._closed = False

    def load(self) -> Load:
        """Return the number of running steps, cancelled requests included, and of queued steps."""
        return Load(active=len(self._busy_since), waiting=self._waiting(), slots=self._threads)

    async def stream(self, source: Generator[T, None, None], rank: int = 0) -> AsyncGenerator[T, None]:
        """Yield the values of ``source``, computed one ahead of the caller; its first step has ``rank``.

        Closing this generator cancels the queued step and closes ``source`` after the running one. Raise ``Overloaded``
        if the queue is full.
        """
        if self._waiting() >= self._max_waiting:
            raise Overloaded("the engine's queue is full", retry_after_s=RETRY_AFTER_S)
        step = partial(next, source, _END)
        ahead = self._submit(step, rank)
        try:
            while (value := await asyncio.wrap_future(ahead)) is not _END:
                rank += 1
                ahead = self._submit(step, rank)
                yield value
        finally:
            ahead.cancel()
            ahead.add_done_callback(lambda _: source.close())  # runs now, or in the thread that runs the step

    async def check(self, probe: Callable[[], object]) -> None:
        """Run ``probe`` in a thread if all threads are idle; else raise ``EngineUnavailable`` if a step hangs."""
        now = time.monotonic()
        since = list(self._busy_since.values())
        if now - min(since, default=now) > self._stall_timeout_s:
            raise EngineUnavailable(f"the engine has made no progress for over {self._stall_timeout_s:g} s")
        if not since:
            await asyncio.wrap_future(self._submit(probe, _CHECK_RANK))

    def close(self, release: Callable[[], object]) -> None:
        """End the threads after the running and queued steps, then call ``release``. Return at once; idempotent."""
        if not self._closed:
            self._closed = True
            self._executor.shutdown(wait=False)
            Thread(target=self._end, args=(release,)).start()

    def _end(self, release: Callable[[], object]) -> None:
        self._executor.shutdown(wait=True)
        release()

    def _waiting(self) -> int:
        with self._queue.mutex:
            return sum(not step.result.cancelled() for step in self._queue.queue)

    def _submit(self, work: Callable[[], object], rank: int) -> Future[Any]:
        step = _Step(rank, next(self._numbers), work)
        self._queue.put(step)
        try:
            self._executor.submit(self._run_first)  # one call per step; the queue decides which step it runs
        except RuntimeError:
            raise EngineUnavailable("the engine is closed") from None
        return step.result

    def _run_first(self) -> None:
        """Run the first step of the queue; called in a thread of the pool."""
        step = self._queue.get_nowait()
        if not step.result.set_running_or_notify_cancel():
            return
        self._busy_since[get_ident()] = time.monotonic()
        value, failure = None, None
        try:
            value = step.work()
        except BaseException as error:
            failure = error
        del self._busy_since[get_ident()]  # before the result is set: then its request counts as ended
        if failure is not None:
            step.result.set_exception(failure)
        else:
            step.result.set_result(value)


class PooledEngine(ABC):
    """The part that engines with a ``Pool`` have in common: utilization, health and the end."""

    def __init__(self, name: str, args: PooledArgs, threads: int) -> None:
        self._pool = Pool(name, threads, max_waiting=args.max_waiting, stall_timeout_s=args.stall_timeout_s)
        self._produced_lock = Lock()
        self.produced = 0

    def load(self) -> Load:
        return self._pool.load()

    async def check(self) -> None:
        await self._pool.check(self._probe)

    async def close(self) -> None:
        self._pool.close(self._release)

    def _count(self, values: int = 1) -> None:
        """Add to ``produced``; may be called in any thread."""
        with self._produced_lock:
            self.produced += values

    @abstractmethod
    def _probe(self) -> None:
        """Run a small inference; called in a thread of the pool. Raise if it fails."""

    @abstractmethod
    def _release(self) -> None:
        """Release the model's memory; called once, after the last step."""
