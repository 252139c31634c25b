"""The order of events in whole scenarios; see ``scenario`` for how to read the files."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.graphs.http.openai.realtime.scenario import replay

SCENARIOS = sorted((Path(__file__).parent / "scenarios").glob("*.txt"))


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_scenario(path: Path) -> None:
    assert replay(path.read_text()) == path.read_text()
