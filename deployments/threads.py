"""From a library that blocks to async values: one thread that works for one caller at a time, in order of arrival.

Knows nothing of models. ``prepare`` must run before the library is imported, as OpenMP reads its settings only once.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import AsyncGenerator, Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

from deployments.errors import EngineUnavailable
from deployments.messages import Load
from deployments.settings import EngineArgs

logger = logging.getLogger("ray.serve")

T = TypeVar("T")
R = TypeVar("R")


def prepare(args: EngineArgs) -> None:
    """Tell OpenMP how many threads this process gets and what they do when idle."""
    os.environ["OMP_NUM_THREADS"] = str(args.threads)
    os.environ["OMP_WAIT_POLICY"] = args.omp_wait_policy.upper()


class Lane:
    """One thread, which works in order of arrival."""

    def __init__(self, name: str) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
        self._busy_since: float | None = None

    def submit(self, work: Callable[[], R]) -> Future[R]:
        """Raises ``RuntimeError`` when the lane is closed."""
        return self._executor.submit(self._timed, work)

    def busy_s(self) -> float:
        """Seconds that the work in hand has taken so far; 0 when there is none."""
        since = self._busy_since
        return 0.0 if since is None else time.monotonic() - since

    def close(self, *, wait: bool) -> None:
        """Ends after what was submitted. Idempotent."""
        self._executor.shutdown(wait=wait)

    def _timed(self, work: Callable[[], R]) -> R:
        self._busy_since = time.monotonic()
        try:
            return work()
        finally:
            self._busy_since = None


class Worker:
    """One thread and the queue for it. To be used from one event loop."""

    def __init__(self, name: str, stall_timeout_s: float) -> None:
        self._lane = Lane(name)
        self._turn = asyncio.Lock()  # first come, first served
        self._stall_timeout_s = stall_timeout_s
        self._work: Callable[[], object] | None = None
        self._callers = 0

    def load(self) -> Load:
        """One caller's work is done at a time; the others wait."""
        return Load(active=min(self._callers, 1), waiting=max(self._callers - 1, 0), slots=1)

    async def stream(
        self, make: Callable[[], Generator[T | None, None, None]], linger_s: float = 0.0
    ) -> AsyncGenerator[list[T], None]:
        """The values of a blocking generator, those ready within ``linger_s`` together and the first one alone.

        The thread works one batch ahead of the caller. When the caller stops, the generator is closed, in its thread,
        after the value in hand; it yields ``None`` where it can be stopped before it has a value. A caller that leaves
        while he waits for his turn never starts.
        """
        self._callers += 1
        try:
            async with self._turn:
                pull = _Pull(make(), linger_s)
                ahead = self._submit(pull)
                try:
                    while batch := await asyncio.wrap_future(ahead):
                        ahead = self._submit(pull)
                        yield batch
                finally:
                    # Not awaited, so that nothing can interrupt it; the next caller's work queues behind it.
                    pull.stop = True
                    self._submit(pull.close)
        finally:
            self._callers -= 1

    async def check(self, probe: Callable[[], object]) -> None:
        """Run ``probe`` if the thread is idle; if it is at work, raise only when it hangs."""
        if self._turn.locked():
            if self._silent_s() > self._stall_timeout_s:
                raise EngineUnavailable(f"the engine has been silent for over {self._stall_timeout_s:g} s")
            return
        async with self._turn:
            await asyncio.wrap_future(self._submit(probe))

    def close(self, release: Callable[[], object]) -> None:
        """Run ``release`` after the work in hand and end the thread. Waits for neither; idempotent."""
        try:
            self._submit(release)
        except RuntimeError:  # closed before
            return
        self._lane.close(wait=False)

    def _submit(self, work: Callable[[], R]) -> Future[R]:
        self._work = work
        return self._lane.submit(work)

    def _silent_s(self) -> float:
        """Seconds since the work in the thread last gave a sign of life; 0 when there is none."""
        busy_s = self._lane.busy_s()
        return min(busy_s, time.monotonic() - self._work.alive) if isinstance(self._work, _Pull) else busy_s


class _Pull(Generic[T]):
    """Takes the next batch out of a generator. Called in the engine's thread; ``stop`` may be set from any."""

    def __init__(self, source: Generator[T | None, None, None], linger_s: float) -> None:
        self._source = source
        self._linger_s = linger_s
        self._first = True
        self._failure: Exception | None = None
        self.stop = False
        self.alive = time.monotonic()

    def __call__(self) -> list[T]:
        """The next values; empty at the end. A failure is raised only after the values that came before it."""
        if self._failure:
            raise self._failure
        batch: list[T] = []
        until = time.monotonic() + self._linger_s
        try:
            while not self.stop:
                value = next(self._source)
                self.alive = time.monotonic()
                if value is None:
                    continue
                batch.append(value)
                if self._first or self.alive >= until:
                    self._first = False
                    break
        except StopIteration:
            pass
        except Exception as failure:
            if not batch:
                raise
            self._failure = failure
        return batch

    def close(self) -> None:
        """End the generator, so that it gives back what it holds."""
        try:
            self._source.close()
        except Exception:
            logger.exception("the engine failed while a request was being stopped")
