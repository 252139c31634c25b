from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from deployments.metrics import Metric


@pytest.fixture(scope="session")
def run() -> Iterator[Callable[[Coroutine[Any, Any, Any]], Any]]:
    """Run a coroutine in the one event loop of these tests, as a replica has one."""
    with asyncio.Runner() as runner:
        yield runner.run


@pytest.fixture
def records(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[tuple[float, dict[str, str]]]]:
    """The recorded values and labels by the metric's name; nothing is passed on to Ray."""
    recorded: dict[str, list[tuple[float, dict[str, str]]]] = {}
    monkeypatch.setattr(
        Metric, "record", lambda self, value, **labels: recorded.setdefault(self.name, []).append((value, labels))
    )
    return recorded
