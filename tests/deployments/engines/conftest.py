"""An engine is loaded once. All tests run in one event loop, as a replica has one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from tests.deployments.engines.cases import PRESENT, Case


@pytest.fixture(scope="session")
def run() -> Iterator[Callable[[Coroutine[Any, Any, Any]], Any]]:
    """Runs a coroutine in the one event loop of these tests."""
    with asyncio.Runner() as runner:
        yield runner.run


@pytest.fixture(scope="session", params=PRESENT, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> Case:
    return request.param


@pytest.fixture(scope="session")
def engine(case: Case, tmp_path_factory: pytest.TempPathFactory, run: Callable[[Any], Any]) -> Iterator[Any]:
    loaded = case.load(tmp_path_factory.mktemp(case.name))
    yield loaded
    run(loaded.close())
