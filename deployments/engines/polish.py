"""The sound of a sentence as a listener gets it: without silence at its ends, below clipping, with a pause after it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

PEAK = 0.95
FADE_S = 0.005
SILENCE = 0.003  # of the peak so far; what is quieter at either end is cut off
MARGIN_S = 0.03  # but for this much


class Polish:
    """For one sentence, piece by piece; in one piece it is the same but for a gain that could not be foreseen."""

    def __init__(self, rate_hz: int, volume: float, pause_s: float) -> None:
        self._fade = int(FADE_S * rate_hz)
        self._margin = int(MARGIN_S * rate_hz)
        self._pause = np.zeros(int(pause_s * rate_hz), np.float32)
        self._volume = volume
        self._held = np.zeros(0, np.float32)
        self._peak = 0.0
        self._gain: float | None = None  # of the last samples that went out

    def add(self, samples: NDArray[np.float32], last: bool) -> NDArray[np.float32]:
        """What can go out now: all but what may be the silence at the end, unless it is the ``last`` piece."""
        held = np.concatenate([self._held, np.nan_to_num(samples)])
        self._peak = max(self._peak, float(np.abs(held).max(initial=0.0)))
        loud = np.flatnonzero(np.abs(held) > SILENCE * self._peak)
        begins = self._gain is None
        start = max(0, int(loud[0]) - self._margin) if begins and len(loud) else 0
        heard = int(loud[-1]) + 1 if len(loud) else 0
        if last:
            end = len(held) if begins and not heard else heard + self._margin
            return np.concatenate([self._faded(self._levelled(held[start:end]), begins, ends=True), self._pause])
        end = min(heard, len(held) - self._fade)
        if end - start < (2 * self._fade if begins else 1):
            self._held = held
            return held[:0]
        self._held = held[end:]
        return self._faded(self._levelled(held[start:end]), begins, ends=False)

    def _levelled(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """As loud as is wanted and possible; a change of gain takes the time of a fade."""
        gain = min(self._volume, PEAK / self._peak) if self._peak else self._volume
        gains = np.full(len(samples), gain, np.float32)
        change = min(self._fade, len(samples))
        gains[:change] = np.linspace(gain if self._gain is None else self._gain, gain, change, dtype=np.float32)
        self._gain = gain
        levelled: NDArray[np.float32] = np.clip(samples * gains, -PEAK, PEAK)
        return levelled

    def _faded(self, samples: NDArray[np.float32], begins: bool, *, ends: bool) -> NDArray[np.float32]:
        fade = min(self._fade, len(samples) // 2 if begins and ends else len(samples))
        ramp = np.linspace(0, 1, fade, dtype=np.float32)
        if begins and fade:
            samples[:fade] *= ramp
        if ends and fade:
            samples[-fade:] *= ramp[::-1]
        return samples
