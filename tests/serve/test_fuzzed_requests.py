"""Requests that are changed at random, on fakes. ``python -m bench.fuzz`` sends 20,000 to a service."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx

from bench.client import connect
from bench.fuzz import Findings, Fuzzer, check_service, fuzz
from tests.serve.serve_fakes import wait_until

COUNT = 300
SLOTS = 8  # of the slowest fake
STAGES = ("SpeechToText", "TextLLM", "VisionLLM", "TextToSpeech")


def test_every_answer_is_typed_and_nothing_is_left_behind(fakes: str, stats: Callable[[str], Any]) -> None:
    findings = Findings()

    async def run() -> None:
        async with connect(fakes, timeout_s=60) as client:
            await fuzz(client, Fuzzer(1).cases(COUNT), findings, concurrency=2)
            await check_service(client, findings, SLOTS)

    asyncio.run(run())
    assert sum(findings.statuses.values()) == COUNT
    assert findings.statuses["200"] > COUNT / 10
    assert findings.problems == []
    for stage in STAGES:
        wait_until(lambda stage=stage: stats(stage).active == 0, 10)  # type: ignore[misc]


def test_the_service_still_answers(client: httpx.Client) -> None:
    assert client.post("/chat", json={"text": "Good day."}).json()["text"] == "Good day."
