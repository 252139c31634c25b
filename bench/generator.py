"""The load generator: closed and open loops over a workload, and the figures of one load."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from bench.client import InvalidResponse
from bench.figures import tail_ms
from bench.workload import Verdict, Workload

MAX_REQUESTS = 100_000
MAX_CONCURRENT = 1024  # of an open loop; arrivals beyond it are counted and not sent
SETTLE_S = 5.0


@dataclass(frozen=True, slots=True)
class Sample:
    """One request. ``due_s`` counts from the start of the load, ``first_s`` and ``last_s`` from ``due_s``."""

    kind: str
    due_s: float
    status: str  # an HTTP status, or the name of an exception
    verdict: Verdict
    first_s: float
    last_s: float

    @property
    def ended_s(self) -> float:
        return self.due_s + self.last_s


@dataclass(slots=True)
class LoadResult:
    """The samples of one load. ``unsent`` counts arrivals beyond ``MAX_CONCURRENT``."""

    samples: list[Sample] = field(default_factory=list)
    wall_s: float = 0.0
    client_cpu_s: float = 0.0
    unsent: int = 0

    @property
    def correct(self) -> list[Sample]:
        return [sample for sample in self.samples if sample.verdict == "correct"]

    @property
    def correct_per_s(self) -> float:
        return len(self.correct) / self.wall_s

    def settled_per_s(self, seconds: float) -> float:
        """Return correct responses per second of a load of ``seconds``, without its first five and what ends later."""
        settled_s = min(SETTLE_S, seconds / 4)
        return sum(settled_s <= sample.ended_s <= seconds for sample in self.correct) / (seconds - settled_s)

    def figures(self) -> dict[str, Any]:
        """Return counts, rates and latencies."""
        correct = self.correct
        rejected = [sample for sample in self.samples if sample.verdict == "rejected"]
        unexpected = Counter(
            f"{sample.verdict} {sample.status}"
            for sample in self.samples
            if sample.verdict not in ("correct", "rejected")
        )
        return {
            "requests": len(self.samples),
            "seconds": round(self.wall_s, 1),
            "correct_per_s": round(self.correct_per_s, 2),
            "correct": len(correct),
            **_latencies(correct),
            "rejected": len(rejected),
            "rejection": tail_ms([sample.last_s for sample in rejected]),
            "errors": dict(Counter(sample.status for sample in self.samples if sample.status != "200")),
            "unexpected": dict(unexpected),
            "unsent": self.unsent,
            "client_cpu": round(self.client_cpu_s / self.wall_s, 2),
            "kinds": self._kinds(correct),
        }

    def _kinds(self, correct: Sequence[Sample]) -> dict[str, Any]:
        kinds = sorted({sample.kind for sample in self.samples})
        by_kind = {kind: [sample for sample in correct if sample.kind == kind] for kind in kinds}
        return {kind: {"correct": len(samples), **_latencies(samples)} for kind, samples in by_kind.items()}


def _latencies(samples: Sequence[Sample]) -> dict[str, Any]:
    return {
        "first": tail_ms([sample.first_s for sample in samples]),
        "last": tail_ms([sample.last_s for sample in samples]),
    }


@dataclass(frozen=True, slots=True)
class Bounds:
    """A load ends after this many seconds or requests."""

    seconds: float
    requests: int = MAX_REQUESTS


class LoadGenerator:
    """Sends the requests of a workload."""

    def __init__(self, client: httpx.AsyncClient, workload: Workload) -> None:
        self._client = client
        self._workload = workload

    async def closed(self, concurrency: int, bounds: Bounds) -> LoadResult:
        """Run a closed loop: each of ``concurrency`` clients sends its next request after each response."""
        with _Load() as load:

            async def client() -> None:
                while load.now_s() < bounds.seconds and load.count(bounds.requests):
                    await self._send(load, load.now_s())

            async with asyncio.TaskGroup() as group:
                for _ in range(concurrency):
                    group.create_task(client())
        return load.result

    async def open(self, rate: float, bounds: Bounds) -> LoadResult:
        """Run an open loop: random arrivals, ``rate`` per second, independent of the responses; await the last one."""
        with _Load() as load:
            tasks: set[asyncio.Task[None]] = set()
            due_s = self._workload.next_interval_s(rate)
            while due_s < bounds.seconds and load.count(bounds.requests):
                await asyncio.sleep(due_s - load.now_s())
                if len(tasks) < MAX_CONCURRENT:
                    tasks.add(task := asyncio.create_task(self._send(load, due_s)))
                    task.add_done_callback(tasks.discard)
                else:
                    load.result.unsent += 1
                due_s += self._workload.next_interval_s(rate)
            await asyncio.gather(*tasks)
        return load.result

    async def _send(self, load: _Load, due_s: float) -> None:
        kind, call = self._workload.next()
        delay_s = load.now_s() - due_s
        try:
            response = await call(self._client)
        except (httpx.HTTPError, InvalidResponse) as error:
            elapsed_s = load.now_s() - due_s
            sample = Sample(kind, due_s, type(error).__name__, "failed", elapsed_s, elapsed_s)
        else:
            verdict = self._workload.verdict(call, response)
            first_s, last_s = delay_s + response.first_s, delay_s + response.last_s
            sample = Sample(kind, due_s, str(response.status), verdict, first_s, last_s)
        load.result.samples.append(sample)


class _Load:
    """The clock and the request count of one load."""

    def __init__(self) -> None:
        self.result = LoadResult()
        self._requests = 0

    def __enter__(self) -> _Load:
        self._started_s, self._cpu_s = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.result.wall_s = self.now_s()
        self.result.client_cpu_s = time.process_time() - self._cpu_s

    def now_s(self) -> float:
        return time.perf_counter() - self._started_s

    def count(self, limit: int) -> bool:
        """Count one more request; return whether it is within the limit."""
        self._requests += 1
        return self._requests <= limit
