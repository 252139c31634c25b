"""How many responses per second does a running service give, how late, and what happens beyond its capacity?

    python -m bench.load --concurrency 1,2,4,8,16 [--mix text->text] [--seconds 20] [--png load.png]
    python -m bench.load --rate 2,4,8 [--mix chat-stream=3,speech->voice=1] [--seconds 20]
    python -m bench.load --overload [--seconds 60] [--factor 4] [--rounds 4]
    python -m bench.load --soak [--seconds 600] [--mix all] [--png soak.png]

Method: a closed loop (``--concurrency`` clients, each sends its next request after each response) or an open one
(``--rate`` random arrivals per second, timed from when a request was due). Every request is sent once to the idle
service first; a response under load is ``correct`` if its text is the same and its audio as long within a tenth.
``--overload`` finds the peak of the closed loop, then sends ``--factor`` times as many requests per second, between
measurements of the peak, of one client and of memory; ``--soak`` runs a closed loop for ten minutes.

``--mix`` selects the kinds of requests, with weights: the eight rows of POST /chat (``text->text`` to
``picture+speech->voice``), ``chat``, ``chat-stream`` and ``chat-voice`` (/v1/chat/completions: complete, streamed,
streamed with audio), ``speech`` and ``transcription`` (/v1/audio/...), or a group: ``rows``, ``openai``, ``all``.

JSON: per load the rate ``correct_per_s``, the times to the ``first`` and ``last`` byte, ``rejected`` (429 or 503 with
Retry-After and a body in OpenAI's format) and their time ``rejection``, ``unexpected`` (everything else), and
``client_cpu``, the cores that the bench itself used. An overload adds ``peak_per_s``, ``answered_per_s`` and
``share_of_peak`` (without the first five seconds), ``replicas_pss_mib``, and ``after_to_before``, the median latency of
one client after each overload relative to before. A soak adds the medians of memory and handles in its second
(``early``) and last quarter (``late``). ``client_realtime``: whether the bench had real-time priority (SCHED_RR, needs
CAP_SYS_NICE); without it, the client waits for the CPU and its waiting counts as the service's.

The service must be on this machine.
"""

from __future__ import annotations

import argparse
import asyncio
import ipaddress
import os
from collections.abc import Callable, Sequence
from itertools import chain, pairwise
from pathlib import Path
from statistics import fmean
from typing import Any
from urllib.parse import urlsplit

from bench.client import connect
from bench.command import URL, argument_parser, comma_separated, report
from bench.figures import percentile
from bench.generator import MAX_REQUESTS, Bounds, LoadGenerator, LoadResult
from bench.memory import Sampler
from bench.plots import draw_steps, draw_timeline
from bench.workload import Workload, kinds, parse_mix

MAX_SECONDS, MAX_CONCURRENCY, MAX_RATE = 3600, 256, 2000
SNAPSHOT_PERIOD_S = 10


async def steps(generator: LoadGenerator, options: argparse.Namespace) -> dict[str, Any]:
    """Measure each concurrency, or each rate."""
    bounds = Bounds(options.seconds, options.requests)
    results: list[tuple[float, LoadResult]] = []
    for concurrency in options.concurrency or ():
        results.append((concurrency, await generator.closed(concurrency, bounds)))
    for rate in options.rate or ():
        results.append((rate, await generator.open(rate, bounds)))
    name = "rate_per_s" if options.rate else "concurrency"
    if options.png and len(results) > 1:
        draw_steps(name, [(step, result.figures()) for step, result in results], options.png)
    elif options.png:
        draw_timeline(results[0][1].samples, [], options.png)
    return {"steps": [{name: step, **result.figures()} for step, result in results]}


async def overload(generator: LoadGenerator, options: argparse.Namespace) -> dict[str, Any]:
    """Measure the peak, then ``rounds`` overloads, each between two measurements of the peak and of one client."""
    step, half, whole = Bounds(options.step_seconds), Bounds(options.seconds / 2), Bounds(options.seconds)
    tried = {concurrency: await generator.closed(concurrency, step) for concurrency in options.concurrency}
    concurrency = max(tried, key=lambda concurrency: tried[concurrency].correct_per_s)
    peaks, overloads, memory = [await generator.closed(concurrency, half)], [], []
    single = [await generator.closed(1, step)]
    rate = min(options.factor * peaks[0].correct_per_s, MAX_RATE)
    for _ in range(options.rounds):
        async with Sampler(options.dashboard_port, SNAPSHOT_PERIOD_S, only="ServeReplica") as replicas:
            overloads.append(await generator.open(rate, whole))
        memory.append(replicas.snapshots)
        single.append(await generator.closed(1, step))
        peaks.append(await generator.closed(concurrency, half))
    peak_per_s = [result.settled_per_s(half.seconds) for result in peaks]
    answered_per_s = [result.settled_per_s(whole.seconds) for result in overloads]
    around_per_s = [fmean(pair) for pair in pairwise(peak_per_s)]
    if options.png:
        draw_timeline(overloads[-1].samples, memory[-1], options.png)
    latencies = [result.figures()["last"] for result in single]
    return {
        "peak_concurrency": concurrency,
        "peaks": [result.figures() for result in peaks],
        "peak_per_s": [round(rate, 2) for rate in peak_per_s],
        "offered_per_s": round(rate, 2),
        "answered_per_s": [round(rate, 2) for rate in answered_per_s],
        "share_of_peak": round(fmean(answered_per_s) / fmean(around_per_s), 3),
        "share_of_peak_each": [round(a / peak, 3) for a, peak in zip(answered_per_s, around_per_s, strict=True)],
        "overloads": [result.figures() for result in overloads],
        "replicas_pss_mib": {
            "before": memory[0][0].pss_mib,
            "max": max(snapshot.pss_mib for snapshots in memory for snapshot in snapshots),
            "after": memory[-1][-1].pss_mib,
        },
        "single_client": latencies,
        "after_to_before": [round(after["p50_ms"] / latencies[0]["p50_ms"], 2) for after in latencies[1:]],
    }


async def soak(generator: LoadGenerator, options: argparse.Namespace) -> dict[str, Any]:
    """Measure whether memory or handles grow under a constant load."""
    async with Sampler(options.dashboard_port, SNAPSHOT_PERIOD_S) as sampler:
        result = await generator.closed(options.concurrency[0], Bounds(options.seconds, options.requests))
    if options.png:
        draw_timeline(result.samples, sampler.snapshots, options.png)
    return {
        "load": result.figures(),
        "pss_mib": growth([snapshot.by_name("pss_mib") for snapshot in sampler.snapshots]),
        "handles": growth([snapshot.by_name("handles") for snapshot in sampler.snapshots]),
    }


def growth(snapshots: Sequence[dict[str, float]]) -> dict[str, dict[str, float]]:
    """Return the medians of the second and of the last quarter, by name and for the sum of all names."""
    quarter = max(len(snapshots) // 4, 1)
    parts = {"early": snapshots[quarter : 2 * quarter] or snapshots, "late": snapshots[-quarter:]}
    total = {"all": {part: [sum(values.values()) for values in group] for part, group in parts.items()}}
    by_name = {
        name: {part: [values.get(name, 0.0) for values in group] for part, group in parts.items()}
        for name in sorted(set(chain(*snapshots)))
    }
    return {
        name: {part: round(percentile(values, 0.5), 1) for part, values in of_name.items()}
        for name, of_name in (total | by_name).items()
    }


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Record the references, then run the chosen measurement."""
    calls = kinds()
    workload = Workload(calls, parse_mix(options.mix, list(calls)), options.seed)
    async with connect(options.url, timeout_s=options.timeout_s) as client:
        await workload.record_references(client)
        generator = LoadGenerator(client, workload)
        if options.overload:
            return {"mode": "overload", "mix": options.mix, **await overload(generator, options)}
        if options.soak:
            return {"mode": "soak", "mix": options.mix, **await soak(generator, options)}
        return {"mode": "steps", "mix": options.mix, **await steps(generator, options)}


def use_realtime_priority() -> bool:
    """Schedule this thread before all normal ones; return whether the system permits it."""
    try:
        os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(1))
    except (AttributeError, PermissionError):
        return False
    return True


def table(figures: dict[str, Any]) -> str:
    """Return a readable table of the loads; times in ms as median / 95th / 99th percentile."""
    loads = figures.get("steps") or figures.get("overloads") or [figures["load"]]
    lines = [f"{'':>8}{'correct/s':>10}{'first byte':>24}{'last byte':>24}  other"]
    for load in loads:
        step = load.get("concurrency", load.get("rate_per_s", ""))
        other = " ".join(f"{count}x {what}" for what, count in (load["errors"] | load["unexpected"]).items())
        first, last = _shown(load["first"]), _shown(load["last"])
        lines.append(f"{step:>8}{load['correct_per_s']:>10.2f}{first:>24}{last:>24}  {other}")
    return "\n".join(lines)


def _shown(tail: dict[str, float]) -> str:
    return " / ".join(f"{tail[name]:.0f}" for name in ("p50_ms", "p95_ms", "p99_ms")) if tail else "-"


def loopback(url: str) -> str:
    """Return the URL if its host is a loopback address. Raise ``argparse.ArgumentTypeError`` otherwise."""
    try:
        if ipaddress.ip_address(urlsplit(url).hostname or "").is_loopback:
            return url
    except ValueError:
        pass
    raise argparse.ArgumentTypeError("the service must be on this machine: http://127.0.0.1:PORT")


def _numbers(convert: Callable[[str], float], limit: float) -> Callable[[str], list[Any]]:
    def parse(text: str) -> list[Any]:
        values = comma_separated(convert)(text)
        if not all(0 < value <= limit for value in values):
            raise argparse.ArgumentTypeError(f"each number must be above 0 and at most {limit:g}")
        return values

    return parse


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--url", default=URL, type=loopback)
    parser.add_argument("--dashboard-port", default=8265, type=int, help="Ray's dashboard, to find the processes")
    parser.add_argument("--mix", default="text->text", help="kinds of requests, with weights")
    parser.add_argument("--concurrency", type=_numbers(int, MAX_CONCURRENCY), help="clients of a closed loop, per step")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--rate", type=_numbers(float, MAX_RATE), help="arrivals per second of an open loop, per step")
    mode.add_argument("--overload", action="store_true")
    mode.add_argument("--soak", action="store_true")
    parser.add_argument("--seconds", type=float, help="of each step (20), of an overload (60), of a soak (600)")
    parser.add_argument("--step-seconds", default=20.0, type=float, help="of the other measurements of an overload")
    parser.add_argument("--requests", default=MAX_REQUESTS, type=int, help="maximum per step")
    parser.add_argument("--rounds", default=1, type=int, choices=range(1, 10), help="overloads, one after another")
    parser.add_argument("--factor", default=4.0, type=float, help="arrivals of an overload, relative to the peak")
    parser.add_argument("--timeout-s", default=120.0, type=float, help="time without data after which a request fails")
    parser.add_argument("--seed", default=1, type=int, help="of the order of requests")
    parser.add_argument("--png", type=Path, help="draw a plot into this file")
    options = parser.parse_args()
    options.seconds = min(options.seconds or (60 if options.overload else 600 if options.soak else 20), MAX_SECONDS)
    options.requests = min(options.requests, MAX_REQUESTS)
    if options.rate is None and options.concurrency is None:
        options.concurrency = [4] if options.soak else [1, 2, 4, 8, 16]
    realtime = use_realtime_priority()
    figures = {"client_realtime": realtime, **asyncio.run(measure(options))}
    print(table(figures))
    report("load", figures)


if __name__ == "__main__":
    main()
