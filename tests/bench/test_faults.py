"""What bench.faults concludes from requests and polls, and that it undoes each fault."""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
from collections import namedtuple
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import psutil
import pytest
import yaml

from bench import faults
from bench.client import InvalidResponse
from bench.faults import Answer, Outcome, Poll, failure_of, false_polls, is_process, is_settled, outcome

ROOT = Path(__file__).resolve().parents[2]
CONFIG = yaml.safe_load((ROOT / "serve_config.yaml").read_text())
KINDS = ("text", "voice")
DiskUsage = namedtuple("DiskUsage", "free")


def answers(start_s: float, end_s: float, failure: Any = None) -> list[Answer]:
    """Return answers of every kind, one of each per second, that take half a second."""
    times = [start_s + step for step in range(int(end_s - start_s))]
    return [Answer(kind, at_s, at_s + 0.5, failure) for at_s in times for kind in KINDS]


def refused() -> httpx.TransportError:
    error = httpx.TransportError("refused")
    error.__cause__ = aiohttp.ClientConnectorError(None, OSError())  # type: ignore[arg-type]
    return error


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (refused(), "refused"),
        (httpx.ReadTimeout("nothing"), "hung"),
        (httpx.TransportError("closed"), "broken"),
        (InvalidResponse("no end"), "broken"),
    ],
)
def test_names_how_a_request_without_a_status_failed(error: Exception, failure: str) -> None:
    assert failure_of(error) == failure


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("ray::ServeReplica:parley:TextLLM", "TextLLM"),
        ("ray::ProxyActor", "proxy"),
        ("ray::ServeController", "controller"),
    ],
)
def test_finds_a_process_by_its_title(title: str, name: str) -> None:
    assert [process for process in faults.PROCESSES if is_process(title, process)] == [name]


def test_is_settled_once_every_kind_is_answered_after_the_last_failure() -> None:
    failing = [*answers(0, 3, "typed"), Answer("text", 2.0, 2.5, None)]
    recovered = [*failing, *answers(3, 9)]
    assert is_settled(recovered, KINDS, since_s=0, now_s=9)
    assert not is_settled(recovered, KINDS, since_s=0, now_s=7)  # quiet for less than five seconds
    assert not is_settled(recovered, [*KINDS, "speech"], since_s=0, now_s=9)
    assert not is_settled(failing, KINDS, since_s=0, now_s=60)


def test_a_late_answer_counts_as_not_recovered() -> None:
    late = Answer("text", 0, 8, None)
    assert not is_settled([*answers(0, 5), late], KINDS, since_s=0, now_s=20)
    assert is_settled([*answers(0, 5), late, *answers(8, 10)], KINDS, since_s=0, now_s=20)


def test_an_outcome_counts_what_ended_after_the_fault() -> None:
    observed = [*answers(0, 10), Answer("text", 9.8, 10.2, "broken"), *answers(10, 12, "typed"), *answers(12, 14)]
    polls = [Poll(9, "ready"), Poll(11, "503"), Poll(12, "ready")]
    found = outcome("kill:TextLLM", observed, polls, fault_s=10)
    assert (found.requests, found.correct) == (9, 4)
    assert found.failed == {"typed": 4, "broken": 1}
    assert found.back_s == 1.5
    assert found.health == {"503": 1, "ready": 1, "false_ready": 0, "false_alarm": 0}


def test_reports_a_wrong_answer_with_its_detail() -> None:
    found = outcome("kill:proxy", [Answer("text", 1, 2, "wrong", "200 Berlin")], [], fault_s=0)
    found.works = True
    assert found.details == ["wrong: text: 200 Berlin"]
    assert not found.is_acceptable


@pytest.mark.parametrize(
    ("failed", "works", "acceptable"),
    [({}, True, True), ({"typed": 3, "refused": 1}, True, True), ({"untyped": 1}, True, False), ({}, False, False)],
)
def test_accepts_typed_and_refused_requests_if_the_service_works_afterwards(
    failed: dict[str, int], works: bool, acceptable: bool
) -> None:
    assert Outcome("x", failed=failed, works=works).is_acceptable is acceptable


def test_ready_is_false_while_requests_fail_or_hang() -> None:
    hung = Answer("text", 1, 30, "hung")
    polls = [Poll(2, "ready"), Poll(10, "ready"), Poll(20, "503"), Poll(25, "degraded"), Poll(31, "ready")]
    assert false_polls(polls, [hung], fault_s=1) == (2, 0)  # the first poll is within the time to notice


def test_ready_is_true_while_the_only_failures_are_those_of_the_moment_of_the_fault() -> None:
    broken = Answer("text", 0.9, 1.1, "broken")
    assert false_polls([Poll(2, "ready"), Poll(5, "ready")], [broken, *answers(2, 8)], fault_s=1) == (0, 0)


def test_unready_is_a_false_alarm_only_while_every_kind_is_answered() -> None:
    text_only = [answer for answer in answers(0, 10) if answer.kind == "text"]
    polls = [Poll(5, "503"), Poll(15, "503")]
    assert false_polls(polls, [*text_only, *answers(12, 20)], fault_s=0) == (0, 1)


@contextmanager
def child() -> Iterator[psutil.Process]:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        yield psutil.Process(process.pid)
    finally:
        process.kill()
        process.wait()


def test_a_stopped_process_continues_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    async def body() -> tuple[str, str]:
        with child() as process:
            monkeypatch.setattr(faults, "application", lambda port: [process])
            monkeypatch.setattr(faults, "title_of", lambda _: "ray::ProxyActor")
            async with faults.signalled(8265, "proxy", faults.signal.SIGSTOP):
                await asyncio.sleep(0.2)
                during = process.status()
            await asyncio.sleep(0.2)
            return during, process.status()

    during, after = asyncio.run(body())
    assert during == psutil.STATUS_STOPPED
    assert after != psutil.STATUS_STOPPED


def test_a_process_that_does_not_exist_skips_the_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults, "application", lambda port: [])

    async def body() -> None:
        async with faults.signalled(8265, "proxy", faults.signal.SIGKILL):
            raise AssertionError

    with pytest.raises(faults.Skipped, match="no process of proxy"):
        asyncio.run(body())


def test_fills_no_file_system_with_more_free_space_than_the_bound(tmp_path: Path) -> None:
    async def body() -> None:
        async with faults.full(tmp_path, 1):
            raise AssertionError

    with pytest.raises(faults.Skipped, match="more than --max-fill-mib"):
        asyncio.run(body())


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def test_the_filling_file_is_bounded_and_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults.shutil, "disk_usage", lambda _: DiskUsage(free=2 * 2**20))

    async def body() -> int:
        async with faults.full(tmp_path, 3 * 2**20):
            return size_of(tmp_path)

    assert 2 * 2**20 <= asyncio.run(body()) <= 4 * 2**20
    assert list(tmp_path.iterdir()) == []


def test_filling_ends_where_the_file_system_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    writes = []

    def write(descriptor: int, data: bytes) -> int:
        writes.append(len(data))
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", write)
    faults.fill(0, 2**40)
    assert len(writes) == 1


def test_bad_settings_are_refused_by_every_deployment() -> None:
    changed = faults.with_bad_settings(CONFIG)
    assert all("no_such_setting" in d["user_config"] for d in changed["applications"][0]["deployments"])
    assert all("no_such_setting" not in d["user_config"] for d in CONFIG["applications"][0]["deployments"])


def test_a_drain_changes_only_what_makes_ray_replace_replicas() -> None:
    changed = faults.with_new_replicas(CONFIG)
    pairs = zip(CONFIG["applications"][0]["deployments"], changed["applications"][0]["deployments"], strict=True)
    for before, after in pairs:
        assert before["ray_actor_options"] != after["ray_actor_options"]
        assert before | {"ray_actor_options": None} == after | {"ray_actor_options": None}


def test_a_row_shows_a_skipped_fault_with_its_reason() -> None:
    assert faults.row(Outcome("full-shm", skipped="too large")).startswith("| full-shm | skipped: too large |")


def test_rejects_unknown_faults() -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="unknown fault"):
        faults.fault_name("kill:everything")
