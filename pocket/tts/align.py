"""Align the characters of a text with the frames of its speech, given the phone of each frame.

The alignment is monotonic, with at least one frame per symbol. It maximizes the probabilities of a table that counts
phones per pair of a symbol and its successor, smoothed by the counts of the single symbol. Training starts from an
even split of the frames and alternates between counting and alignment (Viterbi training). Spaces and punctuation are
expected to be silent: within a phrase they get one frame, at a pause all its frames.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

Symbols = Sequence[str]
SMOOTHING = 20.0
FLOOR = 1e-3
SILENCE = "pau"


class Aligner:
    """Aligns symbols (characters, punctuation, begin and end symbols) with the phones of the frames."""

    def __init__(self) -> None:
        self.single: dict[str, Counter[str]] = defaultdict(Counter)
        self.pair: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)

    def fit(self, examples: Sequence[tuple[Symbols, Symbols]], rounds: int = 5) -> "Aligner":
        """Learn from examples of (symbols, phone of each frame) and return self."""
        paths = [even_split(len(symbols), len(frames)) for symbols, frames in examples]
        for _ in range(rounds):
            self._count(examples, paths)
            paths = [self.durations(symbols, frames) for symbols, frames in examples]
        self._count(examples, paths)
        return self

    def durations(self, symbols: Symbols, frames: Symbols) -> np.ndarray:
        """Return the frame count of each symbol, int64, all >= 1, with the sum len(frames).

        Raise ValueError if there are fewer frames than symbols.
        """
        if len(frames) < len(symbols):
            raise ValueError(f"{len(frames)} frames are too few for {len(symbols)} symbols")
        names = sorted(set(frames))
        column = np.array([names.index(name) for name in frames])
        pairs = zip(symbols, [*symbols[1:], ""], strict=True)
        table = np.array([[self._score(pair, name) for name in names] for pair in pairs])
        return best_path(np.log(table)[:, column])

    def _score(self, pair: tuple[str, str], phone: str) -> float:
        if not pair[0].isalpha():
            return 0.9 if phone == SILENCE else FLOOR
        single, both = self.single[pair[0]], self.pair[pair]
        prior = (single[phone] + FLOOR) / (single.total() + 1)
        return (both[phone] + SMOOTHING * prior) / (both.total() + SMOOTHING)

    def _count(self, examples: Sequence[tuple[Symbols, Symbols]], paths: Sequence[np.ndarray]) -> None:
        self.single.clear()
        self.pair.clear()
        for (symbols, frames), path in zip(examples, paths, strict=True):
            start = 0
            for symbol, successor, length in zip(symbols, [*symbols[1:], ""], path, strict=True):
                phones = frames[start : start + length]
                self.single[symbol].update(phones)
                self.pair[symbol, successor].update(phones)
                start += length


def even_split(symbols: int, frames: int) -> np.ndarray:
    """Return the most even distribution of `frames` over `symbols`."""
    return np.diff(np.round(np.linspace(0, frames, symbols + 1)).astype(np.int64))


def best_path(score: np.ndarray) -> np.ndarray:
    """Return the frames of each symbol on the monotonic path with the highest sum through `score` [symbols, frames].

    The path visits every symbol in order.
    """
    symbols, frames = score.shape
    best = np.full(symbols, -np.inf)
    best[0] = score[0, 0]
    moved = np.zeros((frames, symbols), dtype=bool)
    for frame in range(1, frames):
        before = np.concatenate(([-np.inf], best[:-1]))
        moved[frame] = before > best
        best = np.where(moved[frame], before, best) + score[:, frame]
    lengths = np.zeros(symbols, dtype=np.int64)
    symbol = symbols - 1
    for frame in range(frames - 1, -1, -1):
        lengths[symbol] += 1
        symbol -= moved[frame, symbol]
    return lengths
