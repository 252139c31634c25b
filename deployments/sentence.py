"""A sentence, prepared for a voice: symbols become words, and what is too long is split. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

# English words for symbols that text cleaners drop silently.
_SYMBOLS = (
    (re.compile(r"(?<=\d)\s*[*×]\s*(?=\d)"), " times "),
    (re.compile(r"(?<=\d)\s*÷\s*(?=\d)"), " divided by "),
    (re.compile(r"(?<=\d)\s+[-−–]\s+(?=\d)"), " minus "),
    (re.compile(r"\s*\+\s*"), " plus "),
    (re.compile(r"\s*=\s*"), " equals "),
    (re.compile(r"\s*%"), " percent"),
    (re.compile(r"\s*°"), " degrees "),
    (re.compile(r"€\s*(\d[\d.,]*(?<=\d))"), r"\1 euros"),
    (re.compile(r"(?<=[A-Za-z])\s*/\s*(?=[A-Za-z])"), " or "),
)
_CLAUSE_BREAKS = re.compile(r"(?<=[,;:])\s+|\s+(?=[-–—(])")


def prepare(text: str, language: str | None, max_chars: int) -> Iterator[str]:
    """Yield ``text`` in pieces of at most ``max_chars`` characters; none if it has no letter or digit.

    In English (``language`` is an ISO 639-1 code) symbols such as ``%`` and ``+`` are replaced by words.
    """
    if (language or "").startswith("en"):
        text = _with_symbols_as_words(text)
    for piece in _split(text.strip(), max_chars):
        if any(character.isalnum() for character in piece):
            yield piece


def _with_symbols_as_words(text: str) -> str:
    for symbol, words in _SYMBOLS:
        text = symbol.sub(words, text)
    return text


def _split(text: str, max_chars: int) -> Iterator[str]:
    """Yield pieces of at most ``max_chars`` characters, split at clauses if possible, else between words."""
    if len(text) <= max_chars:
        yield text
        return
    piece = ""
    for unit in _units(text, max_chars):
        if piece and len(piece) + 1 + len(unit) > max_chars:
            yield piece
            piece = ""
        piece = f"{piece} {unit}" if piece else unit
    if piece:
        yield piece


def _units(text: str, max_chars: int) -> Iterator[str]:
    """Yield clauses; of a clause that is too long its words; of a word that is too long pieces of it."""
    for clause in _CLAUSE_BREAKS.split(text):
        for word in [clause] if len(clause) <= max_chars else clause.split():
            yield from (word[at : at + max_chars] for at in range(0, len(word), max_chars))
