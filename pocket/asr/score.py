"""Word error rate."""

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
"""British spellings in the sentences of this package, with their American form: two spellings of one word are not an
error, as in the text normalisation of Whisper's paper (Radford et al. 2022, appendix C)."""


def errors(reference: Sequence[str], hypothesis: Sequence[str]) -> int:
    """Return the smallest number of insertions, deletions and substitutions of words (Levenshtein distance)."""
    row = list(range(len(hypothesis) + 1))
    for i, word in enumerate(reference, 1):
        above, row[0] = row[0], i
        for j, other in enumerate(hypothesis, 1):
            above, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, above + (word != other))
    return row[-1]


def word_error_rate(pairs: Iterable[tuple[str, str]]) -> float:
    """Return errors per reference word over (reference, hypothesis) pairs; both texts are normalised here."""
    wrong = total = 0
    for reference, hypothesis in pairs:
        wrong += errors(_words(reference), _words(hypothesis))
        total += len(_words(reference))
    return wrong / max(total, 1)


def _words(raw: str) -> list[str]:
    return [BRITISH.get(word, word) for word in text.words(raw)]
