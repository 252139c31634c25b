"""The audio of one sentence after postprocessing, as a whole or in chunks."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from deployments.postprocess import MARGIN_S, PEAK, AudioPostprocessor

RATE_HZ = 16_000
MARGIN = int(MARGIN_S * RATE_HZ)


def processed(chunks: list[NDArray[np.float32]], volume: float = 1.0, pause_s: float = 0.01) -> NDArray[np.float32]:
    processor = AudioPostprocessor(RATE_HZ, volume, pause_s)
    return np.concatenate([*map(processor.add, chunks), processor.finish()])


def speech(samples: int, level: float = 0.5) -> NDArray[np.float32]:
    return (level * np.sin(np.arange(samples) / 3)).astype(np.float32)


@pytest.mark.parametrize("samples", [np.full(1000, 9.0), np.full(1000, np.nan), np.zeros(1000), np.ones(1)], ids=str)
def test_accepts_any_samples(samples: NDArray[np.float64]) -> None:
    done = processed([samples.astype(np.float32)])
    assert done.dtype == np.float32
    assert np.isfinite(done).all()
    assert len(done) >= 160
    assert np.abs(done).max() <= PEAK


def test_no_samples_give_no_audio_and_no_pause() -> None:
    assert len(processed([])) == len(processed([np.zeros(0, np.float32)])) == 0


def test_trims_silence_around_the_speech() -> None:
    silence = np.zeros(8_000, np.float32)
    done = processed([np.concatenate([silence, speech(1600), silence])], pause_s=0)
    assert 1600 <= len(done) <= 1600 + 2 * MARGIN


@settings(deadline=None)  # other processes may use the CPU
@given(cuts=st.lists(st.integers(0, 12_000), max_size=6), silence=st.integers(0, 3_000))
def test_chunks_give_the_audio_of_the_whole(cuts: list[int], silence: int) -> None:
    quiet = np.zeros(silence, np.float32)
    whole = np.concatenate([quiet, speech(3_000), quiet, speech(3_000), quiet])
    np.testing.assert_allclose(processed(np.split(whole, sorted(cuts))), processed([whole]), atol=1e-6)


@settings(deadline=None)  # other processes may use the CPU
@given(levels=st.lists(st.floats(0, 3), min_size=1, max_size=5), volume=st.floats(0.1, 4))
def test_does_not_clip_or_click_between_chunks(levels: list[float], volume: float) -> None:
    chunks = [speech(2_000, level) for level in levels]
    done = processed(chunks, volume)
    assert np.abs(done).max(initial=0) <= PEAK
    steepest = max(float(np.abs(np.diff(chunk)).max()) for chunk in chunks) * volume
    jumps = max((abs(float(a[-1]) - float(b[0])) for a, b in pairwise(chunks)), default=0) * volume
    assert np.abs(np.diff(done)).max(initial=0) <= steepest + jumps + 0.02


def test_holds_back_silence_until_more_speech_follows() -> None:
    processor = AudioPostprocessor(RATE_HZ, 1.0, 0.0)
    first = processor.add(np.concatenate([speech(2_000), np.zeros(2_000, np.float32)]))
    assert len(first) <= 2_000
    rest = np.concatenate([processor.add(speech(2_000)), processor.finish()])
    assert len(first) + len(rest) == 6_000
