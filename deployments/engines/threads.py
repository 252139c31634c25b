"""The CPU settings of a replica's process, and an executor with one thread.

``prepare`` must run before the engine's library is imported: OpenMP reads its environment variables only once.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from threadpoolctl import threadpool_limits

from deployments.settings import EngineArgs

R = TypeVar("R")

BRIEFLY = {"GOMP_SPINCOUNT": "100000", "KMP_BLOCKTIME": "1"}
"""An idle thread spins for about 2 ms (GNU's OpenMP) or 1 ms (LLVM's) before it sleeps."""


def prepare(args: EngineArgs) -> None:
    """Set the threads of OpenMP and BLAS, what their idle threads do, and the niceness of the calling thread.

    Threads inherit the niceness of the thread that starts them. It is only raised: lowering it needs privileges.
    """
    os.environ["OMP_NUM_THREADS"] = str(args.threads)
    if args.omp_wait_policy == "brief":
        os.environ.pop("OMP_WAIT_POLICY", None)
        os.environ.update(BRIEFLY)
    else:
        os.environ["OMP_WAIT_POLICY"] = args.omp_wait_policy.upper()
    threadpool_limits(args.threads, "blas")  # numpy is loaded already, and its idle threads would spin
    os.setpriority(os.PRIO_PROCESS, 0, max(args.niceness, os.getpriority(os.PRIO_PROCESS, 0)))


class SerialExecutor:
    """One thread that runs calls in order of submission."""

    def __init__(self, name: str) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
        self._busy_since: float | None = None

    def submit(self, work: Callable[[], R]) -> Future[R]:
        """Queue a call. Raise ``RuntimeError`` if the executor is closed."""
        return self._executor.submit(self._timed, work)

    def busy_s(self) -> float:
        """Return for how long the current call has been running, in seconds; 0 if there is none."""
        since = self._busy_since
        return 0.0 if since is None else time.monotonic() - since

    def close(self, *, wait: bool) -> None:
        """End the thread after the queued calls. Idempotent."""
        self._executor.shutdown(wait=wait)

    def _timed(self, work: Callable[[], R]) -> R:
        self._busy_since = time.monotonic()
        try:
            return work()
        finally:
            self._busy_since = None
