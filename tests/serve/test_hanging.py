"""A replica whose process is stopped, as by a debugger or a driver that hangs: it accepts calls and never answers."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from graphs.pipeline.shared import CACHE_S
from tests.serve.serve_fakes import APPLICATION, FAKES, PICTURE, wait_until

STAGE_TIMEOUT_S = 2.0
SLOW_S = 2 * STAGE_TIMEOUT_S
HEALTH_TIMEOUT_S = 1.0
CHECKS = {"health_check_period_s": 1, "health_check_timeout_s": 3}  # replaced after ten seconds
REPLACED_S = 60
LONG = {"text": "One two three four. " * 100}


def hanging_fakes() -> dict[str, Any]:
    """Return the application of fakes with short time limits and a slow vision model."""
    config = {"stage_timeout_s": STAGE_TIMEOUT_S, "health_timeout_s": HEALTH_TIMEOUT_S}
    return FAKES | {
        "args": FAKES["args"] | {"vision_llm": FAKES["args"]["vision_llm"] | {"first_s": SLOW_S}},
        "deployments": [
            d | CHECKS | ({"user_config": d["user_config"] | config} if d["name"] == "Gateway" else {})
            for d in FAKES["deployments"]
        ],
    }


@pytest.fixture(scope="module")
def url(service: Callable[[dict[str, Any]], str]) -> Iterator[str]:
    yield service(hanging_fakes())
    service(FAKES)


@pytest.fixture
def client(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, timeout=60) as client:
        yield client


def pid_of(deployment: str) -> int:
    """Return the process of the one replica of a deployment."""
    from ray import serve

    return int(serve.get_deployment_handle(deployment, APPLICATION).pid.remote().result(timeout_s=30))


@pytest.fixture
def stopped(client: httpx.Client) -> Iterator[Callable[[str], int]]:
    """Return a function that stops the process of a deployment's replica and returns its id."""
    pids: list[int] = []

    def stop(deployment: str) -> int:
        pid = pid_of(deployment)
        os.kill(pid, signal.SIGSTOP)
        pids.append(pid)
        return pid

    yield stop
    for pid in pids:
        if os.path.exists(f"/proc/{pid}"):
            os.kill(pid, signal.SIGKILL)
    wait_until(lambda: client.get("/health").status_code == 200, REPLACED_S)


def test_callers_of_a_stopped_replica_get_503_in_time_and_it_is_replaced(
    client: httpx.Client, stopped: Callable[[str], int]
) -> None:
    with ThreadPoolExecutor() as pool:
        pending = pool.submit(client.post, "/chat", json=LONG)
        time.sleep(0.5)  # its answer takes five seconds
        pid = stopped("TextLLM")
        started_s = time.monotonic()
        later = client.post("/chat", json={"text": "Good day."})  # the replica never starts this one
        assert time.monotonic() - started_s < STAGE_TIMEOUT_S + 2
        for response in (pending.result(), later):
            assert response.status_code == 503, response.text
            assert response.json()["error"]["code"] == "engine_unavailable"
            assert "has sent nothing for 2 s" in response.json()["error"]["message"]
            assert int(response.headers["retry-after"]) >= 1
    assert client.post("/chat", json={"text": "Good day."}).status_code in (200, 503)
    wait_until(lambda: client.post("/chat", json={"text": "Good day."}).status_code == 200, REPLACED_S)
    assert pid_of("TextLLM") != pid
    wait_until(lambda: not os.path.exists(f"/proc/{pid}"), 10)


def test_a_stopped_replica_affects_no_other_stage(client: httpx.Client, stopped: Callable[[str], int]) -> None:
    stopped("TextLLM")
    speech = client.post("/v1/audio/speech", json={"model": "fake-tts", "input": "Good day.", "voice": "alloy"})
    assert speech.status_code == 200


def test_health_names_the_stopped_replica_and_is_200_again_after_its_replacement(
    client: httpx.Client, stopped: Callable[[str], int]
) -> None:
    assert client.get("/health").json()["status"] == "ready"
    assert client.post("/chat", files={"image": PICTURE, "text": (None, "Good day.")}).status_code == 200
    stopped("VisionLLM")
    time.sleep(CACHE_S)
    started_s = time.monotonic()
    assert client.get("/health").status_code == 503  # although it answered a moment ago
    assert time.monotonic() - started_s < HEALTH_TIMEOUT_S + 2
    assert "VisionLLM" in client.get("/health").json()["error"]["message"]
    assert client.get("/health/live").json() == {"status": "live"}
    wait_until(lambda: client.get("/health").status_code == 200, REPLACED_S)


def test_a_slow_stage_is_no_hanging_replica(client: httpx.Client) -> None:
    """Its replica sends heartbeats."""
    started_s = time.monotonic()
    response = client.post("/chat", files={"image": PICTURE, "text": (None, "Good day.")})
    assert response.status_code == 200, response.text
    assert time.monotonic() - started_s > SLOW_S
