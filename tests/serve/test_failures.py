"""Clients that disconnect, queues that are full, replicas that die."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest

from tests.serve.serve_fakes import APPLICATION, PICTURE, sent, wait_until, wav

LONG = "One two three four. " * 100  # an answer of five seconds, cut at the limit of tokens
RECORDING = wav(np.sin(np.arange(16_000) / 10))

Stats = Callable[[str], Any]


@pytest.mark.parametrize(
    ("deployment", "parts"),
    [
        ("SpeechToText", {"files": {"audio": RECORDING}}),
        ("TextLLM", {"json": {"text": LONG}}),
        ("TextLLM", {"json": {"text": LONG}, "headers": {"accept": "text/event-stream"}}),
        ("VisionLLM", {"files": {"image": PICTURE, "text": (None, LONG)}}),
        ("TextToSpeech", {"json": {"text": LONG, "output": "voice"}}),
        ("TextLLM", {"json": {"text": LONG, "output": "voice"}}),
    ],
    ids=["asr", "llm", "llm streaming", "vision", "tts", "llm of a spoken answer"],
)
def test_a_disconnect_stops_the_engine(fakes: str, stats: Stats, deployment: str, parts: dict[str, Any]) -> None:
    before = stats(deployment)
    with sent(f"{fakes}/chat", **parts):
        wait_until(lambda: stats(deployment).active > 0, 10)
    # To wait for no active request is not enough: between two sentences there is none either.
    wait_until(lambda: stats(deployment).cancelled > before.cancelled and stats(deployment).active == 0, 5)
    after = stats(deployment)
    assert after.failed == before.failed
    assert after.produced - before.produced < 200  # of the 256 words of a whole answer


def test_a_disconnect_during_the_upload_affects_no_other_request(fakes: str, client: httpx.Client) -> None:
    address = urlsplit(fakes)
    with socket.create_connection((address.hostname or "", address.port or 0)) as connection:
        connection.sendall(
            b"POST /chat HTTP/1.1\r\nHost: x\r\nContent-Type: audio/wav\r\nContent-Length: 9999\r\n\r\nRIFF"
        )
    assert client.post("/chat", json={"text": "Good day."}).json()["text"] == "Good day."


def test_requests_beyond_a_full_queue_are_refused_with_retry_after(fakes: str) -> None:
    async def send_all() -> list[httpx.Response]:
        parts = {"files": {"image": PICTURE, "text": (None, "word " * 50)}}
        async with httpx.AsyncClient(base_url=fakes, timeout=60) as client:
            return await asyncio.gather(*(client.post("/chat", **parts) for _ in range(12)))

    responses = asyncio.run(send_all())
    assert {response.status_code for response in responses} == {200, 503}
    refused = next(response for response in responses if response.status_code == 503)
    assert refused.json()["error"]["code"] == "overloaded"
    assert int(refused.headers["retry-after"]) >= 1


def kill(deployment: str) -> None:
    """Kill the replicas of a deployment, as a crash does."""
    kill_actors(f"{APPLICATION}#{deployment}#")


def kill_actors(name: str) -> None:
    """Kill the actors whose name contains ``name``."""
    import ray

    for actor in ray.util.list_named_actors(all_namespaces=True):
        if name in actor["name"]:
            ray.kill(ray.get_actor(actor["name"], namespace=actor["namespace"]))


def wait_for_recovery(client: httpx.Client, **parts: Any) -> None:
    wait_until(lambda: client.post("/chat", **parts).status_code == 200, 60)


@pytest.mark.parametrize("deployment", ["TextLLM", "Gateway"])
def test_a_replica_that_dies_before_the_headers_is_a_503_and_is_replaced(
    client: httpx.Client, stats: Stats, deployment: str
) -> None:
    with ThreadPoolExecutor() as pool:
        pending = pool.submit(client.post, "/chat", json={"text": LONG})
        wait_until(lambda: stats("TextLLM").active > 0, 10)
        kill(deployment)
        response = pending.result()
    assert response.status_code == 503, response.text
    assert response.json()["error"]["code"] == "engine_unavailable"
    assert int(response.headers["retry-after"]) >= 1
    wait_for_recovery(client, json={"text": "Good day."})


def test_a_replica_that_dies_later_is_an_error_event_or_truncated_audio(client: httpx.Client) -> None:
    request = {"json": {"text": LONG}, "headers": {"accept": "text/event-stream"}}
    with client.stream("POST", "/chat", **request) as response:  # type: ignore[arg-type]
        lines = response.iter_lines()
        assert next(lines) == "event: text"
        kill("TextLLM")
        rest = list(lines)
    assert "event: error" in rest
    assert "engine_unavailable" in rest[-2]
    wait_for_recovery(client, json={"text": "Good day."})

    with client.stream("POST", "/chat", json={"text": LONG, "output": "voice"}) as response:
        audio = response.iter_raw()
        assert next(audio).startswith(b"RIFF")
        kill("TextToSpeech")
        with pytest.raises(httpx.RemoteProtocolError):
            list(audio)
    wait_for_recovery(client, json={"text": "Good day.", "output": "voice"})
    wait_until(lambda: client.get("/health").status_code == 200, 30)


def is_answered(client: httpx.Client) -> bool:
    try:
        return client.post("/chat", json={"text": "Good day."}).status_code == 200
    except httpx.TransportError:
        return False


def test_a_proxy_that_dies_is_replaced_sooner_than_by_the_default_of_ray(client: httpx.Client) -> None:
    kill_actors("SERVE_PROXY_ACTOR")
    wait_until(lambda: not is_answered(client), 5)
    wait_until(lambda: is_answered(client), 15)
