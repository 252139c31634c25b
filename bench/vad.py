"""Voice activity detection of concurrent sessions: in the event loop, in a thread of its process, in another process.

Each of --sessions streams gets --chunk-ms of audio that often, in real time and spread over the interval, for
--seconds. The event loop, which is the Gateway's, is asked every 5 ms how late it is. "process" is a worker reached
through a pipe: a deployment would cost what it costs and the messages of a handle, about half a millisecond each.

late: p50 / p95 of how late the event loop is, in ms. call: p50 / p95 from a chunk to its probabilities, in ms.
cpu: processor time of this process and the worker, in shares of one core, with and without the detection ("none").
"""

from __future__ import annotations

import asyncio
import resource
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import suppress

import numpy as np

from bench.command import argument_parser, report
from graphs.http.openai.realtime.codecs import Samples
from graphs.http.openai.realtime.vad import RATE_HZ, SpeechModel, SpeechProbability

PLACES = ("none", "loop", "thread", "process")
TICK_S = 0.005

streams: list[SpeechProbability] = []


def prepare(sessions: int) -> None:
    """Make the streams of this process."""
    model = SpeechModel()
    streams[:] = [SpeechProbability(model) for _ in range(sessions)]


def detect(session: int, samples: Samples) -> Samples:
    return streams[session].feed(samples)


def cpu_s() -> float:
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in used)


async def measure(executor: Executor | None, place: str, sessions: int, chunk_s: float, seconds: float) -> list[float]:
    """Return the p50 and p95 of the lateness and of a call, in ms."""
    loop = asyncio.get_running_loop()
    noise = (np.random.default_rng(0).normal(size=round(chunk_s * RATE_HZ)) * 0.1).astype(np.float32)
    late: list[float] = []
    calls: list[float] = []

    async def ticks() -> None:
        while True:
            due = loop.time() + TICK_S
            await asyncio.sleep(TICK_S)
            late.append(loop.time() - due)

    async def session(index: int, call: Callable[[int], Awaitable[object]]) -> None:
        due = loop.time() + chunk_s * index / sessions
        while due < end:
            await asyncio.sleep(max(0, due - loop.time()))
            began = loop.time()
            await call(index)
            calls.append(loop.time() - began)
            due += chunk_s

    async def call(index: int) -> None:
        if place == "loop":
            detect(index, noise)
        elif executor is not None:
            await loop.run_in_executor(executor, detect, index, noise)

    ticking = asyncio.create_task(ticks())
    end = loop.time() + seconds
    await asyncio.gather(*(session(index, call) for index in range(sessions)))
    ticking.cancel()
    with suppress(asyncio.CancelledError):
        await ticking
    return [float(np.percentile(values, p)) * 1000 for values in (late, calls) for p in (50, 95)]


def run(place: str, sessions: int, chunk_s: float, seconds: float) -> dict[str, float]:
    executor: Executor | None = None
    if place == "thread":
        executor = ThreadPoolExecutor(1)
    elif place == "process":
        executor = ProcessPoolExecutor(1, initializer=prepare, initargs=(sessions,))
        executor.submit(int).result()
    prepare(sessions)
    began_s, began_cpu_s = time.perf_counter(), cpu_s()
    figures = asyncio.run(measure(executor, place, sessions, chunk_s, seconds))
    elapsed_s = time.perf_counter() - began_s
    if executor is not None:
        executor.shutdown()
    names = ("late_p50_ms", "late_p95_ms", "call_p50_ms", "call_p95_ms")
    return dict(zip(names, figures, strict=True)) | {"cpu": (cpu_s() - began_cpu_s) / elapsed_s}


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--sessions", type=int, default=32)
    parser.add_argument("--chunk-ms", type=int, default=96)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=2)
    args = parser.parse_args()
    rows: dict[str, list[dict[str, float]]] = {place: [] for place in PLACES}
    for _ in range(args.rounds):
        for place in PLACES:
            rows[place].append(run(place, args.sessions, args.chunk_ms / 1000, args.seconds))
    figures = {
        place: {name: round(min(row[name] for row in rows[place]), 3) for name in rows[place][0]} for place in rows
    }
    print(f"{'place':8} {'late':>15} {'call':>15} {'cpu':>6}   best of {args.rounds}")
    for place, row in figures.items():
        late = f"{row['late_p50_ms']:.2f} / {row['late_p95_ms']:.2f}"
        call = f"{row['call_p50_ms']:.2f} / {row['call_p95_ms']:.2f}"
        print(f"{place:8} {late:>15} {call:>15} {row['cpu']:6.2f}")
    report("vad", {"sessions": args.sessions, "chunk_ms": args.chunk_ms, "places": figures})


if __name__ == "__main__":
    main()
