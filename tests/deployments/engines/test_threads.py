from __future__ import annotations

import os
import threading
import time

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from deployments.settings import WhisperArgs
from deployments.engines.threads import Lane, prepare


def test_openmp_is_told_of_threads_and_of_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "64")
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    prepare(WhisperArgs(threads=3, omp_wait_policy="passive", niceness=0))
    assert (os.environ["OMP_NUM_THREADS"], os.environ["OMP_WAIT_POLICY"]) == ("3", "PASSIVE")


def test_numpy_keeps_to_the_threads_of_the_model() -> None:
    """Its own would be as many as there are cores, and spin on them after every product."""
    with threadpool_limits(2, "blas"):
        prepare(WhisperArgs(threads=1, niceness=0))
        assert {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"} == {1}


def test_threads_that_wait_briefly_follow_no_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or they would spin as long as the policy says."""
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    monkeypatch.setenv("GOMP_SPINCOUNT", "1")
    monkeypatch.delenv("KMP_BLOCKTIME", raising=False)
    prepare(WhisperArgs(omp_wait_policy="brief", niceness=0))
    assert "OMP_WAIT_POLICY" not in os.environ
    assert (os.environ["GOMP_SPINCOUNT"], os.environ["KMP_BLOCKTIME"]) == ("100000", "1")


def test_a_model_gives_way_and_never_less_than_before() -> None:
    def niceness_after(wanted: int) -> int:
        prepare(WhisperArgs(niceness=wanted))
        return os.getpriority(os.PRIO_PROCESS, 0)

    lane = Lane("t")
    before = os.getpriority(os.PRIO_PROCESS, 0)
    assert lane.submit(lambda: niceness_after(before + 1)).result(5) == before + 1
    assert lane.submit(lambda: niceness_after(0)).result(5) == before + 1
    lane.close(wait=True)
    assert os.getpriority(os.PRIO_PROCESS, 0) == before


def test_a_lane_works_in_order_of_arrival_in_one_thread() -> None:
    lane, done = Lane("t"), []

    def work(number: int) -> int:
        time.sleep(0.002 * (3 - number))
        done.append(number)
        return threading.get_ident()

    threads = {future.result(5) for future in [lane.submit(lambda n=n: work(n)) for n in range(3)]}  # type: ignore[misc]
    lane.close(wait=True)
    assert done == [0, 1, 2]
    assert len(threads) == 1


def test_a_lane_tells_how_long_the_work_in_hand_takes() -> None:
    lane, begun, go = Lane("t"), threading.Event(), threading.Event()
    assert lane.busy_s() == 0
    future = lane.submit(lambda: (begun.set(), go.wait(5)))
    assert begun.wait(5)
    assert lane.busy_s() > 0
    go.set()
    future.result(5)
    lane.close(wait=True)
    assert lane.busy_s() == 0


def test_the_failure_of_one_work_is_its_callers_alone() -> None:
    lane = Lane("t")
    failing, next_one = lane.submit(lambda: 1 / 0), lane.submit(lambda: "fine")
    with pytest.raises(ZeroDivisionError):
        failing.result(5)
    assert next_one.result(5) == "fine"
    assert lane.busy_s() == 0
    lane.close(wait=True)


def test_a_closed_lane_takes_no_work() -> None:
    lane = Lane("t")
    lane.close(wait=True)
    lane.close(wait=True)
    with pytest.raises(RuntimeError):
        lane.submit(lambda: None)
