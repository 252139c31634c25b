"""Sampling with llama.cpp's sampler chains, which get only the candidates that they can choose.

A chain with ``top_k`` in front searches all tokens of the vocabulary, from an array that has to be filled first; numpy
finds the ``top_k`` likeliest ones in a fraction of that time.

With a JSON schema, a token is chosen as without one first. Only if the schema does not allow it, the token is chosen
again, among the allowed ones: computing those takes several times longer than checking one.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deployments.engines.llama.matcher import Matcher
from deployments.engines.llama.request import Sampling
from deployments.engines.llama.vocabulary import Vocabulary
from deployments.errors import InvalidRequest

ROWS = 16
"""``likeliest`` arranges logits in so many rows. With fewer it has more columns to partition, with more it returns more
tokens than necessary."""

_TOKEN_DATA = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])  # llama_token_data


class Candidates:
    """A ``llama_token_data_array`` with capacity for the whole vocabulary, reused for all choices of a thread."""

    def __init__(self, size: int) -> None:
        from llama_cpp import llama_cpp as lib

        array = np.zeros(size, _TOKEN_DATA)
        self._ids, self._logits = array["id"], array["logit"]
        self._data = ctypes.cast(array.ctypes.data, lib.llama_token_data_p)
        self.array = lib.llama_token_data_array()
        self.pointer = ctypes.byref(self.array)

    def set(self, tokens: NDArray[np.intp], logits: NDArray[np.float32]) -> None:
        """Make ``tokens`` the candidates. ``logits`` are those of the whole vocabulary."""
        size = len(tokens)
        self._ids[:size] = tokens
        self._logits[:size] = logits[tokens]
        self.array.data, self.array.size, self.array.selected, self.array.sorted = self._data, size, -1, False


class Sampler:
    """The sampler chain of one answer. One thread at a time may call ``choose``."""

    def __init__(self, vocabulary: Vocabulary, sampling: Sampling, max_tokens: int) -> None:
        """Penalties apply to the last ``max_tokens`` tokens. Raise ``InvalidRequest`` for an invalid schema."""
        from llama_cpp import llama_cpp as lib

        self._lib = lib
        self._chain: Any = None
        self._matcher: Matcher | None = None
        if sampling.schema is not None:
            self._matcher = Matcher(sampling.schema, sampling.schema_param, vocabulary.matcher_tokens)
        self._max_candidates = 1 if sampling.temperature == 0 else sampling.top_k  # 0: the whole vocabulary
        samplers = []
        if sampling.grammar is not None:
            samplers.append(_grammar(lib, vocabulary, sampling.grammar))
        if (sampling.repeat_penalty, sampling.presence_penalty, sampling.frequency_penalty) != (1, 0, 0):
            samplers.append(_penalties(lib, vocabulary, sampling, max_tokens))
        if samplers:
            self._max_candidates = 0
        if sampling.temperature == 0:
            samplers.append(lib.llama_sampler_init_greedy())
        else:
            samplers += [
                lib.llama_sampler_init_top_k(sampling.top_k),
                lib.llama_sampler_init_top_p(sampling.top_p, 1),
                lib.llama_sampler_init_min_p(sampling.min_p, 1),
                lib.llama_sampler_init_temp(sampling.temperature),
                lib.llama_sampler_init_dist(sampling.seed),
            ]
        self._chain = lib.llama_sampler_chain_init(lib.llama_sampler_chain_default_params())
        for sampler in samplers:
            lib.llama_sampler_chain_add(self._chain, sampler)

    @property
    def greedy(self) -> bool:
        """Whether it always chooses the likeliest token."""
        return self._max_candidates == 1 and self._matcher is None

    def choose(self, logits: NDArray[np.float32], candidates: Candidates) -> int | InvalidRequest:
        """Return the next token; with temperature 0, the first one of equally likely tokens.

        Return an error if the schema is too complex.
        """
        if self.greedy:
            return int(logits.argmax())
        tokens = likeliest(logits, self._max_candidates) if self._max_candidates else np.arange(len(logits))
        token = self._apply(tokens, logits, candidates)
        if self._matcher is not None:
            try:
                token = self._allowed(self._matcher, token, logits, candidates)
            except InvalidRequest as error:
                return error
        self._lib.llama_sampler_accept(self._chain, token)
        return token

    def _apply(self, tokens: NDArray[np.intp], logits: NDArray[np.float32], candidates: Candidates) -> int:
        """Return the one of ``tokens`` that the chain chooses."""
        candidates.set(tokens, logits)
        self._lib.llama_sampler_apply(self._chain, candidates.pointer)
        return int(candidates.array.data[candidates.array.selected].id)

    def _allowed(self, matcher: Matcher, token: int, logits: NDArray[np.float32], candidates: Candidates) -> int:
        """Return ``token`` if the schema allows it, else another choice. Raise ``InvalidRequest``: see ``choose``."""
        if not matcher.accept(token):
            tokens = matcher.allowed()
            if self._max_candidates:
                tokens = tokens[likeliest(logits[tokens], self._max_candidates)]
            token = self._apply(tokens, logits, candidates)
            matcher.accept(token)
        return token

    def close(self) -> None:
        """Release the memory. Idempotent."""
        if self._chain is not None:
            self._lib.llama_sampler_free(self._chain)
            self._chain = None

    def __del__(self) -> None:
        """Release the memory of a sampler whose request was cancelled before it reached a scheduler."""
        self.close()


def choose(
    logits: NDArray[np.float32], samplers: Sequence[Sampler], candidates: Candidates
) -> list[int | InvalidRequest]:
    """Return ``Sampler.choose`` for each row of ``logits``, by the row's sampler."""
    if all(sampler.greedy for sampler in samplers):
        return [int(token) for token in logits.argmax(axis=1)]
    return [sampler.choose(row, candidates) for sampler, row in zip(samplers, logits, strict=True)]


def likeliest(logits: NDArray[np.float32], count: int) -> NDArray[np.intp]:
    """Return the ``count`` likeliest tokens and a few others, in ascending order of their ids.

    The ``count``-th greatest of the columns' maxima is a lower bound: at least ``count`` logits reach it.
    """
    columns = len(logits) // ROWS
    if count > columns:
        return np.arange(len(logits))
    maxima = logits[: ROWS * columns].reshape(ROWS, columns).max(axis=0)
    bound = np.partition(maxima, -count)[-count]
    if np.isnan(bound):  # no logit compares as greater
        return np.arange(len(logits))
    return np.flatnonzero(logits >= bound)


def _penalties(lib: Any, vocabulary: Vocabulary, sampling: Sampling, max_tokens: int) -> Any:
    """Return a sampler that penalizes the tokens of the answer, not of the prompt, which has end-of-turn tokens."""
    return lib.llama_sampler_init_penalties(
        vocabulary.size, max_tokens, sampling.repeat_penalty, sampling.frequency_penalty, sampling.presence_penalty
    )


def _grammar(lib: Any, vocabulary: Vocabulary, text: str) -> Any:
    grammar = lib.llama_sampler_init_grammar(vocabulary.handle, text.encode(), b"root")
    if not grammar:
        raise InvalidRequest("the grammar is invalid; it must be GBNF with a rule named root", param="grammar")
    return grammar
