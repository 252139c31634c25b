"""Load on a running service: how many answers a second, how late they come, and what happens when it is too much.

    python -m bench.load --concurrency 1,2,4,8,16 [--mix text->text] [--seconds 20] [--png load.png]
    python -m bench.load --rate 2,4,8 [--mix chat-stream=3,speech->voice=1] [--seconds 20]
    python -m bench.load --overload [--seconds 60] [--factor 4] [--rounds 4]
    python -m bench.load --soak [--seconds 600] [--mix all] [--png soak.png]

What is asked (``--mix``, with weights): any of the eight rows by their names (``text->text`` to
``picture+speech->voice``; /chat), ``chat``, ``chat-stream`` and ``chat-aloud`` (/v1/chat/completions: whole, streamed,
streamed with a voice), ``speech`` and ``transcription`` (/v1/audio/...); ``rows``, ``openai`` and ``all`` stand for
many of them alike. They are dealt like cards, in random order but each as often as its weight says, and so are the few
questions of each kind: two loads are the same work. Each question is asked once alone beforehand: an answer under load
is right if its text is the same and its sound equally long (within a tenth). A refusal is orderly if it is a 503 or 429
with Retry-After and an error in OpenAI's shape; whatever else happens is counted by its status or kind.

``--concurrency``: closed loop, so many callers who ask again as soon as they are answered. ``--rate``: open loop,
requests arrive at random, so many a second on average, whether the service keeps up or not; times count from when a
request was due. ``--overload``: finds the number of callers at which a closed loop does most, then lets ``--factor``
times as many arrive for the set time. What it does at its peak is measured for half that time before it and for half
afterwards, as a machine may become slower or faster meanwhile; so is its latency with one caller, and its memory all
the while. ``--rounds`` does so several times over: ``of_peak`` is the mean rate of all overloads by that of the peaks
around them, ``of_peak_each`` that of each. The first five seconds of each do not count in its rate, nor what comes
after its end. ``--soak``: a closed loop for a long time, memory and open handles of all its processes sampled every ten
seconds.

Only a service on this machine is asked. ``client_cpu`` is the share of one core that this process itself took, which
the service did not have. ``client_first`` tells whether the system let it run before all others (SCHED_RR, which takes
CAP_SYS_NICE): without, it waits for the processor behind the busy service, and counts that as the service's time. The
last line is the figures in JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import ipaddress
import json
import math
import os
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, pairwise
from pathlib import Path
from statistics import fmean
from typing import Any, Generic, Literal, TypeVar
from urllib.parse import urlsplit

import httpx

from bench.cases import questions
from bench.client import Answer, BrokenAnswer, Request, ask, connect, percentile, report, spread_ms
from bench.curves import draw_seconds, draw_steps
from bench.memory import Sampler
from bench.openai import complete, speak, transcribe
from bench.rows import CLIPS, ROWS, SAID, requests_of

Call = Callable[[httpx.AsyncClient], Awaitable[Answer]]
T = TypeVar("T")
Verdict = Literal["right", "wrong", "refused", "disorderly", "broken"]

MAX_SECONDS, MAX_REQUESTS, MAX_CALLERS, MAX_RATE = 3600, 100_000, 256, 2000
MAX_IN_FLIGHT = 1024  # of an open loop; what is due beyond them is not sent
SOUND_TOLERANCE = 0.1
SETTLE_S = 5.0
QUESTIONS = 12  # written ones of each kind


@dataclass(frozen=True, slots=True)
class Shot:
    """What became of one request; ``due_s`` counts from the beginning of the load, the other times from then on."""

    kind: str
    due_s: float
    status: str
    verdict: Verdict
    first_s: float
    last_s: float

    @property
    def ended_s(self) -> float:
        return self.due_s + self.last_s


@dataclass(slots=True)
class Shots:
    """What one load did. ``unsent`` were due while too many were under way."""

    shots: list[Shot] = field(default_factory=list)
    wall_s: float = 0.0
    client_cpu_s: float = 0.0
    unsent: int = 0

    @property
    def right(self) -> list[Shot]:
        return [shot for shot in self.shots if shot.verdict == "right"]

    @property
    def per_s(self) -> float:
        """Right answers a second."""
        return len(self.right) / self.wall_s

    def settled_per_s(self, seconds: float) -> float:
        """Right answers a second of a load of so many, but for its beginning, in which places fill, and its end."""
        settled_s = min(SETTLE_S, seconds / 4)
        return sum(settled_s <= shot.ended_s <= seconds for shot in self.right) / (seconds - settled_s)

    def figures(self) -> dict[str, Any]:
        """Counts, rates and latencies."""
        right = self.right
        refused = [shot for shot in self.shots if shot.verdict == "refused"]
        odd = Counter(
            f"{shot.verdict} {shot.status}" for shot in self.shots if shot.verdict not in ("right", "refused")
        )
        return {
            "requests": len(self.shots),
            "seconds": round(self.wall_s, 1),
            "per_s": round(self.per_s, 2),
            "right": len(right),
            **_latencies(right),
            "refused": len(refused),
            "refusal": _tail_ms([shot.last_s for shot in refused]),
            "errors": dict(Counter(shot.status for shot in self.shots if shot.status != "200")),
            "not_right_nor_orderly": dict(odd),
            "unsent": self.unsent,
            "client_cpu": round(self.client_cpu_s / self.wall_s, 2),
            "kinds": self._kinds(right),
        }

    def _kinds(self, right: Sequence[Shot]) -> dict[str, Any]:
        kinds = sorted({shot.kind for shot in self.shots})
        by_kind = {kind: [shot for shot in right if shot.kind == kind] for kind in kinds}
        return {kind: {"right": len(shots), **_latencies(shots)} for kind, shots in by_kind.items()}


def _latencies(shots: Sequence[Shot]) -> dict[str, Any]:
    return {"first": _tail_ms([shot.first_s for shot in shots]), "last": _tail_ms([shot.last_s for shot in shots])}


def _tail_ms(seconds: Sequence[float]) -> dict[str, float]:
    if not seconds:
        return {}
    rest = {"p99_ms": percentile(seconds, 0.99), "max_ms": max(seconds)}
    return spread_ms(seconds) | {name: round(1000 * value, 1) for name, value in rest.items()}


# --- what is asked ----------------------------------------------------------------------------------------------------


def kinds() -> dict[str, list[Call]]:
    """The calls of each kind of request."""
    written = [case.question for case in questions(1)[:QUESTIONS]]
    asked: dict[str, list[Request]] = {
        str(row): requests_of(row)
        if row.speech or row.picture
        else [Request(row.output, text=question) for question in written]
        for row in ROWS
    }
    calls: dict[str, list[Call]] = {
        name: [partial(ask, request=request) for request in requests] for name, requests in asked.items()
    }
    return calls | {
        "chat": [partial(complete, request=request, stream=False) for request in asked["text->text"]],
        "chat-stream": [partial(complete, request=request, stream=True) for request in asked["text->text"]],
        "chat-aloud": [partial(complete, request=request, stream=True) for request in asked["text->voice"]],
        "speech": [partial(speak, text=question) for question in written],
        "transcription": [partial(transcribe, clip=(CLIPS / clip).read_bytes()) for clip in SAID.values()],
    }


def weights(mix: str, names: Sequence[str]) -> dict[str, float]:
    """The weight of each kind: ``chat=3,speech``, or a group's name. Raises ``ValueError`` naming what there is."""
    rows = [name for name in names if "->" in name]
    groups = {"all": list(names), "rows": rows, "openai": [name for name in names if name not in rows]}
    chosen: dict[str, float] = {}
    for part in mix.split(","):
        name, _, weight = part.strip().partition("=")
        for one in groups.get(name, [name]):
            if one not in names:
                raise ValueError(f"there is no kind {one!r}; there are {', '.join([*groups, *names])}")
            chosen[one] = chosen.get(one, 0.0) + float(weight or 1)
    if min(chosen.values()) <= 0:
        raise ValueError("a weight is more than 0")
    return chosen


class _Cards(Generic[T]):
    """Dealt in random order, each once before any comes again."""

    def __init__(self, cards: Sequence[T], rng: random.Random) -> None:
        self._cards = cards
        self._rng = rng
        self._left: list[T] = []

    def deal(self) -> T:
        self._left = self._left or self._rng.sample(self._cards, len(self._cards))
        return self._left.pop()


class Deck:
    """Requests in random order, each with the answer that it gets alone."""

    def __init__(self, calls: dict[str, list[Call]], weights: dict[str, float], seed: int) -> None:
        self._rng = random.Random(seed)
        self._calls = {name: calls[name] for name in weights}
        self._cards = {name: _Cards(calls, self._rng) for name, calls in self._calls.items()}
        least = min(weights.values())
        counts = {name: round(10 * weight / least) for name, weight in weights.items()}
        shared = math.gcd(*counts.values())
        self._kinds = _Cards([name for name, count in counts.items() for _ in range(count // shared)], self._rng)
        self._alone: dict[Call, Answer] = {}

    async def learn(self, client: httpx.AsyncClient) -> None:
        """Ask everything once alone. Raises ``SystemExit`` if something is refused."""
        for name, call in [(name, call) for name, calls in self._calls.items() for call in calls]:
            answer = await call(client)
            if answer.status != 200:
                raise SystemExit(f"load: asked alone, {name} was answered {answer.status}: {answer.text}")
            self._alone[call] = answer

    def draw(self) -> tuple[str, Call]:
        """The next request and its kind."""
        name = self._kinds.deal()
        return name, self._cards[name].deal()

    def gap_s(self, rate: float) -> float:
        """Seconds to the next arrival of an open loop."""
        return self._rng.expovariate(rate)

    def verdict(self, call: Call, answer: Answer) -> Verdict:
        """What an answer under load is worth."""
        if answer.status != 200:
            return "refused" if orderly(answer) else "disorderly"
        return "right" if same(answer, self._alone[call]) else "wrong"


def same(answer: Answer, alone: Answer) -> bool:
    """Whether two answers say the same."""
    if answer.text.strip() != alone.text.strip() or (answer.audio is None) != (alone.audio is None):
        return False
    if answer.audio is None or alone.audio is None:
        return True
    return abs(answer.audio.duration_s - alone.audio.duration_s) <= SOUND_TOLERANCE * alone.audio.duration_s


def orderly(refusal: Answer) -> bool:
    """Whether a refusal tells a client what happened and when to come back."""
    try:
        error = json.loads(refusal.text)["error"]
        shaped = error.keys() >= {"message", "type", "param", "code"} and bool(error["message"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return False
    return refusal.status in (429, 503) and shaped and refusal.retry_after.isdecimal()


# --- how it is asked --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Bounds:
    """A load ends after so many seconds, or requests."""

    seconds: float
    requests: int = MAX_REQUESTS


class Range:
    """Sends what the deck deals."""

    def __init__(self, client: httpx.AsyncClient, deck: Deck) -> None:
        self._client = client
        self._deck = deck

    async def closed(self, callers: int, bounds: Bounds) -> Shots:
        """So many callers, each of whom asks again as soon as he is answered."""
        with _Load() as load:

            async def caller() -> None:
                while load.now_s() < bounds.seconds and load.take(bounds.requests):
                    await self._shoot(load, load.now_s())

            async with asyncio.TaskGroup() as group:
                for _ in range(callers):
                    group.create_task(caller())
        return load.shots

    async def open(self, rate: float, bounds: Bounds) -> Shots:
        """Requests that arrive at random, ``rate`` a second, however the service does; waits for the last answer."""
        with _Load() as load:
            under_way: set[asyncio.Task[None]] = set()
            due_s = self._deck.gap_s(rate)
            while due_s < bounds.seconds and load.take(bounds.requests):
                await asyncio.sleep(due_s - load.now_s())
                if len(under_way) < MAX_IN_FLIGHT:
                    under_way.add(task := asyncio.create_task(self._shoot(load, due_s)))
                    task.add_done_callback(under_way.discard)
                else:
                    load.shots.unsent += 1
                due_s += self._deck.gap_s(rate)
            await asyncio.gather(*under_way)
        return load.shots

    async def _shoot(self, load: _Load, due_s: float) -> None:
        kind, call = self._deck.draw()
        late_s = load.now_s() - due_s
        try:
            answer = await call(self._client)
        except (httpx.HTTPError, BrokenAnswer) as error:
            took_s = load.now_s() - due_s
            load.shots.shots.append(Shot(kind, due_s, type(error).__name__, "broken", took_s, took_s))
            return
        verdict = self._deck.verdict(call, answer)
        load.shots.shots.append(
            Shot(kind, due_s, str(answer.status), verdict, late_s + answer.first_s, late_s + answer.last_s)
        )


class _Load:
    """The clock and the count of one load."""

    def __init__(self) -> None:
        self.shots = Shots()
        self._taken = 0

    def __enter__(self) -> _Load:
        self._started_s, self._cpu_s = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.shots.wall_s = self.now_s()
        self.shots.client_cpu_s = time.process_time() - self._cpu_s

    def now_s(self) -> float:
        return time.perf_counter() - self._started_s

    def take(self, most: int) -> bool:
        """Whether one more may be sent."""
        self._taken += 1
        return self._taken <= most


# --- the measurements -------------------------------------------------------------------------------------------------


async def steps(range_: Range, asked: argparse.Namespace) -> dict[str, Any]:
    """The figures at each concurrency, or at each rate."""
    bounds = Bounds(asked.seconds, asked.requests)
    done: list[tuple[float, Shots]] = []
    for callers in asked.concurrency or ():
        done.append((callers, await range_.closed(callers, bounds)))
    for rate in asked.rate or ():
        done.append((rate, await range_.open(rate, bounds)))
    name = "rate_per_s" if asked.rate else "concurrency"
    if asked.png and len(done) > 1:
        draw_steps(name, [(at, shots.figures()) for at, shots in done], asked.png)
    elif asked.png:
        draw_seconds(done[0][1].shots, [], asked.png)
    return {"steps": [{name: at, **shots.figures()} for at, shots in done]}


async def overload(range_: Range, asked: argparse.Namespace) -> dict[str, Any]:
    """More than the service can do: what it still does, how it refuses, and how it is afterwards."""
    tried = {callers: await range_.closed(callers, Bounds(asked.step_seconds)) for callers in asked.concurrency}
    callers = max(tried, key=lambda callers: tried[callers].per_s)
    half, whole = Bounds(asked.seconds / 2), Bounds(asked.seconds)
    peaks, crowds, memory = [await range_.closed(callers, half)], [], []
    alone = [await range_.closed(1, Bounds(asked.step_seconds))]
    rate = min(asked.factor * peaks[0].per_s, MAX_RATE)
    for _ in range(asked.rounds):
        async with Sampler(asked.dashboard_port, period_s=10, only="ServeReplica") as replicas:
            crowds.append(await range_.open(rate, whole))
        memory.append(replicas.samples)
        alone.append(await range_.closed(1, Bounds(asked.step_seconds)))
        peaks.append(await range_.closed(callers, half))
    peaks_per_s = [shots.settled_per_s(half.seconds) for shots in peaks]
    crowds_per_s = [shots.settled_per_s(whole.seconds) for shots in crowds]
    around_per_s = [fmean(pair) for pair in pairwise(peaks_per_s)]
    if asked.png:
        draw_seconds(crowds[-1].shots, memory[-1], asked.png)
    latencies = [shots.figures()["last"] for shots in alone]
    return {
        "peak_callers": callers,
        "peaks": [shots.figures() for shots in peaks],
        "peak_per_s": [round(rate, 2) for rate in peaks_per_s],
        "offered_per_s": round(rate, 2),
        "answered_per_s": [round(rate, 2) for rate in crowds_per_s],
        "of_peak": round(fmean(crowds_per_s) / fmean(around_per_s), 3),
        "of_peak_each": [round(crowd / peak, 3) for crowd, peak in zip(crowds_per_s, around_per_s, strict=True)],
        "during": [shots.figures() for shots in crowds],
        "replicas_pss_mib": {
            "before": memory[0][0].pss_mib,
            "most": max(sample.pss_mib for samples in memory for sample in samples),
            "after": memory[-1][-1].pss_mib,
        },
        "alone": latencies,
        "after_by_before": [round(one["p50_ms"] / latencies[0]["p50_ms"], 2) for one in latencies[1:]],
    }


async def soak(range_: Range, asked: argparse.Namespace) -> dict[str, Any]:
    """A long time of the same load: does anything grow?"""
    async with Sampler(asked.dashboard_port, period_s=10) as sampler:
        shots = await range_.closed(asked.concurrency[0], Bounds(asked.seconds, asked.requests))
    if asked.png:
        draw_seconds(shots.shots, sampler.samples, asked.png)
    return {
        "load": shots.figures(),
        "pss_mib": growth([sample.by_name("pss_mib") for sample in sampler.samples]),
        "handles": growth([sample.by_name("handles") for sample in sampler.samples]),
    }


def growth(samples: Sequence[dict[str, float]]) -> dict[str, dict[str, float]]:
    """The medians of the second and of the last quarter of the samples, by name and in all."""
    quarter = max(len(samples) // 4, 1)
    parts = {"early": samples[quarter : 2 * quarter] or samples, "late": samples[-quarter:]}
    whole = {"all": {part: [sum(one.values()) for one in some] for part, some in parts.items()}}
    each = {
        name: {part: [one.get(name, 0.0) for one in some] for part, some in parts.items()}
        for name in sorted(set(chain(*samples)))
    }
    return {
        name: {part: round(percentile(values, 0.5), 1) for part, values in by_part.items()}
        for name, by_part in (whole | each).items()
    }


# --- the command ------------------------------------------------------------------------------------------------------


async def measure(asked: argparse.Namespace) -> dict[str, Any]:
    """Asks everything once alone, then does what was wished."""
    calls = kinds()
    deck = Deck(calls, weights(asked.mix, list(calls)), asked.seed)
    async with connect(asked.url, timeout_s=asked.timeout_s) as client:
        await deck.learn(client)
        range_ = Range(client, deck)
        if asked.overload:
            return {"mode": "overload", "mix": asked.mix, **await overload(range_, asked)}
        if asked.soak:
            return {"mode": "soak", "mix": asked.mix, **await soak(range_, asked)}
        return {"mode": "steps", "mix": asked.mix, **await steps(range_, asked)}


def go_first() -> bool:
    """Have this thread run as soon as it can, before all that is measured; whether the system allows it.

    A client who shares the processor with a busy service would else wait for it, and count that as the service's time.
    """
    try:
        os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(1))
    except (AttributeError, PermissionError):
        return False
    return True


def table(figures: dict[str, Any]) -> str:
    """The figures of the loads for a person; times in ms as median / 95th / 99th percentile."""
    loads = figures.get("steps") or figures.get("during") or [figures["load"]]
    lines = [f"{'':>8}{'right/s':>10}{'first byte':>24}{'last byte':>24}  else"]
    for load in loads:
        at = load.get("concurrency", load.get("rate_per_s", ""))
        other = " ".join(f"{count}x {what}" for what, count in (load["errors"] | load["not_right_nor_orderly"]).items())
        lines.append(f"{at:>8}{load['per_s']:>10.2f}{_shown(load['first']):>24}{_shown(load['last']):>24}  {other}")
    return "\n".join(lines)


def _shown(tail: dict[str, float]) -> str:
    return " / ".join(f"{tail[name]:.0f}" for name in ("p50_ms", "p95_ms", "p99_ms")) if tail else "-"


def loopback(url: str) -> str:
    """The URL if it leads to this machine; raises ``argparse.ArgumentTypeError`` otherwise."""
    try:
        if ipaddress.ip_address(urlsplit(url).hostname or "").is_loopback:
            return url
    except ValueError:
        pass
    raise argparse.ArgumentTypeError("load is put on this machine only: http://127.0.0.1:PORT")


def _numbers(kind: Callable[[str], float], most: float) -> Callable[[str], list[Any]]:
    def read(text: str) -> list[Any]:
        values = [kind(part) for part in text.split(",")]
        if not all(0 < value <= most for value in values):
            raise argparse.ArgumentTypeError(f"each must be above 0 and at most {most:g}")
        return values

    return read


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:8000", type=loopback)
    parser.add_argument("--dashboard-port", default=8265, type=int, help="tells the processes of the service")
    parser.add_argument("--mix", default="text->text", help="what is asked, with weights")
    parser.add_argument("--concurrency", type=_numbers(int, MAX_CALLERS), help="callers of a closed loop, by steps")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--rate", type=_numbers(float, MAX_RATE), help="arrivals a second of an open loop, by steps")
    mode.add_argument("--overload", action="store_true")
    mode.add_argument("--soak", action="store_true")
    parser.add_argument("--seconds", type=float, help="of each step (20), of the overload (60), of the soak (600)")
    parser.add_argument("--step-seconds", default=20.0, type=float, help="of what comes before and after an overload")
    parser.add_argument("--requests", default=MAX_REQUESTS, type=int, help="of each step, at most")
    parser.add_argument("--rounds", default=1, type=int, choices=range(1, 10), help="overloads, one after another")
    parser.add_argument("--factor", default=4.0, type=float, help="of the peak, in an overload")
    parser.add_argument("--timeout-s", default=120.0, type=float, help="of one answer")
    parser.add_argument("--seed", default=1, type=int)
    parser.add_argument("--png", type=Path, help="draw the curve into this file")
    asked = parser.parse_args()
    asked.seconds = min(asked.seconds or (60 if asked.overload else 600 if asked.soak else 20), MAX_SECONDS)
    asked.requests = min(asked.requests, MAX_REQUESTS)
    if asked.rate is None and asked.concurrency is None:
        asked.concurrency = [4] if asked.soak else [1, 2, 4, 8, 16]
    first = go_first()
    figures = {"client_first": first, **asyncio.run(measure(asked))}
    print(table(figures))
    report("load", figures)


if __name__ == "__main__":
    main()
