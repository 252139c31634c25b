"""The loops and the figures of the load generator, against a fake service."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from bench.client import Request
from bench.generator import Bounds, LoadGenerator, LoadResult, Sample
from bench.memory import ProcessUsage, Snapshot
from bench.openai import complete
from bench.plots import draw_steps, draw_timeline
from bench.workload import Call, Workload

ERROR_BODY = json.dumps({"error": {"message": "full", "type": "overloaded_error", "param": None, "code": "overloaded"}})


class Service:
    """Answers chat completions after ``response_s``, at most ``limit`` concurrently, and rejects further ones."""

    def __init__(self, limit: int, response_s: float = 0.01) -> None:
        self.limit, self.response_s = limit, response_s
        self.active = self.max_active = 0

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        if self.active == self.limit:
            return httpx.Response(503, text=ERROR_BODY, headers={"Retry-After": "1"})
        self.active += 1
        self.max_active = max(self.max_active, self.active)
        await asyncio.sleep(self.response_s)
        self.active -= 1
        text = json.loads(request.content)["messages"][0]["content"][0]["text"]
        return httpx.Response(200, json={"choices": [{"message": {"content": text}}]})


@asynccontextmanager
async def generator_for(service: Service) -> AsyncIterator[LoadGenerator]:
    calls: dict[str, list[Call]] = {
        "chat": [partial(complete, request=Request("text", text=word), stream=False) for word in ("one", "two")]
    }
    async with httpx.AsyncClient(base_url="http://service", transport=httpx.MockTransport(service)) as client:
        workload = Workload(calls, {"chat": 1.0}, seed=1)
        await workload.record_references(client)
        yield LoadGenerator(client, workload)


def test_a_closed_loop_keeps_the_concurrency() -> None:
    async def body() -> tuple[Service, LoadResult]:
        service = Service(limit=100)
        async with generator_for(service) as generator:
            return service, await generator.closed(5, Bounds(60, requests=40))

    service, result = asyncio.run(body())
    assert service.max_active == 5
    assert result.figures()["correct"] == len(result.samples) == 40


def test_a_closed_loop_ends_in_time() -> None:
    async def body() -> LoadResult:
        async with generator_for(Service(limit=100)) as generator:
            return await generator.closed(2, Bounds(0.1))

    result = asyncio.run(body())
    assert result.samples
    assert all(sample.due_s < 0.1 for sample in result.samples)


def test_an_open_loop_times_from_the_due_time_and_counts_rejections() -> None:
    async def body() -> LoadResult:
        async with generator_for(Service(limit=2, response_s=0.05)) as generator:
            return await generator.open(400, Bounds(60, requests=60))

    result = asyncio.run(body())
    assert {sample.verdict for sample in result.samples} == {"correct", "rejected"}
    figures = result.figures()
    assert figures["correct"] + figures["rejected"] == 60
    assert figures["errors"] == {"503": figures["rejected"]}
    assert figures["unexpected"] == {}
    assert all(sample.last_s >= 0.05 for sample in result.samples if sample.verdict == "correct")


def test_an_error_on_the_idle_service_ends_the_bench() -> None:
    async def body() -> None:
        async with generator_for(Service(limit=0)):
            raise AssertionError

    with pytest.raises(SystemExit, match="chat returned 503"):
        asyncio.run(body())


def test_a_settled_rate_excludes_the_beginning_and_later_ends() -> None:
    ends = (1.0, 4.9, 5.0, 10.0, 25.0, 25.1)
    result = LoadResult([Sample("chat", end - 0.5, "200", "correct", 0.2, 0.5) for end in ends], wall_s=26.0)
    result.samples.append(Sample("chat", 10.0, "503", "rejected", 0.1, 0.1))
    assert result.settled_per_s(25.0) == 3 / 20


def load_result() -> LoadResult:
    verdicts: list[Any] = ["correct", "correct", "rejected", "failed"]
    samples = [Sample("chat", 0.1 * n, "200", verdict, 0.05, 0.1) for n, verdict in enumerate(verdicts)]
    return LoadResult(samples, wall_s=2.0, client_cpu_s=0.5)


def test_figures_count_correct_responses_per_second() -> None:
    figures = load_result().figures()
    assert (figures["correct_per_s"], figures["client_cpu"]) == (1.0, 0.25)
    assert figures["last"] == {"p50_ms": 100.0, "p95_ms": 100.0, "p99_ms": 100.0, "max_ms": 100.0}
    assert figures["unexpected"] == {"failed 200": 1}
    assert figures["kinds"]["chat"]["correct"] == 2


def test_plots_are_png_files(tmp_path: Path) -> None:
    draw_steps("concurrency", [(1, load_result().figures()), (2, load_result().figures())], tmp_path / "steps.png")
    usage = ProcessUsage("ray::ServeReplica:parley:TextLLM", 1, 10.0, 3)
    snapshots = [Snapshot(float(at), [usage]) for at in range(3)]
    draw_timeline(load_result().samples, snapshots, tmp_path / "timeline.png")
    for name in ("steps.png", "timeline.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
