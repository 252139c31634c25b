"""The selection of candidates: a sampler chain chooses from them as it would from the whole vocabulary."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from deployments.engines.llama import samplers
from deployments.engines.llama.request import Sampling
from deployments.engines.llama.samplers import Candidates, Sampler, choose, likeliest

VOCABULARY: Any = None  # only grammars and penalties use it

logits_of_few_values = st.lists(st.sampled_from([-np.inf, -1.0, 0.0, 0.5, 1.0, 2.0, 3.0]), min_size=1, max_size=200)


@given(logits=logits_of_few_values, count=st.integers(1, 20))
def test_likeliest_contains_the_likeliest_tokens(logits: list[float], count: int) -> None:
    row = np.array(logits, np.float32)
    tokens = likeliest(row, count)
    assert np.all(np.diff(tokens) > 0)
    best = np.sort(row)[::-1][:count]
    assert np.array_equal(np.sort(row[tokens])[::-1][:count], best)


def test_greedy_chooses_the_first_of_equally_likely_tokens() -> None:
    sampler = Sampler(VOCABULARY, Sampling(temperature=0), max_tokens=100)
    assert sampler.choose(np.array([1, 3, 2, 3], np.float32), Candidates(4)) == 1
    sampler.close()


def test_likeliest_returns_few_tokens_more_than_requested() -> None:
    row = np.random.default_rng(0).normal(0, 1, 32_000).astype(np.float32)
    assert 40 <= len(likeliest(row, 40)) < 60


def test_likeliest_returns_all_tokens_if_logits_are_nan() -> None:
    row = np.full(1000, np.nan, np.float32)
    assert len(likeliest(row, 40)) == len(row)


@pytest.mark.parametrize("rows", [1, 3, 65])
def test_each_greedy_sampler_chooses_from_its_own_row(rows: int) -> None:
    logits = np.random.default_rng(rows).normal(0, 1, (rows, 16_000)).astype(np.float32)
    chains = [Sampler(VOCABULARY, Sampling(temperature=0), max_tokens=100) for _ in range(rows)]
    candidates = Candidates(16_000)
    assert choose(logits, chains, candidates) == [
        chain.choose(row, candidates) for chain, row in zip(chains, logits, strict=True)
    ]


@pytest.mark.parametrize("sampling", [Sampling(), Sampling(0.7, 0.95, 40, 0.05, seed=3), Sampling(2.0, top_k=200)])
def test_the_choice_equals_that_from_the_whole_vocabulary(monkeypatch: pytest.MonkeyPatch, sampling: Sampling) -> None:
    rows = np.random.default_rng(1).normal(0, 2, (50, 5000)).astype(np.float32)

    def chosen() -> list[int]:
        sampler = Sampler(VOCABULARY, sampling, max_tokens=100)
        candidates = Candidates(rows.shape[1])
        tokens = [sampler.choose(row, candidates) for row in rows]
        sampler.close()
        return tokens

    def all_tokens(row: NDArray[np.float32], count: int) -> NDArray[np.intp]:
        return np.arange(len(row))

    few = chosen()
    monkeypatch.setattr(samplers, "likeliest", all_tokens)
    assert chosen() == few
