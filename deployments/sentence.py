"""A sentence, prepared for a voice: in words, and in pieces of limited length. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Set
from dataclasses import dataclass

from deployments.speech_text.spoken import spoken

# A piece is synthesized while the one before it is heard: a voice that takes 0.8 s for a second of speech keeps up with
# pieces that grow by a quarter. Clauses stay whole up to MAX_GROWTH, as a pause within a clause sounds worse.
GROWTH = 1.25
MAX_GROWTH = 1.6  # a longer clause is split between phrases
MIN_CLAUSE_CHARS = 12  # what is shorter stays with the clause before it: "..., I think."

_CLAUSE_BREAKS = re.compile(r"(?<=[,;:])\s+|\s+(?=[-–—(])")
_CONJUNCTIONS = "because|but|while|although|though|whereas|which|when|where|if|unless|until|so that|as well as"
_PREPOSITIONS = "about|after|at|before|by|for|from|in|into|of|on|over|through|to|under|with"
_STARTS_OF_PHRASES = re.compile(rf"(?<!\bso)\s+(?=(?:{_PREPOSITIONS}|and|as|or|than|that)\s)")
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

    ``language`` and ``characters`` are those of the voice, as for ``spoken``. With ``first_chars``, for a slow voice,
    the first piece has about that length, and each further one is little longer than the one before.
    """
    fitted = spoken(text, language, characters)
    parts = [fitted.text] if first_chars is None else _growing(fitted.text, first_chars)
    pieces = (piece for part in parts for piece in _split(part, max_chars) if any(map(str.isalnum, piece)))
    return Prepared(tuple(pieces), fitted.omitted)


def _growing(text: str, first_chars: int) -> Iterator[str]:
    """Yield pieces that end at a clause, or at a phrase of a long clause, each little longer than the one before."""
    piece, enough, most = "", float(first_chars), 2.0 * first_chars
    for clause in _STARTS_OF_CLAUSES.split(text):
        phrases = _STARTS_OF_PHRASES.split(clause)
        for index, phrase in enumerate(phrases):
            ends = (index == 0 and len(piece) >= enough) or len(piece) + len(phrase) > most
            if piece and ends and len(" ".join(phrases[index:])) >= MIN_CLAUSE_CHARS:
                yield piece
                enough, most = max(enough, len(piece) * GROWTH), max(most, len(piece) * MAX_GROWTH)
                piece = ""
            piece = f"{piece} {phrase}" if piece else phrase
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
