"""The audio of one sentence, made ready for playback: trimmed, levelled, faded, and followed by a pause."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

PEAK = 0.95  # of full scale
FADE_S = 0.005
SILENCE = 0.003  # relative to the peak so far; quieter samples at either end are trimmed
MARGIN_S = 0.03  # of the quieter samples that are kept


class AudioPostprocessor:
    """Processes the audio of one sentence chunk by chunk; samples are float32 of shape (n,).

    The gain follows the peak of the chunks seen so far; it changes over the duration of a fade.
    """

    def __init__(self, rate_hz: int, volume: float, pause_s: float) -> None:
        self._fade = int(FADE_S * rate_hz)
        self._margin = int(MARGIN_S * rate_hz)
        self._pause = np.zeros(int(pause_s * rate_hz), np.float32)
        self._volume = volume
        self._held = np.zeros(0, np.float32)
        self._peak = 0.0
        self._gain: float | None = None  # of the last samples that were returned

    def add(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the samples that are ready: all but a quiet end, which may be the silence after the sentence."""
        held = np.concatenate([self._held, np.nan_to_num(samples)])
        self._peak = max(self._peak, float(np.abs(held).max(initial=0.0)))
        loud = self._loud(held)
        begins = self._gain is None
        start = max(0, int(loud[0]) - self._margin) if begins and len(loud) else 0
        end = min(int(loud[-1]) + 1 if len(loud) else 0, len(held) - self._fade)
        if end - start < (2 * self._fade if begins else 1):
            self._held = held
            return held[:0]
        self._held = held[end:]
        return self._faded(self._levelled(held[start:end]), begins, ends=False)

    def finish(self) -> NDArray[np.float32]:
        """Return the rest of the sentence and the pause; nothing if no samples were added."""
        held, self._held = self._held, self._held[:0]
        begins = self._gain is None
        if begins and not len(held):
            return held
        loud = self._loud(held)
        start = max(0, int(loud[0]) - self._margin) if begins and len(loud) else 0
        end = (int(loud[-1]) + 1 if len(loud) else 0) + self._margin
        if begins and not len(loud):
            end = len(held)
        return np.concatenate([self._faded(self._levelled(held[start:end]), begins, ends=True), self._pause])

    def _loud(self, samples: NDArray[np.float32]) -> NDArray[np.intp]:
        """Return the indices of the samples that are not silence."""
        return np.flatnonzero(np.abs(samples) > SILENCE * self._peak)

    def _levelled(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
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
