import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pocket.tts.align import Aligner, best_path, even_split


def brute_force(score: np.ndarray) -> float:
    symbols, frames = score.shape
    best = -np.inf
    for cuts in itertools.combinations(range(1, frames), symbols - 1):
        edges = [0, *cuts, frames]
        best = max(best, sum(score[i, a:b].sum() for i, (a, b) in enumerate(itertools.pairwise(edges))))
    return best


@given(st.integers(1, 4), st.integers(0, 4), st.integers(0, 2**32 - 1))
def test_best_path_has_the_highest_sum(symbols: int, spare: int, seed: int) -> None:
    score = np.random.default_rng(seed).normal(size=(symbols, symbols + spare))
    lengths = best_path(score)
    assert lengths.min() >= 1
    assert lengths.sum() == symbols + spare
    owner = np.repeat(np.arange(symbols), lengths)
    assert score[owner, np.arange(symbols + spare)].sum() == pytest.approx(brute_force(score))


def test_even_split_uses_all_frames() -> None:
    assert even_split(3, 10).tolist() == [3, 4, 3]


def test_aligner_learns_the_phones_of_symbols() -> None:
    phones = {"a": "ae", "b": "b", "c": "k"}
    rng = np.random.default_rng(0)
    examples, truth = [], []
    for _ in range(200):
        symbols = rng.choice(list(phones), size=rng.integers(2, 6)).tolist()
        lengths = rng.integers(1, 9, size=len(symbols))
        examples.append((symbols, [phones[x] for x, n in zip(symbols, lengths, strict=True) for _ in range(n)]))
        truth.append(lengths)
    aligner = Aligner().fit(examples)
    correct = [
        (aligner.durations(*example) == lengths).all()
        for example, lengths in zip(examples, truth, strict=True)
        if all(a != b for a, b in itertools.pairwise(example[0]))
    ]
    assert np.mean(correct) > 0.95


def test_spaces_get_the_frames_of_pauses_only() -> None:
    aligner = Aligner().fit([(["a", " ", "a"], ["ae"] * 4 + ["pau"] * 3 + ["ae"] * 4)] * 3)
    assert aligner.durations(["a", " ", "a"], ["ae"] * 2 + ["pau"] * 6 + ["ae"] * 5).tolist() == [2, 6, 5]
    assert aligner.durations(["a", " ", "a"], ["ae"] * 9)[1] == 1


def test_rejects_fewer_frames_than_symbols() -> None:
    with pytest.raises(ValueError, match="too few"):
        Aligner().durations(["a", "b"], ["ae"])
