"""Four times as many requests as places: every answer is right, or says in OpenAI's shape when to come back."""

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

from graphs.http import turnstile
from tests.serve.serve_fakes import FAKES, PICTURE, asked, wait_until, wav

GATEWAY = 12  # places in the Gateway, for all routes together
PLACES = {"SpeechToText": 2, "TextLLM": 2, "VisionLLM": 2, "TextToSpeech": 8}  # and as many more may wait
CROWD = 4 * GATEWAY

WORDS = "one two three four five six"
MESSAGES = [{"role": "user", "content": WORDS}]
SOUND = wav(np.sin(np.arange(16_000) / 10))


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


def of_sound(response: httpx.Response) -> str:
    return f"{len(response.content) / 2 / 24_000:.1f} s"


CASES: dict[str, tuple[str, dict[str, Any], Callable[[httpx.Response], str], str]] = {
    "chat": ("/chat", {"json": {"text": WORDS}}, of_json("text"), WORDS),
    "picture": (
        "/chat",
        {"files": {"image": PICTURE, "text": (None, WORDS)}},
        of_json("text"),
        f"a picture of 480 by 320. {WORDS}",
    ),
    "spoken question": ("/chat", {"files": {"audio": SOUND}}, of_json("transcript"), "it lasted 1.0 seconds"),
    "completion": (
        "/v1/chat/completions",
        {"json": {"messages": MESSAGES}},
        of_json("choices", 0, "message", "content"),
        WORDS,
    ),
    "completion, streamed": (
        "/v1/chat/completions",
        {"json": {"messages": MESSAGES, "stream": True}},
        of_chunks,
        WORDS,
    ),
    "speech": ("/v1/audio/speech", {"json": {"input": WORDS, "response_format": "pcm"}}, of_sound, "0.3 s"),
    "transcription": (
        "/v1/audio/transcriptions",
        {"files": {"file": ("a.wav", SOUND)}},
        of_json("text"),
        "it lasted 1.0 seconds",
    ),
}


@pytest.fixture(scope="module")
def narrow(service: Callable[[dict[str, Any]], str]) -> Iterator[str]:
    """The fakes with few places; the usual ones come back after these tests."""
    deployments = [
        deployment
        | (
            {"user_config": {"max_concurrent_requests": GATEWAY}}
            if deployment["name"] == "Gateway"
            else {"max_ongoing_requests": PLACES[deployment["name"]], "max_queued_requests": PLACES[deployment["name"]]}
        )
        for deployment in FAKES["deployments"]
    ]
    yield service(FAKES | {"deployments": deployments})
    service(FAKES)


def crowd(url: str, path: str, **request: Any) -> list[httpx.Response]:
    """The answers to a crowd that asks all at once."""

    async def ask_all() -> list[httpx.Response]:
        limits = httpx.Limits(max_connections=CROWD)
        async with httpx.AsyncClient(base_url=url, timeout=60, limits=limits) as client:
            return await asyncio.gather(*(client.post(path, **request) for _ in range(CROWD)))

    return asyncio.run(ask_all())


@pytest.mark.parametrize("name", CASES)
def test_every_answer_is_right_or_says_when_to_come_back(narrow: str, name: str) -> None:
    path, request, told, expected = CASES[name]
    responses = crowd(narrow, path, **request)
    answered = [response for response in responses if response.status_code == 200]
    refused = [response for response in responses if response.status_code != 200]
    assert answered
    assert {told(response) for response in answered} == {expected}
    assert refused
    for response in refused:
        assert response.status_code == 503
        assert turnstile.PLACES not in response.headers
        assert response.headers["content-type"] == "application/json"
        assert int(response.headers["retry-after"]) >= 1
        error = response.json()["error"]
        assert error["code"] == "overloaded"
        assert error.keys() == {"message", "type", "param", "code"}
    ids = [response.headers.get_list("x-request-id") for response in responses]
    assert len({id_ for (id_,) in ids}) == CROWD


def test_an_answer_says_how_long_it_waited(narrow: str) -> None:
    """Two are heard at a time, each takes 0.4 seconds: the other two wait at least so long."""
    answers: list[httpx.Response] = []

    def all_are_answered() -> bool:  # not so while those whom the tests before left are still being let go
        with ThreadPoolExecutor() as pool:
            asked = pool.map(lambda _: httpx.post(f"{narrow}/chat", files={"audio": SOUND}, timeout=30), range(4))
            answers[:] = asked
        return all(answer.status_code == 200 for answer in answers)

    wait_until(all_are_answered, 30)
    waits_ms = [re.findall(r"asr-queue;dur=([0-9.]+)", answer.headers["server-timing"]) for answer in answers]
    assert sorted(float(wait) > 350 for (wait,) in waits_ms) == [False, False, True, True]


def test_afterwards_every_place_is_free_again(narrow: str) -> None:
    assert {httpx.post(f"{narrow}/chat", json={"text": WORDS}).status_code for _ in range(GATEWAY)} == {200}


def test_a_reader_who_stands_still_holds_back_only_himself(fakes: str, stats: Callable[[str], Any]) -> None:
    long = {"input": "word " * 800, "response_format": "wav"}  # forty seconds of sound, which nobody takes
    before = stats("TextToSpeech")
    with asked(f"{fakes}/v1/audio/speech", receive_bytes=4096, json=long) as connection:
        assert connection.recv(12, socket.MSG_PEEK).startswith(b"HTTP/1.1 200")
        for _ in range(5):
            answer = httpx.post(f"{fakes}/v1/audio/speech", json={"input": WORDS, "response_format": "pcm"}, timeout=10)
            assert of_sound(answer) == "0.3 s"
    wait_until(lambda: stats("TextToSpeech").active == 0, 10)
    assert stats("TextToSpeech").failed == before.failed
