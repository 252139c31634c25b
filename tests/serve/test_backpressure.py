"""Four times as many requests as the Gateway's limit: each is answered correctly or refused with Retry-After."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
import pytest

from tests.serve.serve_fakes import FAKES, PICTURE, sent, wait_until, wav

GATEWAY_LIMIT = 12  # concurrent requests of all routes together
LIMITS = {"SpeechToText": 2, "TextLLM": 2, "VisionLLM": 2, "TextToSpeech": 8}  # in progress, and as many queued
REQUESTS = 4 * GATEWAY_LIMIT

TEXT = "one two three four five six"
MESSAGES = [{"role": "user", "content": TEXT}]
RECORDING = wav(np.sin(np.arange(16_000) / 10))


def of_json(*path: str | int) -> Callable[[httpx.Response], str]:
    def text(response: httpx.Response) -> str:
        value = response.json()
        for step in path:
            value = value[step]
        return str(value)

    return text


def of_chunks(response: httpx.Response) -> str:
    lines = [line.removeprefix("data: ") for line in response.text.splitlines() if line]
    assert lines[-1] == "[DONE]"
    deltas = [json.loads(line)["choices"][0]["delta"] for line in lines[:-1]]
    return "".join(delta.get("content", "") for delta in deltas)


def of_pcm(response: httpx.Response) -> str:
    return f"{len(response.content) / 2 / 24_000:.1f} s"


# The route, the request, a function that extracts the answer from the response, and the expected answer.
CASES: dict[str, tuple[str, dict[str, Any], Callable[[httpx.Response], str], str]] = {
    "chat": ("/chat", {"json": {"text": TEXT}}, of_json("text"), TEXT),
    "picture": (
        "/chat",
        {"files": {"image": PICTURE, "text": (None, TEXT)}},
        of_json("text"),
        f"a picture of 480 by 320. {TEXT}",
    ),
    "spoken question": ("/chat", {"files": {"audio": RECORDING}}, of_json("transcript"), "it lasted 1.0 seconds"),
    "completion": (
        "/v1/chat/completions",
        {"json": {"messages": MESSAGES}},
        of_json("choices", 0, "message", "content"),
        TEXT,
    ),
    "completion, streamed": (
        "/v1/chat/completions",
        {"json": {"messages": MESSAGES, "stream": True}},
        of_chunks,
        TEXT,
    ),
    "speech": ("/v1/audio/speech", {"json": {"input": TEXT, "response_format": "pcm"}}, of_pcm, "0.3 s"),
    "transcription": (
        "/v1/audio/transcriptions",
        {"files": {"file": ("a.wav", RECORDING)}},
        of_json("text"),
        "it lasted 1.0 seconds",
    ),
}


@pytest.fixture(scope="module")
def limited(service: Callable[[dict[str, Any]], str]) -> Iterator[str]:
    """The fakes with low limits; the usual limits are restored after these tests."""
    deployments = [
        deployment
        | (
            {"user_config": {"max_concurrent_requests": GATEWAY_LIMIT}}
            if deployment["name"] == "Gateway"
            else {"max_ongoing_requests": LIMITS[deployment["name"]], "max_queued_requests": LIMITS[deployment["name"]]}
        )
        for deployment in FAKES["deployments"]
    ]
    yield service(FAKES | {"deployments": deployments})
    service(FAKES)


def send_concurrently(url: str, path: str, **request: Any) -> list[httpx.Response]:
    """Return the responses to ``REQUESTS`` concurrent requests."""

    async def send_all() -> list[httpx.Response]:
        limits = httpx.Limits(max_connections=REQUESTS)
        async with httpx.AsyncClient(base_url=url, timeout=60, limits=limits) as client:
            return await asyncio.gather(*(client.post(path, **request) for _ in range(REQUESTS)))

    return asyncio.run(send_all())


@pytest.mark.parametrize("name", CASES)
def test_each_request_is_answered_correctly_or_refused_with_retry_after(limited: str, name: str) -> None:
    path, request, answer, expected = CASES[name]
    responses = send_concurrently(limited, path, **request)
    answered = [response for response in responses if response.status_code == 200]
    refused = [response for response in responses if response.status_code != 200]
    assert answered
    assert {answer(response) for response in answered} == {expected}
    assert refused
    for response in refused:
        assert response.status_code == 503
        assert response.headers["content-type"] == "application/json"
        assert int(response.headers["retry-after"]) >= 1
        error = response.json()["error"]
        assert error["code"] == "overloaded"
        assert error.keys() == {"message", "type", "param", "code"}
    ids = [response.headers.get_list("x-request-id") for response in responses]
    assert len({id_ for (id_,) in ids}) == REQUESTS


def test_a_response_reports_its_queue_wait(limited: str) -> None:
    """Two recordings are transcribed at a time, each in 0.4 seconds: the other two wait at least as long."""
    responses: list[httpx.Response] = []

    def all_are_answered() -> bool:  # not while the service still ends the requests of earlier tests
        with ThreadPoolExecutor() as pool:
            responses[:] = pool.map(
                lambda _: httpx.post(f"{limited}/chat", files={"audio": RECORDING}, timeout=30), range(4)
            )
        return all(response.status_code == 200 for response in responses)

    wait_until(all_are_answered, 30)
    waits_ms = [re.findall(r"asr-queue;dur=([0-9.]+)", response.headers["server-timing"]) for response in responses]
    assert sorted(float(wait) > 350 for (wait,) in waits_ms) == [False, False, True, True]


def test_later_requests_within_the_limit_are_answered(limited: str) -> None:
    assert {httpx.post(f"{limited}/chat", json={"text": TEXT}).status_code for _ in range(GATEWAY_LIMIT)} == {200}


def test_a_client_that_does_not_read_delays_no_other_client(fakes: str, stats: Callable[[str], Any]) -> None:
    long = {"input": "word " * 800, "response_format": "wav"}  # forty seconds of audio
    before = stats("TextToSpeech")
    with sent(f"{fakes}/v1/audio/speech", receive_bytes=4096, json=long) as connection:
        assert connection.recv(12, socket.MSG_PEEK).startswith(b"HTTP/1.1 200")
        for _ in range(5):
            response = httpx.post(
                f"{fakes}/v1/audio/speech", json={"input": TEXT, "response_format": "pcm"}, timeout=10
            )
            assert of_pcm(response) == "0.3 s"
    wait_until(lambda: stats("TextToSpeech").active == 0, 10)
    assert stats("TextToSpeech").failed == before.failed
