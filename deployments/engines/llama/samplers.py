"""How the next token is chosen: llama.cpp's chains of samplers, shown no more tokens than they can choose.

A chain that begins with the likeliest few would have to be given all tokens, to look for those few one by one; numpy
finds them in a fraction of the time. Knows no context and no slot.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deployments.engines.llama.scheduler import Sampling
from deployments.engines.llama.vocabulary import Vocabulary
from deployments.errors import InvalidRequest

ROWS = 16
"""The scores are looked at in columns of so many: fewer leave more to be sorted out, more let too many others in."""

_CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])  # llama_token_data


class Sampler:
    """The choices of one answer. ``choose`` belongs to one thread at a time."""

    def __init__(self, vocabulary: Vocabulary, sampling: Sampling, longest: int) -> None:
        """Of an answer of at most ``longest`` tokens. Raises ``InvalidRequest`` for a grammar that cannot be read."""
        from llama_cpp import llama_cpp as lib

        self._lib = lib
        self._most = 1 if sampling.temperature == 0 else sampling.top_k
        links = []
        if sampling.grammar is not None:
            links.append(_grammar(lib, vocabulary, sampling.grammar))
        if (sampling.repeat_penalty, sampling.presence_penalty, sampling.frequency_penalty) != (1, 0, 0):
            links.append(_penalties(lib, vocabulary, sampling, longest))
        if links:
            self._most = 0
        if sampling.temperature == 0:
            links.append(lib.llama_sampler_init_greedy())
        else:
            links += [
                lib.llama_sampler_init_top_k(sampling.top_k),
                lib.llama_sampler_init_top_p(sampling.top_p, 1),
                lib.llama_sampler_init_min_p(sampling.min_p, 1),
                lib.llama_sampler_init_temp(sampling.temperature),
                lib.llama_sampler_init_dist(sampling.seed),
            ]
        self._chain = lib.llama_sampler_chain_init(lib.llama_sampler_chain_default_params())
        for link in links:
            lib.llama_sampler_chain_add(self._chain, link)

    @property
    def greedy(self) -> bool:
        """Whether it always takes the likeliest token."""
        return self._most == 1

    def choose(self, scores: NDArray[np.float32]) -> int:
        """The next token, given the scores of all; of equals the first, where the likeliest is taken."""
        if self.greedy:
            return int(scores.argmax())
        tokens = likeliest(scores, self._most) if self._most else np.arange(len(scores))
        candidates = np.zeros(len(tokens), _CANDIDATE)
        candidates["id"] = tokens
        candidates["logit"] = scores[tokens]
        given = self._lib.llama_token_data_array(size=len(tokens), selected=-1)
        given.data = ctypes.cast(candidates.ctypes.data, self._lib.llama_token_data_p)
        self._lib.llama_sampler_apply(self._chain, ctypes.byref(given))
        token = int(given.data[given.selected].id)
        self._lib.llama_sampler_accept(self._chain, token)
        return token

    def close(self) -> None:
        """Give back the memory."""
        self._lib.llama_sampler_free(self._chain)


def choose(scores: NDArray[np.float32], samplers: Sequence[Sampler]) -> list[int]:
    """The next token of each row of ``scores``, by its sampler."""
    if all(sampler.greedy for sampler in samplers):
        return [int(token) for token in scores.argmax(axis=1)]
    return [sampler.choose(row) for sampler, row in zip(samplers, scores, strict=True)]


def likeliest(scores: NDArray[np.float32], count: int) -> NDArray[np.intp]:
    """Tokens among which are the ``count`` likeliest, with few others."""
    columns = len(scores) // ROWS
    if count > columns:
        return np.arange(len(scores))
    heads = scores[: ROWS * columns].reshape(ROWS, columns).max(axis=0)
    bound = np.partition(heads, -count)[-count]  # as many tokens at least have reached it, each in its own column
    return np.flatnonzero(~(scores < bound))  # so what is no number stays in, and nothing ends with nobody


def _penalties(lib: Any, vocabulary: Vocabulary, sampling: Sampling, longest: int) -> Any:
    """Over the whole answer, and nothing but it: a prompt holds the very markers that end an answer."""
    return lib.llama_sampler_init_penalties(
        vocabulary.size, longest, sampling.repeat_penalty, sampling.frequency_penalty, sampling.presence_penalty
    )


def _grammar(lib: Any, vocabulary: Vocabulary, text: str) -> Any:
    grammar = lib.llama_sampler_init_grammar(vocabulary.handle, text.encode(), b"root")
    if not grammar:
        raise InvalidRequest("the grammar cannot be read; it must be GBNF with a rule named root", param="grammar")
    return grammar
