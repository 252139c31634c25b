from __future__ import annotations

import os
import threading
import time

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from deployments.engines.threads import SerialExecutor, prepare
from deployments.settings import EngineArgs


def test_prepare_sets_threads_and_wait_policy_of_openmp(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "64")
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    prepare(EngineArgs(threads=3, omp_wait_policy="passive", niceness=0))
    assert (os.environ["OMP_NUM_THREADS"], os.environ["OMP_WAIT_POLICY"]) == ("3", "PASSIVE")


def test_prepare_limits_the_threads_of_numpy() -> None:
    """By default numpy has one per core, and they spin after every matrix product."""
    with threadpool_limits(2, "blas"):
        prepare(EngineArgs(threads=1, niceness=0))
        assert {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"} == {1}


def test_brief_waiting_sets_spin_counts_and_no_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A policy would override the spin counts."""
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    monkeypatch.setenv("GOMP_SPINCOUNT", "1")
    monkeypatch.delenv("KMP_BLOCKTIME", raising=False)
    prepare(EngineArgs(omp_wait_policy="brief", niceness=0))
    assert "OMP_WAIT_POLICY" not in os.environ
    assert (os.environ["GOMP_SPINCOUNT"], os.environ["KMP_BLOCKTIME"]) == ("100000", "1")


def test_prepare_raises_the_niceness_and_never_lowers_it() -> None:
    def niceness_after(niceness: int) -> int:
        prepare(EngineArgs(niceness=niceness))
        return os.getpriority(os.PRIO_PROCESS, 0)

    executor = SerialExecutor("t")
    before = os.getpriority(os.PRIO_PROCESS, 0)
    assert executor.submit(lambda: niceness_after(before + 1)).result(5) == before + 1
    assert executor.submit(lambda: niceness_after(0)).result(5) == before + 1
    executor.close(wait=True)
    assert os.getpriority(os.PRIO_PROCESS, 0) == before


def test_runs_calls_in_order_in_one_thread() -> None:
    executor, done = SerialExecutor("t"), []

    def work(number: int) -> int:
        time.sleep(0.002 * (3 - number))
        done.append(number)
        return threading.get_ident()

    threads = {future.result(5) for future in [executor.submit(lambda n=n: work(n)) for n in range(3)]}  # type: ignore[misc]
    executor.close(wait=True)
    assert done == [0, 1, 2]
    assert len(threads) == 1


def test_busy_s_is_the_time_of_the_running_call() -> None:
    executor, started, go = SerialExecutor("t"), threading.Event(), threading.Event()
    assert executor.busy_s() == 0
    future = executor.submit(lambda: (started.set(), go.wait(5)))
    assert started.wait(5)
    assert executor.busy_s() > 0
    go.set()
    future.result(5)
    executor.close(wait=True)
    assert executor.busy_s() == 0


def test_an_error_reaches_only_its_own_caller() -> None:
    executor = SerialExecutor("t")
    failing, next_one = executor.submit(lambda: 1 / 0), executor.submit(lambda: "fine")
    with pytest.raises(ZeroDivisionError):
        failing.result(5)
    assert next_one.result(5) == "fine"
    assert executor.busy_s() == 0
    executor.close(wait=True)


def test_a_closed_executor_refuses_calls() -> None:
    executor = SerialExecutor("t")
    executor.close(wait=True)
    executor.close(wait=True)
    with pytest.raises(RuntimeError):
        executor.submit(lambda: None)
