"""The Grafana dashboard and the table of metrics in docs/operations.md agree with deployments/metrics.py."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from bench.dashboard import Panel, panels
from deployments import metrics
from deployments.metrics import Metric

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT / "configs" / "grafana" / "parley.json"
SHOWN = panels(FILE)

ALL = [value for value in vars(metrics).values() if isinstance(value, Metric)]


def exported(metric: Metric) -> str:
    """Return the name of a metric at Ray's endpoint."""
    return f"ray_{metric.name}_total" if metric.kind == "counter" else f"ray_{metric.name}"


EXPORTED = {exported(metric): metric for metric in ALL}
HISTOGRAM_SUFFIXES = ("_bucket", "_sum", "_count")


@pytest.fixture(scope="module")
def dashboard() -> dict[str, Any]:
    return json.loads(FILE.read_text())


def named(expression: str) -> set[str]:
    """Return the names of Parley's metrics in a query."""
    return set(re.findall(r"ray_parley_\w+", expression))


@pytest.mark.parametrize("panel", SHOWN, ids=lambda panel: panel.title)
def test_every_panel_queries_existing_metrics(panel: Panel) -> None:
    assert panel.queries
    for query in panel.queries:
        assert named(query.expression)
        for name in named(query.expression):
            base = re.sub(f"({'|'.join(HISTOGRAM_SUFFIXES)})$", "", name)
            assert base in EXPORTED
            assert (name != base) == (EXPORTED[base].kind == "histogram")


@pytest.mark.parametrize("metric", ALL, ids=lambda metric: metric.name)
def test_every_metric_has_a_panel(metric: Metric) -> None:
    assert any(exported(metric) in query.expression for panel in SHOWN for query in panel.queries)


def test_queries_use_existing_labels() -> None:
    known = {"le", "deployment", *(label for metric in ALL for label in metric.labels)}
    for panel in SHOWN:
        for query in panel.queries:
            labels = {
                label.strip() for group in re.findall(r"by \(([^)]*)\)", query.expression) for label in group.split(",")
            }
            assert labels | set(re.findall(r"(\w+)=~", query.expression)) <= known
            assert set(re.findall(r"{{(\w+)}}", query.legend)) <= labels


def test_panels_have_unique_ids_and_do_not_overlap(dashboard: dict[str, Any]) -> None:
    all_ = dashboard["panels"]
    assert len({panel["id"] for panel in all_}) == len(all_)
    covered = [
        (x, y)
        for cell in (panel["gridPos"] for panel in all_)
        for x in range(cell["x"], cell["x"] + cell["w"])
        for y in range(cell["y"], cell["y"] + cell["h"])
    ]
    assert len(set(covered)) == len(covered)
    assert max(x for x, _ in covered) < 24


def test_the_data_source_is_a_variable(dashboard: dict[str, Any]) -> None:
    sources = re.findall(r'"uid": "([^"]*)"', json.dumps(dashboard["panels"]))
    assert set(sources) == {"${datasource}"}


def test_every_field_is_in_grafanas_schema(dashboard: dict[str, Any]) -> None:
    plugins.register_default_plugins()
    written = json.loads(JSONEncoder().encode(Dashboard.from_json(deepcopy(dashboard))))
    assert not [*unknown(dashboard, written)]


def unknown(expected: Any, written: Any, at: str = "") -> Iterator[str]:
    """Yield the paths of values that are missing in ``written`` or that differ there."""
    if isinstance(expected, dict) and isinstance(written, dict):
        for key, value in expected.items():
            yield from unknown(value, written.get(key), f"{at}/{key}")
    elif isinstance(expected, list) and isinstance(written, list) and len(expected) == len(written):
        for index, (one, other) in enumerate(zip(expected, written, strict=True)):
            yield from unknown(one, other, f"{at}/{index}")
    elif expected != written:
        yield at


@pytest.mark.parametrize("metric", ALL, ids=lambda metric: metric.name)
def test_the_documentation_lists_every_metric(metric: Metric) -> None:
    rows = [line for line in (ROOT / "docs" / "operations.md").read_text().splitlines() if line.startswith("| `")]
    (row,) = [row for row in rows if row.startswith(f"| `{exported(metric)}` |")]
    assert metric.kind in row
    assert metric.meaning in row
    assert all(f"`{label}`" in row for label in metric.labels)
