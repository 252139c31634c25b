"""One answer in progress: tokens to text, stop strings, and the reason of its end."""

from __future__ import annotations

import codecs
from collections.abc import Callable
from typing import Any

import numpy as np

from deployments.engines.llama.request import Request
from deployments.engines.stop import StopScanner
from deployments.errors import InvalidRequest
from deployments.messages import FinishReason


class Generation:
    """One answer: ``add`` receives its tokens, ``take_text`` returns their text.

    Tokens become text only in ``take_text``: ``add`` is called between two steps of the model, which then waits.
    """

    def __init__(self, request: Request, sampler: Any, piece: Callable[[int], bytes]) -> None:
        """``piece`` returns the bytes of a token."""
        self.request = request
        self.sampler = sampler
        self.count = 0  # generated tokens, without the one that ends the answer
        self.finish: FinishReason | InvalidRequest | None = None
        self.cancelled = False
        self.last_token = np.zeros(1, np.int64)  # the input of the next decode step
        self._piece = piece
        self._tokens: list[int] = []  # not yet converted to text
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._decoder_empty = True
        self._scanner = StopScanner(request.stop)
        self._text = ""  # not yet returned
        self._started = False

    def add(self, token: int, *, is_end: bool) -> None:
        """Add the next token; ``is_end`` marks an end-of-generation token, which has no text."""
        self.last_token[0] = token
        if is_end:
            self.finish = "stop"
            return
        self.count += 1
        self._tokens.append(token)
        if self.request.stop:  # the token may complete a stop string
            self._convert_tokens()
        if self.count == self.request.max_tokens and not self.finish:
            self.finish = "length"

    def take_text(self) -> str:
        """Return the new text, without an incomplete character or a possible start of a stop string at its end."""
        self._convert_tokens()
        if self.finish:
            self._text += self._scanner.flush()
        text, self._text = self._text, ""
        if not self._started:
            text = text.lstrip()
            self._started = bool(text)
        return text

    def _convert_tokens(self) -> None:
        data = b"".join(map(self._piece, self._tokens))
        self._tokens.clear()
        self._text += self._scanner.push(self._decode(data))
        if self._scanner.stopped:
            self.finish = "stop"

    def _decode(self, data: bytes) -> str:
        if self._decoder_empty and data.isascii():  # the common case; the incremental decoder is several times slower
            return data.decode("ascii")
        text = self._decoder.decode(data)
        self._decoder_empty = not self._decoder.getstate()[0]
        return text
