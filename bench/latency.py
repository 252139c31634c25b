"""How long does a response take over HTTP, compared with the same calls of the engines alone?

    python -m bench.latency [--url http://127.0.0.1:8000] [--runs 50] [--row all] [--png latency.png]

Method: each run sends a request to the running service and, directly before or after it (alternating), makes the same
engine calls one after another in this process, with the same configuration and temperature 0. The direct side decodes,
resamples and sends nothing, and its stages do not overlap. The service must be idle otherwise; three warm-up runs
per row are not counted.

Rows: the eight of POST /chat (``text->text`` to ``picture+speech->voice``), and ``chat->text`` and ``chat->voice``,
streamed chat completions that tell a story. With ``make serve CONFIG=bench/fakes.yaml``, ``--config bench/fakes.yaml
--row chat->text`` measures HTTP, Ray Serve and the graph alone.

JSON: ``configuration`` and its ``models``, which the service must have; per row and for the ``first`` and ``last``
byte, ``http`` and ``direct`` times, the median ``ratio`` of the pairs (below 1 if the overlap of stages saves more than
HTTP costs) and their median difference ``added_ms``; ``gap``, the time between two deltas or chunks; ``same_answers``
or ``mean_audio_s``. The first byte is the first delta of a text, or the first sample of a voice.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any, get_args

import httpx
import numpy as np
from tqdm import tqdm  # type: ignore[import-untyped]

from bench.client import Output, Request, Response, connect, post_chat
from bench.command import CONFIG, URL, argument_parser, report
from bench.direct import Configuration, DirectResult, Engines
from bench.figures import gaps_s, median_ratio, percentile, spread_ms
from bench.openai import complete
from bench.rows import ROWS, requests_of

HEROES = ("fox", "dog", "cat", "bear", "lion")
WARM_UP = 3


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table: requests that are sent in turn to one route. ``gaps``: report times between arrivals."""

    name: str
    output: Output
    requests: list[Request]
    send: Callable[[httpx.AsyncClient, Request], Awaitable[Response]]
    gaps: bool = False


@dataclass(frozen=True, slots=True)
class Pair:
    """The same request over HTTP and by the engines alone."""

    http: Response
    direct: DirectResult


def lines() -> list[Line]:
    """Return the eight rows and the streamed completions."""
    outputs: tuple[Output, ...] = get_args(Output)
    stream = partial(complete, stream=True)
    return [
        *(Line(str(row), row.output, requests_of(row), post_chat) for row in ROWS),
        *(Line(f"chat->{output}", output, _stories(output), stream, gaps=True) for output in outputs),
    ]


def _stories(output: Output) -> list[Request]:
    return [Request(output, f"Tell me a story about a {hero}.") for hero in HEROES]


async def send(client: httpx.AsyncClient, line: Line, request: Request) -> Response:
    """Return the response. Raise ``SystemExit`` for an error: the measurement would be invalid."""
    response = await line.send(client, request)
    if response.status != 200:
        raise SystemExit(f"latency: the service returned {response.status}: {response.text}")
    return response


async def compare(client: httpx.AsyncClient, engines: Engines, line: Line, runs: int) -> list[Pair]:
    """Return the pairs of one line; the service and the engines alternate in being first."""
    pairs = []
    requests = islice(cycle(line.requests), WARM_UP + runs)
    for index, request in enumerate(tqdm(requests, f"{line.name:<22}", WARM_UP + runs, leave=False)):
        if index % 2:
            direct = await engines.respond_to(request)
            http = await send(client, line, request)
        else:
            http = await send(client, line, request)
            direct = await engines.respond_to(request)
        pairs.append(Pair(http, direct))
    return pairs[WARM_UP:]


def line_figures(line: Line, pairs: Sequence[Pair]) -> dict[str, Any]:
    """Return the timings of both sides, their ratios, and whether both sides generated the same."""
    http, direct = [p.http for p in pairs], [p.direct for p in pairs]
    figures: dict[str, Any] = {"row": line.name, "runs": len(pairs)}
    for name in ("first_s", "last_s"):
        http_s, direct_s = [getattr(r, name) for r in http], [getattr(r, name) for r in direct]
        figures[name.removesuffix("_s")] = {
            "http": spread_ms(http_s),
            "direct": spread_ms(direct_s),
            "ratio": median_ratio(http_s, direct_s),
            "added_ms": round(1000 * percentile([h - d for h, d in zip(http_s, direct_s, strict=True)], 0.5), 1),
        }
    gaps = {
        side: [gap for result in results for gap in gaps_s(result.arrivals_s)]
        for side, results in (("http", http), ("direct", direct))
    }
    if line.gaps and all(gaps.values()):  # there is no gap if every answer is one delta
        figures["gap"] = {side: spread_ms(seconds) for side, seconds in gaps.items()}
    if line.output == "text":
        figures["same_answers"] = sum(p.http.text.strip() == p.direct.text.strip() for p in pairs)
    else:
        figures["mean_audio_s"] = {"http": _mean_audio_s(http), "direct": _mean_audio_s(direct)}
    return figures


def _mean_audio_s(results: Sequence[Response] | Sequence[DirectResult]) -> float:
    return round(float(np.mean([r.audio.duration_s for r in results if r.audio])), 2)


def table(figures: Sequence[dict[str, Any]]) -> str:
    """Return a readable table; times in ms as median / 95th percentile."""
    head = f"{'row':<22}{'first byte':>16}{'direct':>16}{'ratio':>7}{'last byte':>18}{'direct':>16}{'ratio':>7}"
    return "\n".join(
        [
            head,
            *(_row(row) for row in figures),
            *(
                f"{row['row']}: {_shown(gap['http'])} ms between arrivals, {_shown(gap['direct'])} direct"
                for row in figures
                if (gap := row.get("gap"))
            ),
        ]
    )


def _row(row: dict[str, Any]) -> str:
    first, last = row["first"], row["last"]
    return (
        f"{row['row']:<22}{_shown(first['http']):>16}{_shown(first['direct']):>16}{first['ratio']:>7.2f}"
        f"{_shown(last['http']):>18}{_shown(last['direct']):>16}{last['ratio']:>7.2f}"
    )


def _shown(spread: dict[str, float]) -> str:
    return f"{spread['p50_ms']:.0f} / {spread['p95_ms']:.0f}"


def draw_chart(pairs: dict[str, list[Pair]], file: Path) -> None:
    """Draw the median times to the last byte, HTTP next to direct, with marks at the first byte."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4.5), layout="constrained")
    axes = figure.subplots()
    for offset, side in ((-0.2, "http"), (0.2, "direct")):
        at = np.arange(len(pairs)) + offset
        first, last = (
            [1000 * percentile([getattr(getattr(p, side), name) for p in row], 0.5) for row in pairs.values()]
            for name in ("first_s", "last_s")
        )
        axes.bar(at, last, 0.38, label=f"{side}: last byte")
        axes.plot(at, first, "k_", markersize=20, label="first byte" if side == "http" else None)
    axes.set_xticks(range(len(pairs)), pairs, rotation=20, ha="right")
    axes.set_ylabel("median, ms")
    axes.legend()
    figure.savefig(file)


async def require_served(client: httpx.AsyncClient, models: Sequence[str], config: Path) -> None:
    """Raise ``SystemExit`` if the service has other models than the configuration."""
    served = [entry["id"] for entry in (await client.get("/v1/models")).json()["data"]]
    if missing := [name for name in models if name not in served]:
        raise SystemExit(
            f"latency: {config} has {', '.join(missing)}; the service has {', '.join(served)}. "
            "Give the configuration of the service: --config"
        )


async def measure(options: argparse.Namespace) -> None:
    configuration = Configuration.load(options.config)
    engines = Engines(configuration)
    pairs: dict[str, list[Pair]] = {}
    figures: list[dict[str, Any]] = []
    async with connect(options.url) as client:
        await require_served(client, configuration.models, options.config)
        for line in lines():
            if options.row in ("all", line.name):
                pairs[line.name] = await compare(client, engines, line, options.runs)
                figures.append(line_figures(line, pairs[line.name]))
    if options.png:
        draw_chart(pairs, options.png)
    print(f"{options.config}: {', '.join(configuration.models)}")
    print(table(figures))
    report("latency", {"configuration": str(options.config), "models": configuration.models, "rows": figures})


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--url", default=URL)
    parser.add_argument("--config", default=CONFIG, type=Path, help="the configuration of the service at --url")
    parser.add_argument("--runs", default=50, type=int)
    parser.add_argument("--row", default="all", choices=["all", *(line.name for line in lines())])
    parser.add_argument("--png", type=Path, help="draw a chart into this file")
    asyncio.run(measure(parser.parse_args()))


if __name__ == "__main__":
    main()
