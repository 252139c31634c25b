"""Text to tokens and back in llama.cpp, with control tokens only where a template put them."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

LONGEST_PIECE = 1024


class Vocabulary:
    """The tokens of one model. ``text`` belongs to one thread; the rest may be used from any."""

    def __init__(self, model: Any) -> None:
        from llama_cpp import llama_cpp as lib

        self._lib = lib
        self.handle = lib.llama_model_get_vocab(model)
        self.size = lib.llama_vocab_n_tokens(self.handle)
        self._buffer = ctypes.create_string_buffer(LONGEST_PIECE)
        self.text: Callable[[int], bytes] = cache(self._text)
        """What a token reads as: part of a UTF-8 text; nothing for a control token."""
        self._ends = [bool(lib.llama_vocab_is_eog(self.handle, token)) for token in range(self.size)]
        self._control = self._named(lib.LLAMA_TOKEN_ATTR_CONTROL | lib.LLAMA_TOKEN_ATTR_UNKNOWN)
        self._user_defined = self._named(lib.LLAMA_TOKEN_ATTR_USER_DEFINED)
        bos, eos = lib.llama_vocab_bos(self.handle), lib.llama_vocab_eos(self.handle)
        self.bos_text = self._name(bos) if bos >= 0 else ""
        self.eos_text = self._name(eos) if eos >= 0 else ""
        self._leading = [bos] if lib.llama_vocab_get_add_bos(self.handle) else []
        # These tokenisers put a space before all that they are given; behind a line break it can be taken off again.
        self._adds_space = lib.llama_vocab_type(self.handle) == lib.LLAMA_VOCAB_TYPE_SPM
        self._break = self._tokenise("\n", False)

    def markers(self, template: str) -> list[str]:
        """The texts that only ``template`` may use; some vocabularies hold ordinary words as tokens of their own."""
        return self._control + [name for name in self._user_defined if name in template]

    def read(self, text: str, continued: bool) -> NDArray[np.int64]:
        """The tokens of a template's text, markers among them; ``continued`` if other text stands right before."""
        return np.array(self._tokens(text, True, continued), np.int64)

    def spell(self, text: str) -> NDArray[np.int64]:
        """The tokens of ``text`` letter by letter, so that no two letters make a marker."""
        return np.array([token for letter in text for token in self._tokens(letter, False, True)], np.int64)

    def lead(self, first: int | None) -> NDArray[np.int64]:
        """What must stand before a prompt that begins with ``first``: the token that begins a text, or nothing."""
        return np.array([] if [first] == self._leading else self._leading, np.int64)

    def ends(self, token: int) -> bool:
        """Whether ``token`` ends an answer."""
        return self._ends[token]

    def _text(self, token: int) -> bytes:
        size = self._lib.llama_token_to_piece(self.handle, token, self._buffer, LONGEST_PIECE, 0, False)
        return self._buffer.raw[: max(size, 0)]

    def _tokens(self, text: str, special: bool, continued: bool) -> list[int]:
        if not (continued and self._adds_space):
            return self._tokenise(text, special)
        return self._tokenise("\n" + text, special)[len(self._break) :]

    def _tokenise(self, text: str, special: bool) -> list[int]:
        given = text.encode()
        room = len(given) + 4  # never more tokens than bytes, and perhaps a space, which may be three
        tokens = (ctypes.c_int32 * room)()
        count = self._lib.llama_tokenize(self.handle, given, len(given), tokens, room, False, special)
        return list(tokens[:count])

    def _named(self, attributes: int) -> list[str]:
        """The tokens with one of ``attributes``."""
        tokens = range(self.size)
        return [
            self._name(token) for token in tokens if self._lib.llama_vocab_get_attr(self.handle, token) & attributes
        ]

    def _name(self, token: int) -> str:
        return str(self._lib.llama_vocab_get_text(self.handle, token).decode(errors="replace"))
