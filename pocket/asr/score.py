"""Word errors between what was said and what was heard."""

from collections.abc import Iterable, Sequence

from pocket.asr import text


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
        wrong += errors(text.words(reference), text.words(heard))
        said += len(text.words(reference))
    return wrong / max(said, 1)
