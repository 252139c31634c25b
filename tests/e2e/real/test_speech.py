"""Human speech, repeated sentences, noise and silence through POST /chat and /v1/audio/transcriptions."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile

from pocket.asr.score import errors
from pocket.asr.text import words
from tests.e2e.conftest import DATA

pytestmark = pytest.mark.timeout(900)  # the first test pulls the models and starts the service

SPEECH, INPUTS = DATA / "speech", DATA / "inputs"
RECORDINGS = dict(re.findall(r"^\| `(\w+\.flac)` \| (.+) \|$", (SPEECH / "README.md").read_text(), re.MULTILINE))
REPEATED = {
    "rep_yes.wav": "Yes. " * 10,
    "rep_order.flac": "Turn on the kitchen light. " * 5,
    "rep_test.wav": "Testing, testing, 123. " * 4,  # Whisper writes numbers in digits
}


MAX_WRONG_WORDS = 1
# Whisper base writes "Tarathin sheet" or "Terra thin sheet" for "Tear a thin sheet", with the library alone as well, in
# float32, the whole window, with any number of beams.
HEARD_WORSE = {"reader2_3.flac": 3}


def chat(client: httpx.Client, name: str, recording: bytes) -> httpx.Response:
    return client.post("/chat", files={"audio": (name, recording)}, data={"max_tokens": "1"})


def transcribe(client: httpx.Client, name: str, recording: bytes) -> httpx.Response:
    return client.post("/v1/audio/transcriptions", files={"file": (name, recording)}, data={"model": "whisper-base"})


ROUTES: dict[str, tuple[Callable[..., httpx.Response], str]] = {
    "chat": (chat, "transcript"),
    "transcriptions": (transcribe, "text"),
}


def wrong_words(client: httpx.Client, route: str, path: Path, spoken: str) -> int:
    """Return the number of words of a transcript that have to change for it to be what was spoken."""
    send, field = ROUTES[route]
    response = send(client, path.name, path.read_bytes())
    assert response.status_code == 200, response.text
    return errors(words(spoken), words(response.json()[field]))


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("name", RECORDINGS)
def test_human_speech_is_written_down_with_at_most_one_wrong_word(client: httpx.Client, name: str, route: str) -> None:
    wrong = wrong_words(client, route, SPEECH / name, RECORDINGS[name])
    assert wrong <= HEARD_WORSE.get(name, MAX_WRONG_WORDS)


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("name", REPEATED)
def test_what_is_said_several_times_is_written_down_as_often(client: httpx.Client, name: str, route: str) -> None:
    assert wrong_words(client, route, INPUTS / name, REPEATED[name]) <= MAX_WRONG_WORDS


def white_noise() -> bytes:
    target = io.BytesIO()
    samples = np.random.default_rng(0).normal(0, 0.1, 3 * 16_000)
    soundfile.write(target, samples.clip(-1, 1), 16_000, format="WAV")
    return target.getvalue()


WITHOUT_SPEECH: dict[str, Any] = {
    "horn.flac": lambda: (SPEECH / "noise_horn.flac").read_bytes(),
    "silence.wav": lambda: (DATA / "silence.wav").read_bytes(),
    "white_noise.wav": white_noise,
}


@pytest.mark.parametrize("name", WITHOUT_SPEECH)
def test_a_chat_without_speech_is_refused(client: httpx.Client, name: str) -> None:
    response = chat(client, name, WITHOUT_SPEECH[name]())
    assert response.status_code == 422, response.text
    assert response.json()["error"]["code"] == "no_speech"


@pytest.mark.parametrize("name", WITHOUT_SPEECH)
def test_the_transcript_of_a_recording_without_speech_is_empty(client: httpx.Client, name: str) -> None:
    response = transcribe(client, name, WITHOUT_SPEECH[name]())
    assert (response.status_code, response.json()["text"]) == (200, "")
