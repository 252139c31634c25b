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


class Candidates:
    """The tokens that a chain is shown: one array for all the choices of a thread, as long as the vocabulary."""

    def __init__(self, size: int) -> None:
        from llama_cpp import llama_cpp as lib

        array = np.zeros(size, _CANDIDATE)
        self._ids, self._logits = array["id"], array["logit"]
        self._data = ctypes.cast(array.ctypes.data, lib.llama_token_data_p)
        self.shown = lib.llama_token_data_array()
        self.pointer = ctypes.byref(self.shown)

    def show(self, tokens: NDArray[np.intp], scores: NDArray[np.float32]) -> None:
        """``tokens``, with their scores of all ``scores``."""
        size = len(tokens)
        self._ids[:size] = tokens
        self._logits[:size] = scores[tokens]
        self.shown.data, self.shown.size, self.shown.selected, self.shown.sorted = self._data, size, -1, False


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

    def choose(self, scores: NDArray[np.float32], candidates: Candidates) -> int:
        """The next token, given the scores of all; of equals the first, where the likeliest is taken."""
        if self.greedy:
            return int(scores.argmax())
        candidates.show(likeliest(scores, self._most) if self._most else np.arange(len(scores)), scores)
        self._lib.llama_sampler_apply(self._chain, candidates.pointer)
        token = int(candidates.shown.data[candidates.shown.selected].id)
        self._lib.llama_sampler_accept(self._chain, token)
        return token

    def close(self) -> None:
        """Give back the memory."""
        self._lib.llama_sampler_free(self._chain)


def choose(scores: NDArray[np.float32], samplers: Sequence[Sampler], candidates: Candidates) -> list[int]:
    """The next token of each row of ``scores``, by its sampler."""
    if all(sampler.greedy for sampler in samplers):
        return [int(token) for token in scores.argmax(axis=1)]
    return [sampler.choose(row, candidates) for sampler, row in zip(samplers, scores, strict=True)]


def likeliest(scores: NDArray[np.float32], count: int) -> NDArray[np.intp]:
    """Tokens among which are the ``count`` likeliest, with few others; in their order."""
    columns = len(scores) // ROWS
    if count > columns:
        return np.arange(len(scores))
    heads = scores[: ROWS * columns].reshape(ROWS, columns).max(axis=0)
    bound = np.partition(heads, -count)[-count]  # as many tokens at least have reached it, each in its own column
    if np.isnan(bound):  # nothing reaches that
        return np.arange(len(scores))
    return np.flatnonzero(scores >= bound)


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
