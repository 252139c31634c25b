"""The input of one generation: a prompt, its sampling options and its limits. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deployments.errors import ContextOverflow


@dataclass(frozen=True, slots=True, eq=False)
class Prompt:
    """A conversation as positions, each of which is a token or a part of a picture; the last one is a token.

    ``keys`` is int64 of shape (n,): the token id, or for a part of a picture a negative number that depends on the
    picture's content. Prompts with equal keys up to a position have equal content up to it. ``pictures`` are in order:
    each has its first position and its embeddings, float32 of shape (positions, width). ``dropped_messages`` of the
    conversation, the oldest ones, are not in the prompt.
    """

    keys: NDArray[np.int64]
    pictures: tuple[tuple[int, NDArray[np.float32]], ...] = ()
    dropped_messages: int = 0

    def chunk(self, start: int, limit: int) -> NDArray[Any]:
        """Return the content from position ``start`` on: at most ``limit`` tokens (n,) or embeddings (n, width).

        A chunk is part of one picture or of the text between two pictures: a ``llama_batch`` has either tokens or
        embeddings. With a ``limit`` of at least 3, no chunk has one position, unless its picture or text has only one:
        ggml multiplies a matrix by one row and by several rows with different kernels, whose rounding differs, and an
        answer must not depend on how its prompt is cut.
        """
        begin, end = self._bounds(start)
        size = min(limit, end - start)
        if end - start - size == 1:
            size -= 1
        embeddings = dict(self.pictures).get(begin)
        if embeddings is None:
            return self.keys[start : start + size]
        return embeddings[start - begin : start - begin + size]

    def reusable(self, length: int) -> int:
        """Return how many of the first ``length`` positions can come from a cache.

        At least one position is left for prefill, as its logits are needed. If the rest of its picture or text would
        be one position, two are left; see ``chunk``.
        """
        length = min(length, len(self.keys) - 1)
        begin, end = self._bounds(length)
        return length - 1 if end - length == 1 and length > begin else length

    def _bounds(self, position: int) -> tuple[int, int]:
        """Return the first position of the picture or text that contains ``position``, and the one after its last."""
        begin = 0
        for start, embeddings in self.pictures:
            if position < start:
                return begin, start
            begin = start
            if position < start + len(embeddings):
                return start, start + len(embeddings)
            begin += len(embeddings)
        return begin, len(self.keys)


@dataclass(frozen=True, slots=True)
class Sampling:
    """Sampling options. ``temperature`` 0 chooses the likeliest token.

    ``grammar`` is GBNF with a rule ``root``, from the settings; ``schema`` is used instead if a client sends a JSON
    schema, in the field ``schema_param``; it is a result of ``schema.converted``.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    repeat_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    seed: int = 0
    grammar: str | None = None
    schema: dict[str, Any] | None = None
    schema_param: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """One answer to generate. ``output`` is where its deltas are sent; the scheduler does not use it."""

    prompt: Prompt
    max_tokens: int
    stop: tuple[str, ...] = ()
    sampling: Sampling = Sampling()
    output: Any = None


def overflow(length: str, context_length: int, max_tokens: int) -> ContextOverflow:
    """Return the error for a conversation of ``length``, such as "5,000 tokens", that leaves no room for its answer."""
    limit = context_length - max_tokens
    fitting = f"at most {limit:,} fit" if limit > 0 else f"none fit into a context of {context_length:,}"
    return ContextOverflow(
        f"the conversation has {length}; {fitting} besides the {max_tokens:,} reserved for the answer",
        param="messages" if limit > 0 else "max_tokens",
    )
