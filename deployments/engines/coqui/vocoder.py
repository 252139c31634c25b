"""From a spectrogram to audio in chunks, so that playback of a sentence starts before all of it is synthesized.

The audio of a frame depends on a few frames around it. A chunk is computed with these extra frames, whose audio is
discarded, and is then the same as in the whole. Chunks have one of a few lengths, as oneDNN compiles a kernel for every
new length, which takes longer than computing the audio. Long sentences get no slower: a chunk fits a CPU's cache.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

FIRST_S = 0.4
LATER_S = 1.5  # synthesized before the first chunk has been played, even at a real-time factor of 0.25
LENGTH_STEP = 8  # frames; the length of a last chunk is rounded up to a multiple of it
PROBE_FRAMES = 128
TOLERANCE = 1e-4  # of full scale; inaudible

Run = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Computes audio, float32 of shape (samples,), from a spectrogram, float32 of shape (frames, bands)."""


@dataclass(frozen=True, slots=True)
class Window:
    """The relation of frames to samples.

    Each frame has ``hop`` samples, and ``pad`` samples precede the first frame. A sample does not depend on frames at
    a distance of ``reach`` or more.
    """

    hop: int
    pad: int
    reach: int


class Vocoder:
    """Computes audio in chunks, or as a whole if chunks would differ from the whole (then ``window`` is ``None``)."""

    def __init__(self, run: Run, bands: int, rate_hz: int) -> None:
        self._run = run
        self._rate_hz = rate_hz
        self.window = self._measure(np.random.default_rng(0).normal(size=(PROBE_FRAMES, bands)).astype(np.float32))

    def chunks(self, spectrogram: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
        """Yield the audio of a spectrogram of shape (frames, bands) in order."""
        if self.window is None:
            yield self._run(spectrogram)
            return
        first, later = (max(1, round(s * self._rate_hz / self.window.hop)) for s in (FIRST_S, LATER_S))
        for start, end in pairwise((0, *_ends(len(spectrogram), first, later))):
            yield self._chunk(spectrogram, start, end, self.window)

    def _chunk(self, spectrogram: NDArray[np.float32], start: int, end: int, window: Window) -> NDArray[np.float32]:
        """Return the audio of the frames from ``start`` to ``end``."""
        low, high = max(0, start - window.reach), min(len(spectrogram), end + window.reach)
        if high == len(spectrogram):  # only last chunks vary in length
            low = max(0, low - (low - high) % LENGTH_STEP)
        audio = self._run(spectrogram[low:high])
        begin = window.pad + (start - low) * window.hop if start else 0
        stop = window.pad + (end - low) * window.hop if end < len(spectrogram) else len(audio)
        return audio[begin:stop]

    def _measure(self, probe: NDArray[np.float32]) -> Window | None:
        """Return the window, or ``None`` if there is none for which chunks equal the whole.

        It is measured from the audio of all of ``probe``, of its first half, and of ``probe`` with one frame changed.
        """
        frames, middle = len(probe), len(probe) // 2
        changed = probe.copy()
        changed[middle] += 1
        whole, half, other = self._run(probe), self._run(probe[:middle]), self._run(changed)
        hop, rest = divmod(len(whole) - len(half), frames - middle)
        if hop <= 0 or rest or len(other) != len(whole):
            return None
        pad = (len(whole) - hop * frames) // 2
        distances = (np.flatnonzero(np.abs(other - whole) > TOLERANCE / 10) - pad) // hop - middle
        window = Window(hop, pad, int(np.abs(distances).max(initial=0)) + 1)
        cuts = pairwise((0, middle // 2, middle, frames))
        joined = np.concatenate([self._chunk(probe, start, end, window) for start, end in cuts])
        equal = len(joined) == len(whole) and np.allclose(joined, whole, rtol=0, atol=TOLERANCE)
        return window if equal and window.reach < middle - 1 else None


def _ends(frames: int, first: int, later: int) -> Iterator[int]:
    """Yield the end of each chunk, in frames. A rest that is shorter than a chunk is joined to the last one."""
    if frames > 2 * first:
        yield first
        yield from range(first + later, frames - later, later)
    yield frames
