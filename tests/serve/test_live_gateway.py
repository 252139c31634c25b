"""The Gateway's limits change while it serves: nothing restarts, and a slip of the pen changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.serve.serve_fakes import FAKES, gateway, replicas, wait_until


@pytest.fixture
def reconfigured(fakes: str, service: Callable[[dict[str, Any]], str]) -> Iterator[Callable[[dict[str, Any]], Any]]:
    """Deploys the fakes with another ``user_config`` of their Gateway; the usual one comes back."""
    yield lambda user_config: service(gateway(user_config=user_config))
    service(FAKES)


def test_a_limit_changes_without_a_restart(client: httpx.Client, reconfigured: Callable[[dict[str, Any]], Any]) -> None:
    before = replicas()
    reconfigured({"max_text_chars": 5})
    wait_until(lambda: client.post("/chat", json={"text": "Good day."}).status_code == 413, 10)
    reconfigured({"max_text_chars": 9, "overlap_speech": False})
    wait_until(lambda: client.post("/chat", json={"text": "Good day."}).status_code == 200, 10)
    assert replicas() == before


def test_a_bad_limit_changes_nothing(client: httpx.Client, reconfigured: Callable[[dict[str, Any]], Any]) -> None:
    before = replicas()
    reconfigured({"max_text_chars": -1})
    assert client.post("/chat", json={"text": "Good day."}).status_code == 200
    assert replicas() == before
