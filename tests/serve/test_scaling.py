"""Replicas come when there is more to do and go when there is less, and nobody's request is lost over it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.serve.serve_fakes import APPLICATION, FAKES, gateway, replicas, wait_until

CALLERS = 8
SCALED = {
    "max_ongoing_requests": 4,
    "max_queued_requests": 32,
    "graceful_shutdown_timeout_s": 20,
    "autoscaling_config": {
        "min_replicas": 1,
        "max_replicas": 3,
        "target_ongoing_requests": 2,
        "upscale_delay_s": 0.5,
        "downscale_delay_s": 1,
        "look_back_period_s": 2,
    },
}
SAID = "one two three four five six seven eight nine ten " * 3  # 0.6 seconds of thinking


@pytest.fixture
def scaled(service: Callable[[dict[str, Any]], str]) -> Iterator[str]:
    """The fakes with a language model that scales; the usual ones come back."""
    deployments = [
        {name: value for name, value in deployment.items() if name != "num_replicas"} | SCALED
        if deployment["name"] == "TextLLM"
        else deployment
        for deployment in FAKES["deployments"]
    ]
    yield service(FAKES | {"deployments": deployments})
    service(FAKES)


def running(deployment: str) -> int:
    from ray import serve

    return serve.status().applications[APPLICATION].deployments[deployment].replica_states.get("RUNNING", 0)


async def crowd(url: str, until: Callable[[], bool], callers: int, timeout_s: float) -> list[httpx.Response]:
    """What so many callers, who ask again as soon as they are answered, hear until something is true."""
    over = asyncio.create_task(asyncio.to_thread(wait_until, until, timeout_s))

    async def call(client: httpx.AsyncClient) -> list[httpx.Response]:
        answers = []
        while not over.done():
            answers.append(await client.post("/chat", json={"text": SAID}))
        return answers

    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        heard = await asyncio.gather(*(call(client) for _ in range(callers)))
    await over
    return [answer for answers in heard for answer in answers]


def all_right(answers: list[httpx.Response]) -> bool:
    return {(answer.status_code, answer.json().get("text")) for answer in answers} == {(200, SAID.strip())}


@pytest.mark.filterwarnings("ignore:.*look_back_period_s")  # short, for a test; the shipped ones are long enough
def test_replicas_follow_the_load_and_no_request_is_lost(scaled: str) -> None:
    assert running("TextLLM") == 1
    rising = asyncio.run(crowd(scaled, lambda: running("TextLLM") == 3, CALLERS, 60))
    falling = asyncio.run(crowd(scaled, lambda: running("TextLLM") == 1, 1, 60))
    assert all_right(rising)
    assert all_right(falling)


@pytest.fixture
def two_gateways(fakes: str, service: Callable[[dict[str, Any]], str]) -> Iterator[str]:
    """The fakes with two Gateways; the usual one comes back."""
    yield service(gateway(num_replicas=2))
    service(FAKES)


def under_way(replica: str) -> int:
    import ray

    return int(ray.get(ray.get_actor(replica, namespace="serve").get_num_ongoing_requests.remote()))


def test_any_gateway_knows_what_another_has_said(two_gateways: str) -> None:
    """Gateways keep nothing: the id of a spoken answer means the same to each of them."""
    gateways = [name for name in replicas() if "#Gateway#" in name]
    assert len(gateways) == 2

    async def converse() -> list[httpx.Response]:
        async with httpx.AsyncClient(base_url=two_gateways, timeout=60) as client:
            aloud = {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "wav"}}
            question = {"role": "user", "content": "Good day."}
            first = await client.post("/v1/chat/completions", json={"messages": [question], **aloud})
            said = {"role": "assistant", "audio": {"id": first.json()["choices"][0]["message"]["audio"]["id"]}}
            again = {"messages": [question, said, {"role": "user", "content": SAID}]}
            asking = [asyncio.create_task(client.post("/v1/chat/completions", json=again)) for _ in range(8)]
            await asyncio.to_thread(wait_until, lambda: all(under_way(name) for name in gateways), 10)
            return await asyncio.gather(*asking)

    answers = asyncio.run(converse())
    assert {answer.json()["choices"][0]["message"]["content"] for answer in answers} == {SAID.strip()}
