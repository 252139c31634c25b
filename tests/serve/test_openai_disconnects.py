"""A client disconnects before the end of a response, at each route: the engine stops within one value, and the capacity
of its deployment is free again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
import pytest

from tests.serve.serve_fakes import FAKES, PICTURE, sent, wait_until, wav

STEP_S = 0.5  # between tokens, chunks or segments; a cancellation is much faster
LIMITS = {"SpeechToText": 2, "TextLLM": 2, "VisionLLM": 2, "TextToSpeech": 3, "Gateway": 16}  # stats() is one of these
SENTENCES = 2  # of one answer that are synthesized concurrently

LONG = "One two three four five six. " * 60  # generated in minutes; the synthesis of a sentence takes three seconds
MESSAGES = [{"role": "user", "content": LONG}]
VOICE = {"modalities": ["text", "audio"], "stream": True}
EVENTS = {"accept": "text/event-stream"}
SHORT_RECORDING = wav(np.sin(np.arange(16_000) / 10))
RECORDING = wav(np.tile(np.sin(np.arange(16_000) / 10).astype(np.float32), 200))  # several pieces of three segments

# The route, the deployment that is observed, and the request.
CASES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "chat, text": ("/chat", "TextLLM", {"json": {"text": LONG}, "headers": EVENTS}),
    "chat, text, not streamed": ("/chat", "TextLLM", {"json": {"text": LONG}}),
    "chat, picture": ("/chat", "VisionLLM", {"files": {"image": PICTURE, "text": (None, LONG)}, "headers": EVENTS}),
    "chat, voice, LLM": ("/chat", "TextLLM", {"json": {"text": LONG, "output": "voice"}}),
    "chat, voice, TTS": ("/chat", "TextToSpeech", {"json": {"text": LONG, "output": "voice"}}),
    "completions, text": ("/v1/chat/completions", "TextLLM", {"json": {"messages": MESSAGES, "stream": True}}),
    "completions, text, not streamed": ("/v1/chat/completions", "TextLLM", {"json": {"messages": MESSAGES}}),
    "completions, voice, LLM": ("/v1/chat/completions", "TextLLM", {"json": {"messages": MESSAGES, **VOICE}}),
    "completions, voice, TTS": (
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
    "transcriptions, not streamed": (
        "/v1/audio/transcriptions",
        "SpeechToText",
        {"files": {"file": ("a.wav", RECORDING)}},
    ),
}

SHORT: dict[str, tuple[str, dict[str, Any]]] = {
    "SpeechToText": ("/v1/audio/transcriptions", {"files": {"file": ("a.wav", SHORT_RECORDING)}}),
    "TextLLM": ("/chat", {"json": {"text": "Hi."}}),
    "VisionLLM": ("/chat", {"files": {"image": PICTURE, "text": (None, "Hi.")}}),
    "TextToSpeech": ("/v1/audio/speech", {"json": {"input": "Hi."}}),
}


@pytest.fixture(scope="module")
def slow(service: Callable[[dict[str, Any]], str]) -> Iterator[str]:
    """Slow engines with low limits; the usual ones are restored after these tests."""
    models = ("speech_to_text", "text_llm", "vision_llm", "text_to_speech")
    args = {name: FAKES["args"][name] | {"step_s": STEP_S} for name in models}
    deployments = [
        deployment | {"max_ongoing_requests": LIMITS[deployment["name"]]} for deployment in FAKES["deployments"]
    ]
    yield service({"args": args, "deployments": deployments})
    service(FAKES)


@pytest.mark.parametrize("name", CASES)
def test_a_disconnect_stops_the_engine_and_frees_its_capacity(
    slow: str, stats: Callable[[str], Any], name: str
) -> None:
    path, deployment, request = CASES[name]
    before = stats(deployment)
    with sent(f"{slow}{path}", **request) as connection:
        wait_until(lambda: stats(deployment).produced - before.produced >= 2, 30)
        if "not streamed" not in name:
            assert connection.recv(100).startswith(b"HTTP/1.1 200")
        disconnecting = stats(deployment)
    wait_until(lambda: stats(deployment).active == 0, 10)
    after = stats(deployment)
    assert after.produced - disconnecting.produced <= (SENTENCES if deployment == "TextToSpeech" else 1)
    assert after.cancelled > before.cancelled
    assert after.failed == before.failed
    time.sleep(3 * STEP_S)
    assert stats(deployment).produced == after.produced
    assert statuses(slow, deployment, LIMITS[deployment]) == [200] * LIMITS[deployment]


def statuses(url: str, deployment: str, number: int) -> list[int]:
    """Return the statuses of concurrent short requests. One that has to queue behind a long one times out."""
    path, request = SHORT[deployment]

    def send(_: int) -> int:
        return httpx.post(f"{url}{path}", timeout=30, **request).status_code

    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(send, range(number)))
