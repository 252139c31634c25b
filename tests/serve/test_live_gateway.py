"""The Gateway's live settings change while it serves: no replica restarts, and invalid settings change nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.serve.serve_fakes import FAKES, replicas, wait_until, with_gateway


@pytest.fixture
def reconfigured(fakes: str, service: Callable[[dict[str, Any]], str]) -> Iterator[Callable[[dict[str, Any]], Any]]:
    """Deploy the fakes with another ``user_config`` of their Gateway; the usual one is restored after the test."""
    yield lambda user_config: service(with_gateway(user_config=user_config))
    service(FAKES)


def test_a_changed_limit_applies_without_a_restart(
    client: httpx.Client, reconfigured: Callable[[dict[str, Any]], Any]
) -> None:
    before = replicas()
    reconfigured({"max_text_chars": 5})
    wait_until(lambda: client.post("/chat", json={"text": "Good day."}).status_code == 413, 10)
    reconfigured({"max_text_chars": 9, "max_images": 2})
    wait_until(lambda: client.post("/chat", json={"text": "Good day."}).status_code == 200, 10)
    assert replicas() == before


def test_an_invalid_limit_changes_nothing(client: httpx.Client, reconfigured: Callable[[dict[str, Any]], Any]) -> None:
    before = replicas()
    reconfigured({"max_text_chars": -1})
    assert client.post("/chat", json={"text": "Good day."}).status_code == 200
    assert replicas() == before


def test_health_shows_a_refused_limit_until_a_valid_one_applies(
    client: httpx.Client, reconfigured: Callable[[dict[str, Any]], Any]
) -> None:
    reconfigured({"max_text_chars": -1})
    wait_until(lambda: client.get("/health").json()["status"] == "degraded", 10)
    refused = client.get("/health").json()["refused"]
    assert refused.keys() == {"Gateway"}
    assert "max_text_chars" in refused["Gateway"]
    reconfigured({"max_text_chars": 9})
    wait_until(lambda: client.get("/health").json()["status"] == "ready", 10)


def test_health_shows_the_refused_settings_of_a_model(
    client: httpx.Client, service: Callable[[dict[str, Any]], str]
) -> None:
    before = replicas()
    deployments = [
        d | {"user_config": {"speed": 9}} if d["name"] == "TextToSpeech" else d for d in FAKES["deployments"]
    ]
    service(FAKES | {"deployments": deployments})
    try:
        wait_until(lambda: client.get("/health").json()["status"] == "degraded", 20)
        assert "speed" in client.get("/health").json()["refused"]["TextToSpeech"]
        assert replicas() == before
    finally:
        service(FAKES)
    wait_until(lambda: client.get("/health").json()["status"] == "ready", 20)
