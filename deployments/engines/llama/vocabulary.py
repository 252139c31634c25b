"""Text to tokens and back with llama.cpp. Only a chat template's own text can become control tokens."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache, cached_property
from typing import Any

import numpy as np
from llguidance import LLTokenizer
from numpy.typing import NDArray

from deployments.engines.llama.matcher import tokenizer

MAX_PIECE_BYTES = 1024


class Vocabulary:
    """The tokens of one model. Any thread may call its methods."""

    def __init__(self, model: Any) -> None:
        from llama_cpp import llama_cpp as lib

        self._lib = lib
        self.handle = lib.llama_model_get_vocab(model)
        self.size = lib.llama_vocab_n_tokens(self.handle)
        self.spell = cache(self.tokenize_characters)
        """As ``tokenize_characters``; only for the markers of a template, as all results are kept."""
        self.piece: Callable[[int], bytes] = cache(self._piece)
        """Return the UTF-8 bytes of a token, which may be a part of a character; none for a control token."""
        self._is_end = [bool(lib.llama_vocab_is_eog(self.handle, token)) for token in range(self.size)]
        self._control = self._names_of(lib.LLAMA_TOKEN_ATTR_CONTROL | lib.LLAMA_TOKEN_ATTR_UNKNOWN)
        self._user_defined = self._names_of(lib.LLAMA_TOKEN_ATTR_USER_DEFINED)
        bos, eos = lib.llama_vocab_bos(self.handle), lib.llama_vocab_eos(self.handle)
        self.bos_text = self._name(bos) if bos >= 0 else ""
        self.eos_text = self._name(eos) if eos >= 0 else ""
        self._added_bos = [bos] if lib.llama_vocab_get_add_bos(self.handle) else []
        # A SentencePiece tokenizer puts a space before each text; text after a line break gets none.
        self._adds_space = lib.llama_vocab_type(self.handle) == lib.LLAMA_VOCAB_TYPE_SPM
        self._line_break = self._tokenize("\n", parse_special=False)

    @cached_property
    def matcher_tokens(self) -> LLTokenizer:
        """The tokens for ``Matcher``; takes some 0.1 s at first."""
        tokens = range(self.size)
        return tokenizer(
            [self.piece(token) for token in tokens],
            [token for token in tokens if self.is_end(token)],
            lambda text: self._tokens(text, parse_special=False, continues=True),
        )

    @cached_property
    def longest_piece(self) -> int:
        """Bytes of the longest token."""
        return max(len(self.piece(token)) for token in range(self.size))

    def markers(self, template: str) -> list[str]:
        """Return the texts of control tokens, and of those user-defined tokens that ``template`` contains.

        Some vocabularies have ordinary words as user-defined tokens.
        """
        return self._control + [name for name in self._user_defined if name in template]

    def tokenize(self, text: str, *, continues: bool) -> NDArray[np.int64]:
        """Return the tokens of a template's text, with control tokens; ``continues`` if it directly follows text."""
        return np.array(self._tokens(text, parse_special=True, continues=continues), np.int64)

    def tokenize_characters(self, text: str) -> NDArray[np.int64]:
        """Return the tokens of each single character of ``text``, so that none is a control token."""
        tokens = [self._tokens(character, parse_special=False, continues=True) for character in text]
        return np.array([token for one in tokens for token in one], np.int64)

    def bos_before(self, first: int | None) -> NDArray[np.int64]:
        """Return the BOS token if the model wants one and ``first``, the first token, is not it: shape (1,) or (0,)."""
        return np.array([] if [first] == self._added_bos else self._added_bos, np.int64)

    def is_end(self, token: int) -> bool:
        """Return whether ``token`` ends an answer (``llama_vocab_is_eog``)."""
        return self._is_end[token]

    def _piece(self, token: int) -> bytes:
        buffer = ctypes.create_string_buffer(MAX_PIECE_BYTES)
        size = self._lib.llama_token_to_piece(self.handle, token, buffer, MAX_PIECE_BYTES, 0, False)
        return buffer.raw[: max(size, 0)]

    def _tokens(self, text: str, *, parse_special: bool, continues: bool) -> list[int]:
        if not (continues and self._adds_space):
            return self._tokenize(text, parse_special=parse_special)
        return self._tokenize("\n" + text, parse_special=parse_special)[len(self._line_break) :]

    def _tokenize(self, text: str, *, parse_special: bool) -> list[int]:
        data = text.encode()
        capacity = len(data) + 4  # at most one token per byte, and a space of up to three bytes
        tokens = (ctypes.c_int32 * capacity)()
        count = self._lib.llama_tokenize(self.handle, data, len(data), tokens, capacity, False, parse_special)
        return list(tokens[:count])

    def _names_of(self, attributes: int) -> list[str]:
        """Return the texts of all tokens with one of ``attributes``."""
        tokens = range(self.size)
        return [
            self._name(token) for token in tokens if self._lib.llama_vocab_get_attr(self.handle, token) & attributes
        ]

    def _name(self, token: int) -> str:
        return str(self._lib.llama_vocab_get_text(self.handle, token).decode(errors="replace"))
