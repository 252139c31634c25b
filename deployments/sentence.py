"""A sentence, prepared for a voice: in words, and in pieces of limited length. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Set
from dataclasses import dataclass

from deployments.speech_text.spoken import spoken

GROWTH = 1.5  # of pieces; more than 1 / 0.7, the real-time factor of the slowest voice
MIN_CLAUSE_CHARS = 12  # what is shorter stays with the clause before it: "..., I think."

_CLAUSE_BREAKS = re.compile(r"(?<=[,;:])\s+|\s+(?=[-–—(])")
_CONJUNCTIONS = "because|but|while|although|though|whereas|which|when|where|if|unless|until|so that|as well as"
_STARTS_OF_CLAUSES = re.compile(rf"{_CLAUSE_BREAKS.pattern}|(?<![,;:])\s+(?=(?:{_CONJUNCTIONS})\s)")


@dataclass(frozen=True, slots=True)
class Prepared:
    """The pieces of a sentence, and the letters of it that the voice has no characters for."""

    pieces: tuple[str, ...]
    omitted: str


def prepare(
    text: str, language: str | None, characters: Set[str] | None, max_chars: int, first_chars: int | None = None
) -> Prepared:
    """Return ``text`` in pieces of at most ``max_chars`` characters; none if there is nothing to say.

    ``language`` and ``characters`` are those of the voice, as for ``spoken``. With ``first_chars`` the first piece ends
    at the first clause of that length, and each further one may be longer by half.
    """
    fitted = spoken(text, language, characters)
    parts = [fitted.text] if first_chars is None else _growing(fitted.text, first_chars)
    pieces = (piece for part in parts for piece in _split(part, max_chars) if any(map(str.isalnum, piece)))
    return Prepared(tuple(pieces), fitted.omitted)


def _growing(text: str, first_chars: int) -> Iterator[str]:
    """Yield pieces that end at a clause, each longer than the one before: it is synthesized while that one is heard."""
    piece, enough = "", float(first_chars)
    for clause in _STARTS_OF_CLAUSES.split(text):
        if len(piece) >= enough and len(clause) >= MIN_CLAUSE_CHARS:
            yield piece
            piece, enough = "", enough * GROWTH
        piece = f"{piece} {clause}" if piece else clause
    yield piece


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
