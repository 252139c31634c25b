import re

import pytest

from pocket.asr import ngrams


@pytest.fixture(scope="module")
def model() -> dict[tuple[str, ...], tuple[float, float]]:
    """Gram -> probability and back-off weight."""
    said = ["what is seven", "what is red", "what is red", "seven is red", "what is seven"]
    table = {}
    for line in ngrams.arpa((sentence.split() for sentence in said), least=(1, 1, 1)).splitlines():
        if re.match(r"-?\d+\.\d+ ", line):
            first, *rest = line.split()
            weight = float(rest.pop()) if re.fullmatch(r"-?\d+\.\d+", rest[-1]) else 0.0
            table[tuple(rest)] = (10 ** float(first), 10**weight)
    return table


def probability(model: dict[tuple[str, ...], tuple[float, float]], gram: tuple[str, ...]) -> float:
    if gram in model:
        return model[gram][0]
    return model.get(gram[:-1], (0, 1))[1] * probability(model, gram[1:])


@pytest.mark.parametrize("history", [(), ("what",), ("<s>",), ("what", "is"), ("seven", "is"), ("red", "what")])
def test_what_may_follow_sums_to_one(
    model: dict[tuple[str, ...], tuple[float, float]], history: tuple[str, ...]
) -> None:
    words = [gram[0] for gram in model if len(gram) == 1 and gram != ("<s>",)]
    assert sum(probability(model, (*history, word)) for word in words) == pytest.approx(1, abs=0.02)


def test_what_was_said_is_likelier(model: dict[tuple[str, ...], tuple[float, float]]) -> None:
    assert probability(model, ("what", "is", "red")) > 3 * probability(model, ("what", "is", "what"))


def test_it_says_how_many_grams_there_are(model: dict[tuple[str, ...], tuple[float, float]]) -> None:
    written = ngrams.arpa([["yes"], ["no"]], least=(1, 1, 1))
    assert written.startswith("\\data\\\nngram 1=4\nngram 2=4\nngram 3=2\n")
    assert written.endswith("\\end\\\n")
