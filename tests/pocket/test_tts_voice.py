"""The shipped voice through Coqui's Synthesizer."""

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
    return [voice.say(line) for line in LINES]


def test_an_independent_recognizer_understands_it(clips: list[np.ndarray]) -> None:
    hear = evaluate.independent_recognizer()
    heard = [hear(clip) for clip in clips]
    assert "paris" in heard[0]
    assert "circles" in heard[1]
    assert "twenty" in heard[3]
    assert "twelve" in heard[4]


def test_it_is_loud_enough_and_does_not_clip(clips: list[np.ndarray]) -> None:
    peaks = [np.abs(clip).max() for clip in clips]
    assert min(peaks) > 0.1
    assert max(peaks) < 0.98


def test_it_speaks_at_a_natural_pace(clips: list[np.ndarray]) -> None:
    for line, clip in zip(LINES, clips, strict=True):
        letters_per_second = len(text.clean(line)) / (len(clip) / 16_000)
        assert 3 < letters_per_second < 25


def test_sentences_join_without_a_click(clips: list[np.ndarray]) -> None:
    assert evaluate.roughest_join(clips) < 0.01
    for before, after in itertools.pairwise(clips):
        assert np.abs(before[-80:]).max() < 0.03
        assert np.abs(after[:80]).max() < 0.03


@pytest.mark.parametrize("line", ["a", "I", "7", "No", "OK!", "Café!", "P, A, R, I, S.", "$5.20 at 3:45 pm, Dr. Lee?"])
def test_short_and_odd_lines_are_spoken(voice: Voice, line: str) -> None:
    wave = voice.say(line)
    assert np.isfinite(wave).all()
    assert np.abs(wave).max() > 0.05


@pytest.mark.skipif(not text.DICTIONARY.exists(), reason="needs Debian's wamerican")
def test_evaluation_is_held_out_and_repeatable() -> None:
    lines = evaluate.held_out_sentences(evaluate.TALK, 50)
    assert lines == evaluate.held_out_sentences(evaluate.TALK, 50)
    assert len(set(lines)) == 50
    trained = set(itertools.islice((line for line in text.sentences(1) if not text.held_out(line)), 20_000))
    assert not trained & set(lines)
