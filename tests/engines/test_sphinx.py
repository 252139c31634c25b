"""PocketSphinx with the domain's language model: what is asked is understood, what is no speech is not words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from deployments.engines.sphinx import SphinxRecognizer
from deployments.errors import InvalidRequest
from deployments.messages import Audio, Segment
from deployments.settings import SpeechToTextConfig, SphinxArgs, resolve
from pocket.asr import noise

Run = Callable[[Any], Any]
SPEECH = Path(__file__).resolve().parents[1] / "data"
DOMAIN = "pocket/asr/ngrams.arpa"


def speech(name: str = "question", times: int = 1) -> Audio:
    """A recorded question, as often as wanted with a second between."""
    samples, rate_hz = soundfile.read(SPEECH / f"{name}.wav", dtype="float32")
    pause = np.zeros(rate_hz, np.float32)
    return Audio(np.concatenate([samples, pause] * times), rate_hz)


@pytest.fixture(scope="module")
def ear() -> SphinxRecognizer:
    return SphinxRecognizer(SphinxArgs(language_model=DOMAIN))


async def heard(ear: SphinxRecognizer, audio: Audio, **config: Any) -> list[Segment]:
    return [segment async for segment in ear.transcribe(audio, SpeechToTextConfig(**config))]


@pytest.mark.parametrize("vad", [True, False])
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("question", "what is the capital of france"),
        ("what_do_you_see", "what do you see"),
        ("hello", "hello how are you"),
        ("what_is_your_name", "what is your name"),
        ("seven_plus_five", "what is seven plus five"),
        ("how_many_red_circles", "how many red circles are there"),
    ],
)
def test_questions_are_understood(run: Run, ear: SphinxRecognizer, name: str, said: str, vad: bool) -> None:
    assert [segment.text for segment in run(heard(ear, speech(name), vad=vad))] == [said]


def test_sentences_with_pauses_between_have_their_times(run: Run, ear: SphinxRecognizer) -> None:
    audio = speech(times=2)
    first, second = run(heard(ear, audio))
    assert first.text == second.text
    assert 0 <= first.start_s < first.end_s < second.start_s < second.end_s <= audio.duration_s


@pytest.mark.parametrize("kind", noise.KINDS)
def test_sounds_are_not_words(run: Run, ear: SphinxRecognizer, kind: str) -> None:
    sound = noise.KINDS[kind](np.random.default_rng(11), 5 * 16_000) * np.float32(0.3)
    assert run(heard(ear, Audio(sound, 16_000))) == []


@pytest.mark.parametrize("count", [0, 1, 100, 16_000, 31 * 16_000])
@pytest.mark.parametrize("vad", [True, False])
def test_silence_of_any_length_is_taken_and_holds_no_words(
    run: Run, ear: SphinxRecognizer, count: int, vad: bool
) -> None:
    assert run(heard(ear, Audio(np.zeros(count, np.float32), 16_000), vad=vad)) == []


def test_another_language_or_rate_is_the_clients_error(run: Run, ear: SphinxRecognizer) -> None:
    with pytest.raises(InvalidRequest, match="'de', only en"):
        run(heard(ear, speech(), language="de"))
    with pytest.raises(InvalidRequest, match="8,000"):
        run(heard(ear, Audio(np.zeros(100, np.float32), 8_000)))


@pytest.mark.parametrize(("name", "value"), [("temperature", 0.5), ("prompt", "Paris"), ("words", True)])
def test_what_it_cannot_do_is_refused_not_ignored(run: Run, ear: SphinxRecognizer, name: str, value: object) -> None:
    with pytest.raises(InvalidRequest):
        run(heard(ear, speech(), **{name: value}))


def test_a_missing_language_model_is_named() -> None:
    with pytest.raises(FileNotFoundError, match=r"no\.arpa"):
        SphinxRecognizer(SphinxArgs(language_model="no.arpa"))


def test_the_language_model_is_bundled() -> None:
    assert Path(resolve(DOMAIN)).stat().st_size < 5e6
