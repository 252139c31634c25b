"""What a listener gets of a sentence, whole or in pieces."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from deployments.postprocess import MARGIN_S, PEAK, Polish

RATE_HZ = 16_000
MARGIN = int(MARGIN_S * RATE_HZ)


def polished(pieces: list[NDArray[np.float32]], volume: float = 1.0, pause_s: float = 0.01) -> NDArray[np.float32]:
    polish = Polish(RATE_HZ, volume, pause_s)
    return np.concatenate([polish.add(piece, at == len(pieces) - 1) for at, piece in enumerate(pieces)])


def speech(samples: int, level: float = 0.5) -> NDArray[np.float32]:
    return (level * np.sin(np.arange(samples) / 3)).astype(np.float32)


@pytest.mark.parametrize(
    "samples", [np.full(1000, 9.0), np.full(1000, np.nan), np.zeros(1000), np.ones(1), np.zeros(0)], ids=str
)
def test_sound_of_any_kind_is_finished(samples: NDArray[np.float64]) -> None:
    done = polished([samples.astype(np.float32)])
    assert done.dtype == np.float32
    assert np.isfinite(done).all()
    assert len(done) >= 160
    assert np.abs(done).max() <= PEAK


def test_silence_around_the_speech_is_cut_off() -> None:
    around = np.zeros(8_000, np.float32)
    done = polished([np.concatenate([around, speech(1600), around])], pause_s=0)
    assert 1600 <= len(done) <= 1600 + 2 * MARGIN


@given(cuts=st.lists(st.integers(0, 12_000), max_size=6), silence=st.integers(0, 3_000))
def test_pieces_sound_as_the_whole(cuts: list[int], silence: int) -> None:
    quiet = np.zeros(silence, np.float32)
    whole = np.concatenate([quiet, speech(3_000), quiet, speech(3_000), quiet])
    np.testing.assert_allclose(polished(np.split(whole, sorted(cuts))), polished([whole]), atol=1e-6)


@given(levels=st.lists(st.floats(0, 3), min_size=1, max_size=5), volume=st.floats(0.1, 4))
def test_nothing_clips_and_no_piece_begins_with_a_click(levels: list[float], volume: float) -> None:
    pieces = [speech(2_000, level) for level in levels]
    done = polished(pieces, volume)
    assert np.abs(done).max(initial=0) <= PEAK
    steepest = max(float(np.abs(np.diff(piece)).max()) for piece in pieces) * volume
    jumps = max((abs(float(a[-1]) - float(b[0])) for a, b in pairwise(pieces)), default=0) * volume
    assert np.abs(np.diff(done)).max(initial=0) <= steepest + jumps + 0.02


def test_silence_is_held_back_until_it_is_known_not_to_be_the_end() -> None:
    polish = Polish(RATE_HZ, 1.0, 0.0)
    first = polish.add(np.concatenate([speech(2_000), np.zeros(2_000, np.float32)]), last=False)
    assert len(first) <= 2_000
    rest = polish.add(speech(2_000), last=True)
    assert len(first) + len(rest) == 6_000
