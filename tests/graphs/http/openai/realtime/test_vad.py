"""The probability of speech: as the library computes it, with a state that carries over, apart for each stream."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from faster_whisper.vad import get_vad_model
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from graphs.http.openai.realtime.turn_detection import SpeechStarted, SpeechStopped, TurnDetector, TurnRules
from graphs.http.openai.realtime.vad import FRAME, FRAME_MS, SpeechModel, SpeechProbability
from tests.graphs.http.openai.realtime.recordings import RATE_HZ, recording, silence, with_silence

MODEL = SpeechModel()
RULES = TurnRules(threshold=0.5, prefix_ms=300, silence_ms=500, pause_ms=150, min_speech_ms=64, max_speech_ms=60_000)


def probabilities(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    return SpeechProbability(MODEL).feed(samples)


def turns(samples: NDArray[np.float32]) -> list[tuple[int, int]]:
    """The start and the end of each turn, in ms."""
    events = TurnDetector(RULES, frame_ms=FRAME_MS).feed(probabilities(samples))
    starts = [event.start_ms for event in events if isinstance(event, SpeechStarted)]
    ends = [event.end_ms for event in events if isinstance(event, SpeechStopped)]
    return list(zip(starts, ends, strict=True))


def test_agrees_with_the_wrapper_of_the_library() -> None:
    samples = recording("reader1_1")
    samples = samples[: len(samples) // FRAME * FRAME]
    library = get_vad_model()(samples.copy())  # it overwrites the end of the last frame
    assert probabilities(samples)[:-1] == pytest.approx(library[:-1], abs=1e-5)


@settings(deadline=None, max_examples=20)
@given(cuts=st.lists(st.integers(0, 2 * RATE_HZ), max_size=10))
def test_how_the_audio_is_cut_into_calls_does_not_matter(cuts: list[int]) -> None:
    samples = recording("reader1_1")[: 2 * RATE_HZ]
    stream = SpeechProbability(MODEL)
    edges = [0, *sorted(cuts), len(samples)]
    found = [stream.feed(samples[a:b]) for a, b in pairwise(edges)]
    assert np.concatenate(found) == pytest.approx(probabilities(samples), abs=1e-5)


def test_streams_do_not_disturb_each_other() -> None:
    speech = recording("reader2_2")[: 40 * FRAME].reshape(40, FRAME)
    one, other = SpeechProbability(MODEL), SpeechProbability(MODEL)
    found = []
    for frame in speech:
        found.append(one.feed(frame))
        other.feed(silence(1))
    assert np.concatenate(found) == pytest.approx(probabilities(speech.ravel()), abs=1e-5)


@pytest.mark.parametrize("name", ["reader1_1", "reader2_2"])
def test_speech_of_a_person_is_one_turn(name: str) -> None:
    spoken = recording(name)
    ((start_ms, end_ms),) = turns(with_silence(spoken))
    assert 500 <= start_ms <= 1500
    assert 1500 + RULES.silence_ms <= end_ms <= 1000 + len(spoken) / 16 + 2 * FRAME_MS + RULES.silence_ms


def test_speech_in_a_noisy_room_is_one_turn() -> None:
    random = np.random.default_rng(0)
    echo = np.exp(-np.arange(RATE_HZ // 4) / 800) * random.normal(size=RATE_HZ // 4) * 0.05
    echo[0] = 1
    heard = np.convolve(with_silence(recording("reader1_1")), echo)
    heard += random.normal(size=len(heard)) * 0.002
    assert len(turns(heard.astype(np.float32))) == 1


@pytest.mark.parametrize(
    "noise",
    [
        silence(3),
        recording("noise_horn"),
        (np.random.default_rng(0).normal(size=5 * RATE_HZ) * 0.05).astype(np.float32),
        (0.3 * np.sin(2 * np.pi * 440 * np.arange(3 * RATE_HZ) / RATE_HZ)).astype(np.float32),
        np.concatenate([silence(1), np.full(80, 0.9, np.float32), silence(1)]),
    ],
    ids=["silence", "noise_horn", "hiss", "tone", "click"],
)
def test_what_is_no_speech_is_no_turn(noise: NDArray[np.float32]) -> None:
    assert turns(with_silence(noise)) == []


def test_the_model_is_found_without_importing_the_library() -> None:
    code = (
        "import sys; from graphs.http.openai.realtime.vad import SpeechModel; SpeechModel(); "
        "print([name for name in ('faster_whisper', 'ctranslate2', 'torch') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
