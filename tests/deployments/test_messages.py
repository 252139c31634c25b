"""The conversion of audio to 16 bits."""

from __future__ import annotations

import numpy as np

from deployments.messages import Audio


def pcm16(samples: list[float]) -> list[int]:
    integers: list[int] = Audio(np.array(samples, np.float32), 16_000).pcm16().tolist()
    return integers


def test_clips_samples_beyond_full_scale() -> None:
    assert pcm16([2.0, -2.0, 0.0]) == [32767, -32767, 0]


def test_rounds_a_sample_to_the_nearest_integer() -> None:
    assert pcm16([sample / 32767 for sample in (0.6, -0.6, 0.4, 100.7)]) == [1, -1, 0, 101]
