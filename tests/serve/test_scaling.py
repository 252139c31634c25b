"""Autoscaling adds and removes replicas with the load without a failed request; Gateway replicas share no state."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.serve.serve_fakes import APPLICATION, FAKES, replicas, wait_until, with_gateway

CLIENTS = 8
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
TEXT = "one two three four five six seven eight nine ten " * 3  # generated in 0.6 seconds


@pytest.fixture
def scaled(service: Callable[[dict[str, Any]], str]) -> Iterator[str]:
    """The fakes with a TextLLM that scales; the usual one is restored after the test."""
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


async def load(url: str, until: Callable[[], bool], clients: int, timeout_s: float) -> list[httpx.Response]:
    """Return the responses to concurrent clients that send one request after another until a condition is true."""
    over = asyncio.create_task(asyncio.to_thread(wait_until, until, timeout_s))

    async def send_repeatedly(client: httpx.AsyncClient) -> list[httpx.Response]:
        responses = []
        while not over.done():
            responses.append(await client.post("/chat", json={"text": TEXT}))
        return responses

    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        sent = await asyncio.gather(*(send_repeatedly(client) for _ in range(clients)))
    await over
    return [response for responses in sent for response in responses]


def all_correct(responses: list[httpx.Response]) -> bool:
    return {(response.status_code, response.json().get("text")) for response in responses} == {(200, TEXT.strip())}


@pytest.mark.filterwarnings("ignore:.*look_back_period_s")  # Ray warns of a period as short as here
def test_replicas_follow_the_load_and_every_request_is_answered(scaled: str) -> None:
    assert running("TextLLM") == 1
    rising = asyncio.run(load(scaled, lambda: running("TextLLM") == 3, CLIENTS, 60))
    falling = asyncio.run(load(scaled, lambda: running("TextLLM") == 1, 1, 60))
    assert all_correct(rising)
    assert all_correct(falling)


@pytest.fixture
def two_gateways(fakes: str, service: Callable[[dict[str, Any]], str]) -> Iterator[str]:
    """The fakes with two Gateway replicas; the usual one is restored after the test."""
    yield service(with_gateway(num_replicas=2))
    service(FAKES)


def requests_in_progress(replica: str) -> int:
    import ray

    return int(ray.get(ray.get_actor(replica, namespace="serve").get_num_ongoing_requests.remote()))


def test_the_id_of_a_spoken_answer_is_valid_at_every_gateway_replica(two_gateways: str) -> None:
    """A Gateway replica keeps no state between requests: the id itself contains the answer's text."""
    gateways = [name for name in replicas() if "#Gateway#" in name]
    assert len(gateways) == 2

    async def converse() -> list[httpx.Response]:
        async with httpx.AsyncClient(base_url=two_gateways, timeout=60) as client:
            voice = {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "wav"}}
            question = {"role": "user", "content": "Good day."}
            first = await client.post("/v1/chat/completions", json={"messages": [question], **voice})
            answer = {"role": "assistant", "audio": {"id": first.json()["choices"][0]["message"]["audio"]["id"]}}
            again = {"messages": [question, answer, {"role": "user", "content": TEXT}]}
            pending = [asyncio.create_task(client.post("/v1/chat/completions", json=again)) for _ in range(8)]
            await asyncio.to_thread(wait_until, lambda: all(requests_in_progress(name) for name in gateways), 10)
            return await asyncio.gather(*pending)

    responses = asyncio.run(converse())
    assert {response.json()["choices"][0]["message"]["content"] for response in responses} == {TEXT.strip()}
