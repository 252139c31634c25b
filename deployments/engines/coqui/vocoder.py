"""From a spectrogram to sound in pieces: a sentence is heard before all of it is made. Calls no library.

The sound of a frame depends on a few frames around it. A piece is made with those, of which nothing is kept, and is
then the same as in the whole. A long sentence is made no slower so: a piece fits a processor's cache. Pieces have one
of a few lengths: oneDNN compiles for every length that it sees anew, which takes longer than to make the sound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

FIRST_S = 0.4
LATER_S = 1.5  # made before the first has been heard, even if that takes a quarter of the time that it lasts
SAME_FRAMES = 8  # last pieces are made a multiple of so many frames at a time
PROBE_FRAMES = 128
TOLERANCE = 1e-4  # of full scale: far below what 16 bits can tell from silence

Make = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Sound, float32 of shape (samples,), of a spectrogram, float32 of shape (frames, bands)."""


@dataclass(frozen=True, slots=True)
class Window:
    """How sound and frames belong together: ``hop`` samples each, after ``pad`` samples of the edge.

    Frames at a distance of ``reach`` and more change nothing.
    """

    hop: int
    pad: int
    reach: int


class Vocoder:
    """Makes sound in pieces, or whole where a piece would differ from the whole."""

    def __init__(self, make: Make, bands: int, rate_hz: int) -> None:
        self._make = make
        self._rate_hz = rate_hz
        self.window = self._found(np.random.default_rng(0).normal(size=(PROBE_FRAMES, bands)).astype(np.float32))

    def pieces(self, spectrogram: NDArray[np.float32]) -> Iterator[tuple[NDArray[np.float32], bool]]:
        """The sound from beginning to end, each piece with whether it is the last."""
        if self.window is None:
            yield self._make(spectrogram), True
            return
        frames = len(spectrogram)
        first, later = (max(1, round(s * self._rate_hz / self.window.hop)) for s in (FIRST_S, LATER_S))
        for start, end in pairwise((0, *_ends(frames, first, later))):
            yield self._piece(spectrogram, start, end, self.window), end == frames

    def _piece(self, spectrogram: NDArray[np.float32], start: int, end: int, window: Window) -> NDArray[np.float32]:
        """The sound of the frames from ``start`` to ``end``."""
        low, high = max(0, start - window.reach), min(len(spectrogram), end + window.reach)
        if high == len(spectrogram):  # the others are of one length each
            low = max(0, low - (low - high) % SAME_FRAMES)
        sound = self._make(spectrogram[low:high])
        begin = window.pad + (start - low) * window.hop if start else 0
        stop = window.pad + (end - low) * window.hop if end < len(spectrogram) else len(sound)
        return sound[begin:stop]

    def _found(self, probe: NDArray[np.float32]) -> Window | None:
        """By trying: what it makes of half as much, and of one frame changed; and whether pieces are then the whole."""
        frames, middle = len(probe), len(probe) // 2
        changed = probe.copy()
        changed[middle] += 1
        whole, half, other = self._make(probe), self._make(probe[:middle]), self._make(changed)
        hop, rest = divmod(len(whole) - len(half), frames - middle)
        if hop <= 0 or rest or len(other) != len(whole):
            return None
        pad = (len(whole) - hop * frames) // 2
        differ = (np.flatnonzero(np.abs(other - whole) > TOLERANCE / 10) - pad) // hop - middle
        window = Window(hop, pad, int(np.abs(differ).max(initial=0)) + 1)
        cuts = pairwise((0, middle // 2, middle, frames))
        pieces = np.concatenate([self._piece(probe, start, end, window) for start, end in cuts])
        alike = len(pieces) == len(whole) and np.allclose(pieces, whole, rtol=0, atol=TOLERANCE)
        return window if alike and window.reach < middle - 1 else None


def _ends(frames: int, first: int, later: int) -> Iterator[int]:
    """Where the pieces end; no rest that is shorter than a piece is one of its own."""
    if frames > 2 * first:
        yield first
        yield from range(first + later, frames - later, later)
    yield frames
