"""The likeliest tokens, and that a chain that is shown only them chooses as if it were shown all."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from deployments.engines.llama import samplers
from deployments.engines.llama.samplers import Candidates, Sampler, choose, likeliest
from deployments.engines.llama.scheduler import Sampling

VOCABULARY: Any = None  # only grammars and penalties ask for it

scores = st.lists(st.sampled_from([-np.inf, -1.0, 0.0, 0.5, 1.0, 2.0, 3.0]), min_size=1, max_size=200)


@given(scores=scores, count=st.integers(1, 20))
def test_the_likeliest_are_among_them(scores: list[float], count: int) -> None:
    row = np.array(scores, np.float32)
    tokens = likeliest(row, count)
    assert np.all(np.diff(tokens) > 0)
    best = np.sort(row)[::-1][:count]
    assert np.array_equal(np.sort(row[tokens])[::-1][:count], best)


def test_of_equals_the_first_is_taken() -> None:
    sampler = Sampler(VOCABULARY, Sampling(temperature=0), longest=100)
    assert sampler.choose(np.array([1, 3, 2, 3], np.float32), Candidates(4)) == 1
    sampler.close()


def test_few_others_are_shown() -> None:
    row = np.random.default_rng(0).normal(0, 1, 32_000).astype(np.float32)
    assert 40 <= len(likeliest(row, 40)) < 60


def test_what_is_no_number_leaves_nobody_without_a_token() -> None:
    row = np.full(1000, np.nan, np.float32)
    assert len(likeliest(row, 40)) == len(row)


@pytest.mark.parametrize("rows", [1, 3, 65])
def test_each_has_the_likeliest_of_his_own_scores(rows: int) -> None:
    scores = np.random.default_rng(rows).normal(0, 1, (rows, 16_000)).astype(np.float32)
    chains = [Sampler(VOCABULARY, Sampling(temperature=0), longest=100) for _ in range(rows)]
    candidates = Candidates(16_000)
    assert choose(scores, chains, candidates) == [
        chain.choose(row, candidates) for chain, row in zip(chains, scores, strict=True)
    ]


@pytest.mark.parametrize("sampling", [Sampling(), Sampling(0.7, 0.95, 40, 0.05, seed=3), Sampling(2.0, top_k=200)])
def test_the_choice_is_that_among_all(monkeypatch: pytest.MonkeyPatch, sampling: Sampling) -> None:
    rows = np.random.default_rng(1).normal(0, 2, (50, 5000)).astype(np.float32)

    def chosen() -> list[int]:
        sampler = Sampler(VOCABULARY, sampling, longest=100)
        candidates = Candidates(rows.shape[1])
        tokens = [sampler.choose(row, candidates) for row in rows]
        sampler.close()
        return tokens

    def everyone(row: NDArray[np.float32], count: int) -> NDArray[np.intp]:
        return np.arange(len(row))

    few = chosen()
    monkeypatch.setattr(samplers, "likeliest", everyone)
    assert chosen() == few
