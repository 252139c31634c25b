"""Whisper base of the catalogue hears speech that repeats itself, noise, and beginnings of a sentence."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import soundfile

from bench.audio import resample
from deployments.engines.whisper.engine import WhisperRecognizer
from deployments.engines.whisper.settings import WhisperArgs, WhisperConfig
from deployments.messages import Audio, Segment
from tests.deployments.engines.cases import DATA

Run = Callable[[Any], Any]
CONFIG = WhisperConfig(beam_size=5, retry_limit_s=60)  # a busy machine gets the same transcripts


@pytest.fixture(scope="module")
def engine(real_model: Callable[[str], str]) -> WhisperRecognizer:
    return WhisperRecognizer(WhisperArgs(model=real_model("whisper-base"), workers=1))


def recording(name: str) -> Audio:
    samples, rate_hz = soundfile.read(DATA / name, dtype="float32")
    return resample(Audio(samples, rate_hz), 16_000)


async def collect(engine: WhisperRecognizer, audio: Audio, config: WhisperConfig = CONFIG) -> list[Segment]:
    return [segment async for segment in engine.transcribe(audio, config)]


def words_of(segments: list[Segment]) -> list[str]:
    text = " ".join(segment.text for segment in segments).casefold().replace("one, two, three", "123")
    return re.findall(r"\w+", re.sub(r"\b1,? 2,? 3\b", "123", text))


@pytest.mark.parametrize(
    ("name", "sentence", "times"),
    [
        ("rep_yes.wav", "yes", 10),
        ("rep_order.flac", "turn on the kitchen light", 5),
        ("rep_test.wav", "testing testing 123", 4),
    ],
)
def test_repeated_speech_comes_back_as_often_as_it_was_said(
    run: Run, engine: WhisperRecognizer, name: str, sentence: str, times: int
) -> None:
    assert words_of(run(collect(engine, recording(f"inputs/{name}")))) == sentence.split() * times


@pytest.mark.parametrize("level", [0.0, 0.01, 0.3])
def test_noise_and_silence_have_no_words(run: Run, engine: WhisperRecognizer, level: float) -> None:
    noise = np.random.default_rng(0).normal(0, level, 48_000).astype(np.float32)
    assert run(collect(engine, Audio(noise.clip(-1, 1), 16_000))) == []


@pytest.mark.parametrize("seconds", [0.3, 0.7, 1.4])
def test_the_beginning_of_a_sentence_has_its_first_words(run: Run, engine: WhisperRecognizer, seconds: float) -> None:
    whole = recording("question.wav")
    start = int(np.argmax(np.abs(whole.samples) > 0.02))
    heard = run(collect(engine, Audio(whole.samples[: start + int(seconds * 16_000)], 16_000)))
    assert words_of(heard)[0] == "what"
    assert len(words_of(heard)) <= 6  # as many as the question has


def test_words_of_a_short_window_have_their_times(run: Run, engine: WhisperRecognizer) -> None:
    audio = recording("question.wav")
    segments = run(collect(engine, audio, CONFIG.model_copy(update={"words": True})))
    words = [word for segment in segments for word in segment.words]
    assert [word.text for word in words] == ["What", "is", "the", "capital", "of", "France?"]
    assert all(0 <= word.start_s < word.end_s <= audio.duration_s for word in words)
    assert all(one.end_s <= other.start_s for one, other in pairwise(words))


@pytest.mark.parametrize("language", [None, "en"])
def test_the_language_is_detected_or_as_requested(run: Run, engine: WhisperRecognizer, language: str | None) -> None:
    config = CONFIG.model_copy(update={"language": language})
    assert {one.language for one in run(collect(engine, recording("question.wav"), config))} == {"en"}
