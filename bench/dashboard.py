"""The panels of the Grafana dashboard, asked of a Prometheus and drawn: does each of them show something?

    python -m bench.dashboard [--prometheus http://127.0.0.1:9090] [--minutes 10] [--png dashboard.png]

Every query of configs/grafana/parley.json is asked as Grafana would ask it, with all deployments and a rate interval of
one minute. Grafana itself has no part in this: the picture shows what the queries return, not how Grafana draws it.
The last line is JSON; the exit status is 1 unless every panel has data.
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

from bench.client import connect, report

FILE = Path(__file__).parent.parent / "configs" / "grafana" / "parley.json"
VARIABLES = {"$deployment": ".*", "$__rate_interval": "1m"}
STEP_S = 10
COLUMNS = 3
UNITS = {"s": "seconds", "reqps": "requests / s", "percentunit": "share", "short": ""}


@dataclass(frozen=True, slots=True)
class Query:
    """A PromQL expression, and the names of the curves it gives."""

    expression: str
    legend: str


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture of the dashboard."""

    title: str
    unit: str
    queries: Sequence[Query]


@dataclass(frozen=True, slots=True)
class Curve:
    """What a query returned for one set of labels: ``at_s`` are seconds before now, all below 0."""

    name: str
    at_s: Sequence[float]
    values: Sequence[float]


def panels(file: Path) -> list[Panel]:
    """The panels of a dashboard, without the titles of its rows."""
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
    """What the query gave in the last ``seconds``; values that are no numbers are left out."""
    expression = query.expression
    for variable, value in VARIABLES.items():
        expression = expression.replace(variable, value)
    now = time.time()
    asked: dict[str, str | float] = {"query": expression, "start": now - seconds, "end": now, "step": STEP_S}
    answer = (await client.get("/api/v1/query_range", params=asked)).raise_for_status().json()
    found = [_curve(series, query.legend, now) for series in answer["data"]["result"]]
    return [curve for curve in found if curve.values]


def _curve(series: dict[str, Any], legend: str, now: float) -> Curve:
    points = [(at - now, float(value)) for at, value in series["values"] if math.isfinite(float(value))]
    name = re.sub(r"{{(\w+)}}", lambda label: series["metric"].get(label.group(1), ""), legend)
    return Curve(name, [at for at, _ in points], [value for _, value in points])


def draw(shown: Sequence[tuple[Panel, Sequence[Curve]]], file: Path) -> None:
    """All panels in one PNG."""
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


async def measure(asked: argparse.Namespace) -> dict[str, int]:
    """The number of curves of each panel."""
    shown: list[tuple[Panel, list[Curve]]] = []
    async with connect(asked.prometheus) as client:
        for panel in panels(FILE):
            found = [await curves(client, query, 60 * asked.minutes) for query in panel.queries]
            shown.append((panel, [curve for some in found for curve in some] if all(found) else []))
    if asked.png:
        draw(shown, asked.png)
    return {panel.title: len(found) for panel, found in shown}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prometheus", default="http://127.0.0.1:9090")
    parser.add_argument("--minutes", default=10.0, type=float, help="how far back")
    parser.add_argument("--png", type=Path, help="draw the panels into this file")
    counts = asyncio.run(measure(parser.parse_args()))
    for title, count in counts.items():
        print(f"{count:>4} curves  {title}")
    report("dashboard", {"curves": counts})
    return 0 if all(counts.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
