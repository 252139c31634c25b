"""How long an answer takes over HTTP, beside the bare engines; and how much earlier a story is heard by overlapping.

    python -m bench.latency [--url http://127.0.0.1:8000] [--runs 50] [--row all] [--png latency.png]

Rows. {text, speech} x {with a picture, without} x {text, voice}, by POST /chat. Each run asks the running service over
HTTP and, just before or just after it (in turn), makes the same calls of the same engines one after another in this
process: what disturbs the machine disturbs both of a pair, and never do both work at the same time. Both take their
settings from the same file and always choose the likeliest token, so they do the same work; a few different questions
take turns, so that no prompt is answered from the one before. Nothing is decoded, resampled or sent on the direct side.
Reported are the median and the 95th percentile of the times to the first and to the last byte, the median over the runs
of (HTTP / direct), and that of (HTTP - direct), ``added_ms``. The first byte of a text is its first words (server-sent
events), that of a voice its first sample after the WAV header. On the direct side these end with the first words, or
with the first chunk of sound of the first sentence; the last byte compares with the sum of all the calls. A ratio below
1 comes from overlap.

Chat. The same for streamed chat completions (POST /v1/chat/completions) that tell a story, as text and with a voice:
the first byte is the first delta with words, or with sound, and ``gap`` is the time between two such deltas, beside
that between the pieces that the engines make.

The graph alone. With engines that only pretend (``make serve CONFIG=bench/fakes.yaml``, then ``--config
bench/fakes.yaml --row chat->text``) ``added_ms`` is what HTTP, Ray Serve and the graph cost one client.

Story. Time to the first sample of a told story with the Gateway's ``overlap_speech`` on, off, off and on: half of the
runs each time, so that a machine that grows slower harms both alike. It is switched as `serve deploy` does it, with no
replica restarted, and is left as it was found.

Runs of a warm-up are not counted. The service must have nothing else to do. The last line is the figures in JSON.
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

from bench.client import Answer, Output, Request, ask, connect, gaps_s, median_ratio, percentile, report, spread_ms
from bench.direct import Answered, Engines
from bench.openai import complete
from bench.rows import ROWS, requests_of
from bench.service import Service
from deployments.settings import GatewayConfig

HEROES = ("fox", "dog", "cat", "bear", "lion")
WARM_UP = 3


@dataclass(frozen=True, slots=True)
class Line:
    """Requests that take turns, and the route that they are sent to. With ``gaps`` the time between pieces counts."""

    name: str
    output: Output
    requests: list[Request]
    ask: Callable[[httpx.AsyncClient, Request], Awaitable[Answer]]
    gaps: bool = False


@dataclass(frozen=True, slots=True)
class Pair:
    """The same request over HTTP and by the engines alone."""

    http: Answer
    direct: Answered


def lines() -> list[Line]:
    """The eight rows, and the streamed completions."""
    completed = partial(complete, stream=True)
    outputs: tuple[Output, ...] = get_args(Output)
    return [
        *(Line(str(row), row.output, requests_of(row), ask) for row in ROWS),
        *(Line(f"chat->{output}", output, _stories(output), completed, gaps=True) for output in outputs),
    ]


def _stories(output: Output) -> list[Request]:
    return [Request(output, f"Tell me a story about a {hero}.") for hero in HEROES]


async def answered(client: httpx.AsyncClient, line: Line, request: Request) -> Answer:
    """The service's answer; a refusal makes the whole measurement worthless."""
    answer = await line.ask(client, request)
    if answer.status != 200:
        raise SystemExit(f"the service answered {answer.status}: {answer.text}")
    return answer


async def compare(client: httpx.AsyncClient, engines: Engines, line: Line, runs: int) -> list[Pair]:
    """Pairs of one line, service first and engines first in turn."""
    pairs = []
    requests = islice(cycle(line.requests), WARM_UP + runs)
    for at, request in enumerate(tqdm(requests, f"{line.name:<22}", WARM_UP + runs, leave=False)):
        if at % 2:
            direct = await engines.worked_out(request)
            http = await answered(client, line, request)
        else:
            http = await answered(client, line, request)
            direct = await engines.worked_out(request)
        pairs.append(Pair(http, direct))
    return pairs[WARM_UP:]


def line_figures(line: Line, pairs: Sequence[Pair]) -> dict[str, Any]:
    """Timings of both sides, their ratios, and whether both sides made the same."""
    http, direct = [p.http for p in pairs], [p.direct for p in pairs]
    figures: dict[str, Any] = {"row": line.name, "runs": len(pairs)}
    for name in ("first_s", "last_s"):
        ours, bare = [getattr(a, name) for a in http], [getattr(a, name) for a in direct]
        figures[name.removesuffix("_s")] = {
            "http": spread_ms(ours),
            "direct": spread_ms(bare),
            "ratio": median_ratio(ours, bare),
            "added_ms": round(1000 * percentile([o - b for o, b in zip(ours, bare, strict=True)], 0.5), 1),
        }
    gaps = {
        side: [gap for answer in answers for gap in gaps_s(answer.pieces_s)]
        for side, answers in (("http", http), ("direct", direct))
    }
    if line.gaps and all(gaps.values()):  # none where all came at once
        figures["gap"] = {side: spread_ms(seconds) for side, seconds in gaps.items()}
    if line.output == "text":
        figures["same_answers"] = sum(p.http.text.strip() == p.direct.text.strip() for p in pairs)
    else:
        figures["mean_sound_s"] = {"http": _mean_sound_s(http), "direct": _mean_sound_s(direct)}
    return figures


def _mean_sound_s(answers: Sequence[Answer] | Sequence[Answered]) -> float:
    return round(float(np.mean([a.audio.duration_s for a in answers if a.audio])), 2)


async def tell_stories(client: httpx.AsyncClient, service: Service, runs: int) -> dict[bool, list[Answer]]:
    """Answers with overlap (``True``) and without; the application ends as it began."""
    story = Line("story", "voice", _stories("voice"), ask)
    requests = list(islice(cycle(story.requests), runs))
    half = runs // 2
    told: dict[bool, list[Answer]] = {True: [], False: []}
    before = await service.application()
    bar = tqdm(total=2 * runs, desc=f"{'story':<22}", leave=False)
    try:
        for overlap, block in (
            (True, requests[:half]),
            (False, requests[:half]),
            (False, requests[half:]),
            (True, requests[half:]),
        ):
            await _set_overlap(service, overlap)
            for request in story.requests:  # warm-up
                await answered(client, story, request)
            for request in block:
                told[overlap].append(await answered(client, story, request))
                bar.update()
    finally:
        bar.close()
        await service.deploy(before)
    return told


async def _set_overlap(service: Service, overlap: bool) -> None:
    application = await service.application()
    (gateway,) = (deployment for deployment in application["deployments"] if deployment["name"] == "Gateway")
    config = gateway.setdefault("user_config", {})
    if GatewayConfig.model_validate(config).overlap_speech is not overlap:
        config["overlap_speech"] = overlap
        await service.deploy(application)


def story_figures(told: dict[bool, list[Answer]]) -> dict[str, Any]:
    """Time to the first sound and to the last, with overlap and without."""
    on, off = told[True], told[False]
    return {
        "row": "story",
        "runs": len(on),
        "first_audio": {
            "overlap": spread_ms([a.first_s for a in on]),
            "no_overlap": spread_ms([a.first_s for a in off]),
            "times_earlier": median_ratio([a.first_s for a in off], [a.first_s for a in on]),
        },
        "last": {"overlap": spread_ms([a.last_s for a in on]), "no_overlap": spread_ms([a.last_s for a in off])},
        "mean_sound_s": {"overlap": _mean_sound_s(on), "no_overlap": _mean_sound_s(off)},
    }


def table(figures: Sequence[dict[str, Any]]) -> str:
    """The figures for a person; times in ms as median / 95th percentile."""
    head = f"{'row':<22}{'first byte':>16}{'direct':>16}{'ratio':>7}{'last byte':>18}{'direct':>16}{'ratio':>7}"
    shown = [head, *(_row(row) for row in figures if row["row"] != "story")]
    for row in figures:
        if gap := row.get("gap"):
            shown.append(
                f"{row['row']}: {_shown(gap['http'])} ms between deltas; the engines' own {_shown(gap['direct'])}"
            )
        if audio := row.get("first_audio"):
            shown.append(
                f"first audio of a story: {_shown(audio['overlap'])} ms; without overlap "
                f"{_shown(audio['no_overlap'])} ms: {audio['times_earlier']:.2f} times earlier"
            )
    return "\n".join(shown)


def _row(row: dict[str, Any]) -> str:
    first, last = row["first"], row["last"]
    return (
        f"{row['row']:<22}{_shown(first['http']):>16}{_shown(first['direct']):>16}{first['ratio']:>7.2f}"
        f"{_shown(last['http']):>18}{_shown(last['direct']):>16}{last['ratio']:>7.2f}"
    )


def _shown(spread: dict[str, float]) -> str:
    return f"{spread['p50_ms']:.0f} / {spread['p95_ms']:.0f}"


def draw_chart(pairs: dict[str, list[Pair]], file: Path) -> None:
    """Median times to the last byte by row, HTTP beside direct, with the time to the first byte marked."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4.5), layout="constrained")
    axes = figure.subplots()
    for shift, side in ((-0.2, "http"), (0.2, "direct")):
        at = np.arange(len(pairs)) + shift
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


async def measure(asked: argparse.Namespace) -> None:
    engines = Engines.of(asked.config)
    chosen = [line for line in lines() if asked.row in ("all", line.name)]
    pairs: dict[str, list[Pair]] = {}
    figures: list[dict[str, Any]] = []
    async with connect(asked.url) as client, connect(asked.dashboard) as dashboard:
        for line in chosen:
            pairs[line.name] = await compare(client, engines, line, asked.runs)
            figures.append(line_figures(line, pairs[line.name]))
        if asked.row in ("all", "story"):
            figures.append(story_figures(await tell_stories(client, Service(dashboard), asked.runs)))
    if asked.png and pairs:
        draw_chart(pairs, asked.png)
    print(table(figures))
    report("latency", {"rows": figures})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--dashboard", default="http://127.0.0.1:8265", help="where Ray is asked to switch overlap")
    parser.add_argument("--config", default="serve_config.yaml", type=Path, help="what is served there")
    parser.add_argument("--runs", default=50, type=int)
    parser.add_argument("--row", default="all", choices=["all", *(line.name for line in lines()), "story"])
    parser.add_argument("--png", type=Path, help="draw a chart into this file")
    asyncio.run(measure(parser.parse_args()))


if __name__ == "__main__":
    main()
