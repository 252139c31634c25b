"""Clients that leave in the middle, at each route: the engines stop within a value, and their places are free again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
import pytest
from serve_fakes import FAKES, PICTURE, asked, wait_until, wav

STEP_S = 0.5  # between tokens, chunks or segments: a cancellation is much faster
PLACES = {"SpeechToText": 2, "TextLLM": 2, "VisionLLM": 2, "TextToSpeech": 3, "Gateway": 16}  # one of them for stats
SENTENCES = 2  # of one answer that are spoken at a time

LONG = "One two three four five six. " * 60  # minutes of thinking; a sentence takes three seconds to make and to say
MESSAGES = [{"role": "user", "content": LONG}]
VOICE = {"modalities": ["text", "audio"], "stream": True}
EVENTS = {"accept": "text/event-stream"}
SOUND = wav(np.sin(np.arange(16_000) / 10))
RECORDING = wav(np.tile(np.sin(np.arange(16_000) / 10).astype(np.float32), 200))  # some pieces of three segments

# The route, the deployment that is watched, and the request.
CASES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "chat, text": ("/chat", "TextLLM", {"json": {"text": LONG}, "headers": EVENTS}),
    "chat, text, whole": ("/chat", "TextLLM", {"json": {"text": LONG}}),
    "chat, picture": ("/chat", "VisionLLM", {"files": {"image": PICTURE, "text": (None, LONG)}, "headers": EVENTS}),
    "chat, voice, the model": ("/chat", "TextLLM", {"json": {"text": LONG, "output": "voice"}}),
    "chat, voice, the speaker": ("/chat", "TextToSpeech", {"json": {"text": LONG, "output": "voice"}}),
    "completions, text": ("/v1/chat/completions", "TextLLM", {"json": {"messages": MESSAGES, "stream": True}}),
    "completions, text, whole": ("/v1/chat/completions", "TextLLM", {"json": {"messages": MESSAGES}}),
    "completions, voice, the model": ("/v1/chat/completions", "TextLLM", {"json": {"messages": MESSAGES, **VOICE}}),
    "completions, voice, the speaker": (
        "/v1/chat/completions",
        "TextToSpeech",
        {"json": {"messages": MESSAGES, **VOICE}},
    ),
    "speech": ("/v1/audio/speech", "TextToSpeech", {"json": {"input": LONG, "response_format": "pcm"}}),
    "speech, events": ("/v1/audio/speech", "TextToSpeech", {"json": {"input": LONG, "stream_format": "sse"}}),
    "transcriptions": (
        "/v1/audio/transcriptions",
        "SpeechToText",
        {"files": {"file": ("a.wav", RECORDING)}, "data": {"stream": "true"}},
    ),
    "transcriptions, whole": ("/v1/audio/transcriptions", "SpeechToText", {"files": {"file": ("a.wav", RECORDING)}}),
}

SHORT: dict[str, tuple[str, dict[str, Any]]] = {
    "SpeechToText": ("/v1/audio/transcriptions", {"files": {"file": ("a.wav", SOUND)}}),
    "TextLLM": ("/chat", {"json": {"text": "Hi."}}),
    "VisionLLM": ("/chat", {"files": {"image": PICTURE, "text": (None, "Hi.")}}),
    "TextToSpeech": ("/v1/audio/speech", {"json": {"input": "Hi."}}),
}


@pytest.fixture(scope="module")
def slow(service: Callable[[dict[str, Any]], str]) -> Iterator[str]:
    """Engines that take their time and have few places; the usual ones come back after these tests."""
    models = ("speech_to_text", "text_llm", "vision_llm", "text_to_speech")
    args = {name: FAKES["args"][name] | {"step_s": STEP_S} for name in models}
    deployments = [
        deployment | {"max_ongoing_requests": PLACES[deployment["name"]]} for deployment in FAKES["deployments"]
    ]
    yield service({"args": args, "deployments": deployments})
    service(FAKES)


@pytest.mark.parametrize("name", CASES)
def test_the_engine_stops_when_the_client_has_left(slow: str, stats: Callable[[str], Any], name: str) -> None:
    path, deployment, request = CASES[name]
    before = stats(deployment)
    with asked(f"{slow}{path}", **request) as connection:
        wait_until(lambda: stats(deployment).produced - before.produced >= 2, 30)
        if "whole" not in name:
            assert connection.recv(100).startswith(b"HTTP/1.1 200")
        leaving = stats(deployment)
    wait_until(lambda: stats(deployment).active == 0, 10)
    after = stats(deployment)
    assert after.produced - leaving.produced <= (SENTENCES if deployment == "TextToSpeech" else 1)  # what was under way
    assert after.cancelled > before.cancelled
    assert after.failed == before.failed
    time.sleep(3 * STEP_S)
    assert stats(deployment).produced == after.produced
    assert answers(slow, deployment, PLACES[deployment]) == [200] * PLACES[deployment]


def answers(url: str, deployment: str, number: int) -> list[int]:
    """What becomes of as many short requests at once. One that found a place taken would wait for minutes."""
    path, request = SHORT[deployment]

    def ask(_: int) -> int:
        return httpx.post(f"{url}{path}", timeout=30, **request).status_code

    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(ask, range(number)))
