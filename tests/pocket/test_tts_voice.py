"""The bundled voice in Coqui's Synthesizer."""

import itertools

import numpy as np
import pytest

from pocket.tts import evaluate, text
from pocket.tts.voice import WEIGHTS, Voice

pytestmark = pytest.mark.skipif(not (WEIGHTS / "acoustic.pth").exists(), reason="the voice is not trained yet")

LINES = (
    "The capital of France is Paris.",
    "I see two red circles.",
    "Yes.",
    "Mr. Smith has 25 cats.",
    "Seven plus five is twelve.",
)


@pytest.fixture(scope="module")
def voice() -> Voice:
    return Voice()


@pytest.fixture(scope="module")
def clips(voice: Voice) -> list[np.ndarray]:
    assert voice.rate_hz == 16_000
    return [voice.speak(line) for line in LINES]


def test_independent_recognizer_transcribes_the_speech(clips: list[np.ndarray]) -> None:
    transcribe = evaluate.independent_recognizer()
    transcripts = [transcribe(clip) for clip in clips]
    assert "paris" in transcripts[0]
    assert "circles" in transcripts[1]
    assert "twenty" in transcripts[3]
    assert "twelve" in transcripts[4]


def test_peak_level_is_within_bounds(clips: list[np.ndarray]) -> None:
    peaks = [np.abs(clip).max() for clip in clips]
    assert min(peaks) > 0.1
    assert max(peaks) < 0.98


def test_speech_rate_is_natural(clips: list[np.ndarray]) -> None:
    for line, clip in zip(LINES, clips, strict=True):
        characters_per_second = len(text.clean(line)) / (len(clip) / 16_000)
        assert 3 < characters_per_second < 25


def test_sentences_start_and_end_near_zero(clips: list[np.ndarray]) -> None:
    assert evaluate.largest_join(clips) < 0.01
    for before, after in itertools.pairwise(clips):
        assert np.abs(before[-80:]).max() < 0.03
        assert np.abs(after[:80]).max() < 0.03


@pytest.mark.parametrize("line", ["a", "I", "7", "No", "OK!", "Café!", "P, A, R, I, S.", "$5.20 at 3:45 pm, Dr. Lee?"])
def test_speaks_short_and_unusual_texts(voice: Voice, line: str) -> None:
    wave = voice.speak(line)
    assert np.isfinite(wave).all()
    assert np.abs(wave).max() > 0.05


@pytest.mark.skipif(not text.DICTIONARY.exists(), reason="needs Debian's wamerican")
def test_evaluation_sentences_are_held_out_and_reproducible() -> None:
    lines = evaluate.held_out_sentences(evaluate.CONVERSATION, 50)
    assert lines == evaluate.held_out_sentences(evaluate.CONVERSATION, 50)
    assert len(set(lines)) == 50
    training_sentences = set(itertools.islice((line for line in text.sentences(1) if not text.held_out(line)), 20_000))
    assert not training_sentences & set(lines)
