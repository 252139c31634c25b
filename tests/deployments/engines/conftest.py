"""Each case's engine is loaded once. All tests run in one event loop, as in a replica."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from deployments.engines.registry import load
from tests.deployments.engines.cases import CASES, Case


@pytest.fixture(scope="session", params=CASES, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> Case:
    return request.param


@pytest.fixture(scope="session")
def engine(case: Case, tmp_path_factory: pytest.TempPathFactory, run: Callable[[Any], Any]) -> Iterator[Any]:
    loaded = load(case.args(tmp_path_factory.mktemp(case.name)))
    yield loaded
    run(loaded.close())
