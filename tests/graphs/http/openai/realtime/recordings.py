"""Recordings for the tests of live talk: mono float32 at 16 kHz."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

DATA = Path(__file__).resolve().parents[4] / "data"
RATE_HZ = 16_000


def recording(name: str) -> NDArray[np.float32]:
    """Return a recording of tests/data/speech."""
    samples, rate_hz = soundfile.read(DATA / "speech" / f"{name}.flac", dtype="float32")
    assert rate_hz == RATE_HZ
    return np.asarray(samples, np.float32)


def silence(seconds: float) -> NDArray[np.float32]:
    return np.zeros(round(seconds * RATE_HZ), np.float32)


def with_silence(samples: NDArray[np.float32], seconds: float = 1) -> NDArray[np.float32]:
    """Return the audio with silence before and after."""
    return np.concatenate([silence(seconds), samples, silence(seconds)])
