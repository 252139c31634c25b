"""Which tokens may come next in an answer that conforms to a JSON schema, by llguidance."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from llguidance import LLMatcher, LLParserLimits, LLTokenizer, TokenizerWrapper
from numpy.typing import NDArray

from deployments.errors import InvalidRequest

OPTIONS = {
    "whitespace_flexible": False,
    "item_separator": ", ",
    "key_separator": ": ",
    "json_allowed_escapes": 'nrbtf\\"',  # without u, a name has only one spelling
}

LIMITS = LLParserLimits(
    max_items_in_row=2_000,
    initial_lexer_fuel=500_000,
    step_lexer_fuel=100_000,
    step_max_items=5_000,
    max_lexer_states=20_000,
    max_grammar_size=100_000,
    verbose_errors=False,
)
"""A step takes at most some 50 ms, in which no other answer advances."""


class _Tokens:
    """A vocabulary in the form that ``TokenizerWrapper`` expects."""

    bos_token_id = None

    def __init__(self, pieces: Sequence[bytes], ends: Sequence[int], tokenize: Callable[[str], list[int]]) -> None:
        # A control token has no text; 0xff, which is not in UTF-8, marks it for llguidance.
        self.tokens = [piece or b"\xff<%d>" % token for token, piece in enumerate(pieces)]
        self.special_token_ids = [token for token, piece in enumerate(pieces) if not piece]
        self.eos_token_id = ends[0]
        self._tokenize = tokenize

    def __call__(self, text: str) -> list[int]:
        return self._tokenize(text)


def tokenizer(pieces: Sequence[bytes], ends: Sequence[int], tokenize: Callable[[str], list[int]]) -> LLTokenizer:
    """Return the tokenizer of a vocabulary, for all matchers; takes some 0.1 s.

    ``pieces`` are the bytes of each token, none for a control token; ``ends`` are the tokens that end an answer.
    ``tokenize`` returns the tokens of a text that continues another one; none of them is a control token.
    """
    wrapper: Any = TokenizerWrapper(_Tokens(pieces, ends, tokenize))
    return LLTokenizer(wrapper, eos_token=[*ends], slices=LLTokenizer.json_slices())


class Matcher:
    """The state of one answer. One thread at a time may use it."""

    def __init__(self, schema: dict[str, Any], param: str, tokens: LLTokenizer) -> None:
        """``schema`` is a result of ``schema.converted``. Raise ``InvalidRequest`` if it is too complex."""
        self._param = param
        self._ends = tokens.eos_tokens
        grammar = LLMatcher.grammar_from_json_schema(json.dumps(schema, ensure_ascii=False), overrides=OPTIONS)  # type: ignore[arg-type]
        self._matcher = LLMatcher(tokens, grammar, log_level=0, limits=LIMITS)
        if self._matcher.is_error():
            reason = self._matcher.get_error().partition("\n")[0][:200]
            raise InvalidRequest(f"The field '{param}' cannot be used: {reason}", param=param)

    def accept(self, token: int) -> bool:
        """Append ``token`` to the answer and return true, if the schema allows that."""
        if token in self._ends:  # which a matcher whose answer is complete does not consume
            accepted = self._matcher.is_accepting()
        else:
            accepted = self._matcher.try_consume_tokens([token]) == 1
        self._require_no_error()
        return accepted

    def allowed(self) -> NDArray[np.intp]:
        """Return all tokens that may come next, in ascending order."""
        mask = np.frombuffer(self._matcher.compute_bitmask(), np.uint8)
        self._require_no_error()
        tokens = np.flatnonzero(np.unpackbits(mask, bitorder="little"))
        if not len(tokens):
            raise InvalidRequest("the model has no token that the schema allows next", param=self._param)
        return tokens

    def _require_no_error(self) -> None:
        if self._matcher.is_error():
            raise InvalidRequest("the schema is too complex for this answer", param=self._param)
