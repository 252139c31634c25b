"""Clients that leave OpenAI's routes in the middle: the engines stop, and their places are free again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest
from serve_fakes import wait_until, wav

LONG = "One two three four. " * 100  # five seconds of thinking, which ends at the limit of tokens
MESSAGES = [{"role": "user", "content": "word " * 300}]  # sentences of a second, so that one is left in its middle
VOICE = {"modalities": ["text", "audio"], "stream": True}
# Heard in sixteen pieces or more, each of which takes 0.4 s.
RECORDING = wav(np.tile(np.sin(np.arange(16_000) / 10).astype(np.float32), 400))

CASES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "chat": ("/v1/chat/completions", "TextLLM", {"json": {"messages": MESSAGES, "stream": True}}),
    "voice, the model": ("/v1/chat/completions", "TextLLM", {"json": {"messages": MESSAGES, **VOICE}}),
    "voice, the speaker": ("/v1/chat/completions", "TextToSpeech", {"json": {"messages": MESSAGES, **VOICE}}),
    "speech": ("/v1/audio/speech", "TextToSpeech", {"json": {"input": LONG}}),
    "transcription": (
        "/v1/audio/transcriptions",
        "SpeechToText",
        {"files": {"file": ("a.wav", RECORDING)}, "data": {"stream": "true"}},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_engine_stops_when_the_client_has_left(fakes: str, stats: Callable[[str], Any], name: str) -> None:
    path, deployment, request = CASES[name]
    before = stats(deployment)
    with httpx.stream("POST", f"{fakes}{path}", timeout=30, **request) as response:
        assert response.status_code == 200
        stream = response.iter_raw()  # let go of, it would hang up
        next(stream)
        wait_until(lambda: stats(deployment).active > 0, 10)
    wait_until(lambda: stats(deployment).active == 0, 5)
    after = stats(deployment)
    assert after.cancelled > before.cancelled
    assert after.failed == before.failed
    assert after.produced - before.produced < 200  # of the 256 words of a whole answer, the 400 of a whole reading
    made = after.produced
    assert stats(deployment).produced == made
