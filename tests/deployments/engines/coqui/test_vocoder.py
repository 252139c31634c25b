"""Pieces are the whole, whatever the vocoder; and one that cannot be cut is not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from deployments.engines.coqui.vocoder import FIRST_S, Vocoder

RATE_HZ = 16_000


class Pretended:
    """Every sample is a mean over the ``reach`` frames on both sides; ``pad`` samples more at both ends."""

    def __init__(self, hop: int, reach: int, pad: int) -> None:
        self.hop, self.reach, self.pad = hop, reach, pad
        self.frames: list[int] = []

    def __call__(self, spectrogram: NDArray[np.float32]) -> NDArray[np.float32]:
        self.frames.append(len(spectrogram))
        size = 2 * self.reach + 1
        kernel = np.arange(1, size + 1) / size
        levels = np.convolve(spectrogram.mean(axis=1), kernel, "full")[self.reach : self.reach + len(spectrogram)]
        return np.pad(np.repeat(levels, self.hop), self.pad, "edge").astype(np.float32)


def spoken(vocoder: Vocoder, frames: int) -> tuple[list[NDArray[np.float32]], list[bool]]:
    spectrogram = np.random.default_rng(frames).normal(size=(frames, 4)).astype(np.float32)
    pieces, lasts = zip(*vocoder.pieces(spectrogram), strict=True)
    return list(pieces), list(lasts)


@given(hop=st.integers(16, 400), reach=st.integers(0, 30), pad=st.integers(0, 600), frames=st.integers(1, 900))
def test_the_pieces_are_the_whole(hop: int, reach: int, pad: int, frames: int) -> None:
    make = Pretended(hop, reach, pad)
    vocoder = Vocoder(make, 4, RATE_HZ)
    assert vocoder.window is not None
    assert (vocoder.window.hop, vocoder.window.pad) == (hop, pad)
    pieces, lasts = spoken(vocoder, frames)
    whole = make(np.random.default_rng(frames).normal(size=(frames, 4)).astype(np.float32))
    np.testing.assert_allclose(np.concatenate(pieces), whole, atol=1e-5)
    assert lasts == [False] * (len(pieces) - 1) + [True]


def test_the_first_piece_is_short_and_costs_only_what_it_depends_on() -> None:
    make = Pretended(hop=256, reach=10, pad=0)
    vocoder = Vocoder(make, 4, RATE_HZ)
    make.frames.clear()
    pieces, _ = spoken(vocoder, 300)
    assert len(pieces[0]) == pytest.approx(FIRST_S * RATE_HZ, abs=256)
    assert make.frames[0] <= FIRST_S * RATE_HZ / 256 + 12


def test_pieces_of_sentences_of_all_lengths_have_few_lengths() -> None:
    make = Pretended(hop=256, reach=11, pad=0)
    vocoder = Vocoder(make, 4, RATE_HZ)
    make.frames.clear()
    for frames in range(51, 600):
        spoken(vocoder, frames)
    assert len(make.frames) > 549 * 2
    assert len(set(make.frames)) < 25


def test_a_short_sentence_is_one_piece() -> None:
    assert len(spoken(Vocoder(Pretended(256, 10, 512), 4, RATE_HZ), 40)[0]) == 1


def looks_everywhere(spectrogram: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.repeat(spectrogram.mean(axis=1) - spectrogram.mean(), 100).astype(np.float32)


def never_the_same_twice(spectrogram: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.random.default_rng().normal(size=100 * len(spectrogram)).astype(np.float32)


def always_as_long(_: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.zeros(1000, np.float32)


@pytest.mark.parametrize("make", [looks_everywhere, never_the_same_twice, always_as_long])
def test_what_cannot_be_cut_is_made_whole(make: object) -> None:
    vocoder = Vocoder(make, 4, RATE_HZ)  # type: ignore[arg-type]
    assert vocoder.window is None
    pieces, lasts = spoken(vocoder, 300)
    assert (len(pieces), lasts) == (1, [True])
