"""A thread for calls that block, and what libraries are told of threads. Knows nothing of models.

``prepare`` must run before the library is imported, as OpenMP reads its settings only once.
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
"""About two milliseconds in GNU's OpenMP, and one in LLVM's, before a thread sleeps."""


def prepare(args: EngineArgs) -> None:
    """Tell OpenMP and numpy how many threads this process gets and what they do when idle; and give way to the gateway.

    A niceness is this thread's and is inherited by those that it starts. It is raised and never lowered, for which one
    would have to be root.
    """
    os.environ["OMP_NUM_THREADS"] = str(args.threads)
    if args.omp_wait_policy == "brief":
        os.environ.pop("OMP_WAIT_POLICY", None)
        os.environ.update(BRIEFLY)
    else:
        os.environ["OMP_WAIT_POLICY"] = args.omp_wait_policy.upper()
    threadpool_limits(args.threads, "blas")  # numpy is there already, and its idle threads spin on cores of others
    os.setpriority(os.PRIO_PROCESS, 0, max(args.niceness, os.getpriority(os.PRIO_PROCESS, 0)))


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
