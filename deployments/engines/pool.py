"""From libraries that block to async values: a few threads that take the steps of many callers' work in turn.

A caller's work is a blocking generator; a step makes one value of it and is never interrupted. Waiting steps go by
rank, then by arrival, and every further step of a caller has a rank one higher: his first goes before another's fifth.
Knows nothing of models.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from queue import PriorityQueue
from threading import Thread, get_ident
from typing import Any, TypeVar

from deployments.errors import EngineUnavailable, Overloaded
from deployments.messages import Load

T = TypeVar("T")

RETRY_AFTER_S = 1.0  # the advice to one who finds no place
_PROBE_RANK = -1  # before everybody
_END = object()


@dataclass(order=True, slots=True)
class _Step:
    rank: int
    arrival: int
    work: Callable[[], object] = field(compare=False)
    done: Future[Any] = field(compare=False, default_factory=Future)


class Pool:
    """``threads`` threads and one queue for them. To be used from one event loop."""

    def __init__(self, name: str, threads: int, *, max_waiting: int, stall_timeout_s: float) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._threads = threads
        self._max_waiting = max_waiting
        self._stall_timeout_s = stall_timeout_s
        self._queue: PriorityQueue[_Step] = PriorityQueue()
        self._arrivals = count()
        self._busy_since: dict[int, float] = {}  # by thread
        self._closed = False

    def load(self) -> Load:
        """The steps in hand, of callers who left included, and those that wait for a thread."""
        return Load(active=len(self._busy_since), waiting=self._waiting(), slots=self._threads)

    async def stream(self, source: Generator[T, None, None], rank: int = 0) -> AsyncGenerator[T, None]:
        """The values of ``source``, made one ahead of the caller; its first step has ``rank``.

        When the caller stops, what has not begun never does, and ``source`` is closed after the step in hand. Raises
        ``Overloaded`` when too many wait already.
        """
        if self._waiting() >= self._max_waiting:
            raise Overloaded("Every place in the engine's queue is taken.", retry_after_s=RETRY_AFTER_S)
        step = partial(next, source, _END)
        ahead = self._submit(step, rank)
        try:
            while (value := await asyncio.wrap_future(ahead)) is not _END:
                rank += 1
                ahead = self._submit(step, rank)
                yield value
        finally:
            ahead.cancel()
            ahead.add_done_callback(lambda _: source.close())  # at once, or in the thread that is at it

    async def check(self, probe: Callable[[], object]) -> None:
        """Run ``probe`` if no thread is at work; else raise only when one of them hangs."""
        now = time.monotonic()
        since = list(self._busy_since.values())
        if now - min(since, default=now) > self._stall_timeout_s:
            raise EngineUnavailable(f"the engine has been silent for over {self._stall_timeout_s:g} s")
        if not since:
            await asyncio.wrap_future(self._submit(probe, _PROBE_RANK))

    def close(self, release: Callable[[], object]) -> None:
        """End the threads and then run ``release``, after the steps in hand and in the queue.

        Waits for neither; idempotent.
        """
        if not self._closed:
            self._closed = True
            self._executor.shutdown(wait=False)
            Thread(target=self._end, args=(release,)).start()

    def _end(self, release: Callable[[], object]) -> None:
        self._executor.shutdown(wait=True)
        release()

    def _waiting(self) -> int:
        with self._queue.mutex:
            return sum(not step.done.cancelled() for step in self._queue.queue)

    def _submit(self, work: Callable[[], object], rank: int) -> Future[Any]:
        step = _Step(rank, next(self._arrivals), work)
        self._queue.put(step)
        try:
            self._executor.submit(self._take_first)  # as many as there are steps; which one it takes is the queue's say
        except RuntimeError:
            raise EngineUnavailable("the engine is being closed") from None
        return step.done

    def _take_first(self) -> None:
        """Runs in one of the threads."""
        step = self._queue.get_nowait()
        if not step.done.set_running_or_notify_cancel():
            return
        self._busy_since[get_ident()] = time.monotonic()
        value, failure = None, None
        try:
            value = step.work()
        except BaseException as error:
            failure = error
        del self._busy_since[get_ident()]
        if failure is not None:
            step.done.set_exception(failure)
        else:
            step.done.set_result(value)
