"""Does every panel of the Grafana dashboard show data?

    python -m bench.dashboard [--prometheus http://127.0.0.1:9090] [--minutes 10] [--png dashboard.png]

Method: every query of configs/grafana/parley.json is sent to a Prometheus as Grafana would send it, for all deployments
and with a rate interval of one minute. Grafana itself is not involved: the picture shows the results of the queries.

JSON: ``curves``, the number of curves per panel. The exit status is 1 unless every panel has data.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from bench.client import connect
from bench.command import argument_parser, report

FILE = Path(__file__).parent.parent / "configs" / "grafana" / "parley.json"
VARIABLES = {"$deployment": ".*", "$__rate_interval": "1m"}
STEP_S = 10
COLUMNS = 3
UNITS = {"s": "seconds", "reqps": "requests / s", "percentunit": "share", "short": ""}


@dataclass(frozen=True, slots=True)
class Query:
    """A PromQL expression, and the template of the names of its curves."""

    expression: str
    legend: str


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel of the dashboard."""

    title: str
    unit: str
    queries: Sequence[Query]


@dataclass(frozen=True, slots=True)
class Curve:
    """The result of a query for one set of labels; ``at_s`` are seconds relative to now, all below 0."""

    name: str
    at_s: Sequence[float]
    values: Sequence[float]


def panels(file: Path) -> list[Panel]:
    """Return the panels of a dashboard, without the titles of its rows."""
    return [
        Panel(
            panel["title"],
            panel["fieldConfig"]["defaults"]["unit"],
            [Query(target["expr"], target["legendFormat"]) for target in panel["targets"]],
        )
        for panel in json.loads(file.read_text())["panels"]
        if panel["type"] != "row"
    ]


async def curves(client: httpx.AsyncClient, query: Query, seconds: float) -> list[Curve]:
    """Return the results of the last ``seconds``, without values that are not finite."""
    expression = query.expression
    for variable, value in VARIABLES.items():
        expression = expression.replace(variable, value)
    now = time.time()
    parameters: dict[str, str | float] = {"query": expression, "start": now - seconds, "end": now, "step": STEP_S}
    body = (await client.get("/api/v1/query_range", params=parameters)).raise_for_status().json()
    found = [_curve(series, query.legend, now) for series in body["data"]["result"]]
    return [curve for curve in found if curve.values]


def _curve(series: dict[str, Any], legend: str, now: float) -> Curve:
    points = [(at - now, float(value)) for at, value in series["values"] if math.isfinite(float(value))]
    name = re.sub(r"{{(\w+)}}", lambda label: series["metric"].get(label.group(1), ""), legend)
    return Curve(name, [at for at, _ in points], [value for _, value in points])


def draw(shown: Sequence[tuple[Panel, Sequence[Curve]]], file: Path) -> None:
    """Draw all panels into one PNG."""
    from matplotlib.figure import Figure

    rows = math.ceil(len(shown) / COLUMNS)
    figure = Figure(figsize=(5.5 * COLUMNS, 3.2 * rows), layout="constrained")
    for at, (panel, found) in enumerate(shown):
        axes = figure.add_subplot(rows, COLUMNS, at + 1)
        axes.set_title(panel.title, fontsize="medium")
        axes.set_ylabel(UNITS[panel.unit], fontsize="small")
        axes.tick_params(labelsize="small")
        for curve in found:
            axes.plot(curve.at_s, curve.values, label=curve.name)
        axes.set_ylim(bottom=0)
        if found:
            axes.legend(fontsize="xx-small", ncols=2)
    figure.savefig(file, dpi=80)


async def measure(options: argparse.Namespace) -> dict[str, int]:
    """Return the number of curves per panel; 0 if any of its queries has no result."""
    shown: list[tuple[Panel, list[Curve]]] = []
    async with connect(options.prometheus) as client:
        for panel in panels(FILE):
            found = [await curves(client, query, 60 * options.minutes) for query in panel.queries]
            shown.append((panel, [curve for of_query in found for curve in of_query] if all(found) else []))
    if options.png:
        draw(shown, options.png)
    return {panel.title: len(found) for panel, found in shown}


def main() -> int:
    parser = argument_parser(__doc__)
    parser.add_argument("--prometheus", default="http://127.0.0.1:9090")
    parser.add_argument("--minutes", default=10.0, type=float, help="range of the queries")
    parser.add_argument("--png", type=Path, help="draw the panels into this file")
    counts = asyncio.run(measure(parser.parse_args()))
    for title, count in counts.items():
        print(f"{count:>4} curves  {title}")
    report("dashboard", {"curves": counts})
    return 0 if all(counts.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
