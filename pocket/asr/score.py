"""Word errors between what was said and what was heard."""

from collections.abc import Iterable, Sequence

from pocket.asr import text

BRITISH = {
    "colour": "color",
    "colours": "colors",
    "favourite": "favorite",
    "favourites": "favorites",
    "grey": "gray",
    "theatre": "theater",
    "travelling": "traveling",
    "cancelled": "canceled",
}
"""Two spellings of one spoken word are no error, as in the normaliser of Whisper's paper (its appendix C). These are
the ones that the sentences here hold."""


def errors(reference: Sequence[str], heard: Sequence[str]) -> int:
    """The fewest words to insert, delete or replace that turn one into the other."""
    row = list(range(len(heard) + 1))
    for i, word in enumerate(reference, 1):
        above, row[0] = row[0], i
        for j, other in enumerate(heard, 1):
            above, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, above + (word != other))
    return row[-1]


def word_error_rate(pairs: Iterable[tuple[str, str]]) -> float:
    """Errors per word said, over (said, heard) pairs of raw text; both are normalised here."""
    wrong = said = 0
    for reference, heard in pairs:
        wrong += errors(_spoken(reference), _spoken(heard))
        said += len(_spoken(reference))
    return wrong / max(said, 1)


def _spoken(raw: str) -> list[str]:
    return [BRITISH.get(word, word) for word in text.words(raw)]
