"""Chunks give the audio of the whole for every vocoder; where they would not, there is one chunk."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from deployments.engines.coqui.vocoder import FIRST_S, Vocoder

RATE_HZ = 16_000


class FakeVocoder:
    """Each sample is a weighted mean over ``reach`` frames on both sides; both ends have ``pad`` more samples."""

    def __init__(self, hop: int, reach: int, pad: int) -> None:
        self.hop, self.reach, self.pad = hop, reach, pad
        self.frames: list[int] = []

    def __call__(self, spectrogram: NDArray[np.float32]) -> NDArray[np.float32]:
        self.frames.append(len(spectrogram))
        size = 2 * self.reach + 1
        kernel = np.arange(1, size + 1) / size
        levels = np.convolve(spectrogram.mean(axis=1), kernel, "full")[self.reach : self.reach + len(spectrogram)]
        return np.pad(np.repeat(levels, self.hop), self.pad, "edge").astype(np.float32)


def chunks_of(vocoder: Vocoder, frames: int) -> list[NDArray[np.float32]]:
    return list(vocoder.chunks(random_spectrogram(frames)))


def random_spectrogram(frames: int) -> NDArray[np.float32]:
    return np.random.default_rng(frames).normal(size=(frames, 4)).astype(np.float32)


@settings(deadline=None)  # other processes may use the CPU
@given(hop=st.integers(16, 400), reach=st.integers(0, 30), pad=st.integers(0, 600), frames=st.integers(1, 900))
def test_chunks_give_the_audio_of_the_whole(hop: int, reach: int, pad: int, frames: int) -> None:
    run = FakeVocoder(hop, reach, pad)
    vocoder = Vocoder(run, 4, RATE_HZ)
    assert vocoder.window is not None
    assert (vocoder.window.hop, vocoder.window.pad) == (hop, pad)
    whole = run(random_spectrogram(frames))
    np.testing.assert_allclose(np.concatenate(chunks_of(vocoder, frames)), whole, atol=1e-5)


def test_the_first_chunk_is_short_and_computes_few_frames() -> None:
    run = FakeVocoder(hop=256, reach=10, pad=0)
    vocoder = Vocoder(run, 4, RATE_HZ)
    run.frames.clear()
    chunks = chunks_of(vocoder, 300)
    assert len(chunks[0]) == pytest.approx(FIRST_S * RATE_HZ, abs=256)
    assert run.frames[0] <= FIRST_S * RATE_HZ / 256 + 12


def test_chunks_of_sentences_of_all_lengths_have_few_lengths() -> None:
    run = FakeVocoder(hop=256, reach=11, pad=0)
    vocoder = Vocoder(run, 4, RATE_HZ)
    run.frames.clear()
    for frames in range(51, 600):
        chunks_of(vocoder, frames)
    assert len(run.frames) > 549 * 2
    assert len(set(run.frames)) < 25


def test_a_short_sentence_is_one_chunk() -> None:
    assert len(chunks_of(Vocoder(FakeVocoder(256, 10, 512), 4, RATE_HZ), 40)) == 1


def depends_on_all_frames(spectrogram: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.repeat(spectrogram.mean(axis=1) - spectrogram.mean(), 100).astype(np.float32)


def is_random(spectrogram: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.random.default_rng().normal(size=100 * len(spectrogram)).astype(np.float32)


def has_a_fixed_length(_: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.zeros(1000, np.float32)


@pytest.mark.parametrize("run", [depends_on_all_frames, is_random, has_a_fixed_length])
def test_without_a_window_there_is_one_chunk(run: object) -> None:
    vocoder = Vocoder(run, 4, RATE_HZ)  # type: ignore[arg-type]
    assert vocoder.window is None
    assert len(chunks_of(vocoder, 300)) == 1
