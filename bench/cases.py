"""Questions that only their own answer fits, and the judge of the answers. Knows neither HTTP nor engines.

The judge looks for meaning: an answer is right when it has every key word, in any order and wording; "39",
"thirty-nine" and "Thirty nine." are the same number. Numbers of the questions stay below those of the answers, and the
words to be repeated come in pairs, so that no answer holds the key words of another question by chance.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations, product
from typing import Literal

from bench.pictures import COLOURS, SHAPES, Thing

Verdict = Literal["right", "crossed", "wrong"]

_CAPITALS = {
    "France": "Paris", "Germany": "Berlin", "Italy": "Rome", "Spain": "Madrid", "Portugal": "Lisbon",
    "Austria": "Vienna", "Belgium": "Brussels", "Denmark": "Copenhagen", "Norway": "Oslo", "Sweden": "Stockholm",
    "Finland": "Helsinki", "Ireland": "Dublin", "Poland": "Warsaw", "Hungary": "Budapest", "Greece": "Athens",
    "Turkey": "Ankara", "Russia": "Moscow", "Ukraine": "Kyiv", "Egypt": "Cairo", "Kenya": "Nairobi",
    "China": "Beijing", "Japan": "Tokyo", "Thailand": "Bangkok", "Indonesia": "Jakarta", "Iran": "Tehran",
    "Canada": "Ottawa", "Cuba": "Havana", "Peru": "Lima", "Australia": "Canberra", "Croatia": "Zagreb",
}  # fmt: skip
_ADJECTIVES = (
    *("old", "young", "yellow", "purple", "quiet", "red", "blue", "white", "black", "dark", "bright", "long"),
    *("short", "fast", "slow", "strong", "soft", "clean", "rich", "sweet", "brown", "silver", "angry", "gentle"),
)
_NOUNS = (
    *("tiger", "monkey", "rabbit", "horse", "elephant", "dolphin", "spider", "camel", "dragon", "penguin", "donkey"),
    *("parrot", "zebra", "giraffe", "turtle", "snail", "garden", "ladder", "candle", "hammer", "basket", "mountain"),
)
_COUNTS = ("two", "three", "four")
_SIGHT = ("What do you see?", "What is in the picture?", "Describe the picture.", "What can you see?")

_ONES = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
    *("ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")


@dataclass(frozen=True, slots=True)
class Case:
    """A question, with a picture of such things or none, and the key words of its answer (see ``key_words``)."""

    question: str
    keys: frozenset[str]
    picture: tuple[Thing, ...] | None = None


def questions(seed: int) -> list[Case]:
    """Questions without a picture, no two with the same answer, in random order."""
    capitals = [Case(f"What is the capital of {c}?", key_words(a)) for c, a in _CAPITALS.items()]
    sums = [Case(f"What is {n - n // 2} plus {n // 2}?", key_words(str(n))) for n in range(21, 41)]
    phrases = [f"{adjective} {noun}" for adjective, noun in product(_ADJECTIVES, _NOUNS)]
    rng = random.Random(seed)
    repeats = [Case(f"Repeat after me: {phrase}.", key_words(phrase)) for phrase in rng.sample(phrases, 250)]
    return _shuffled([*capitals, *sums, *repeats], rng)


def sights(seed: int) -> list[Case]:
    """Questions about a picture, of which no answer fits two, in random order."""
    many = [
        (key_words(f"{name} {colour} {shape}"), ((colour, shape),) * count)
        for (count, name), colour, shape in product(enumerate(_COUNTS, 2), COLOURS, SHAPES)
    ]
    two = [
        (key_words(" ".join((*colours, *shapes))), tuple(zip(colours, shapes, strict=True)))
        for colours, shapes in product(combinations(COLOURS, 2), combinations(SHAPES, 2))
    ]
    rng = random.Random(seed)
    return _shuffled([Case(rng.choice(_SIGHT), keys, picture) for keys, picture in (*many, *two)], rng)


def judge(answer: str, case: Case, others: Iterable[Case]) -> Verdict:
    """Whether the answer fits its own question, or that of another case instead, or none."""
    words = key_words(answer)
    if case.keys <= words:
        return "right"
    return "crossed" if any(other.keys <= words for other in others) else "wrong"


def key_words(text: str) -> frozenset[str]:
    """The words of a text in lower case and the singular, numbers as digits."""
    return frozenset(_numbers(_singular(word) for word in re.findall(r"[a-z]+|\d+", text.lower())))


def _numbers(words: Iterator[str]) -> Iterator[str]:
    """Number words up to 99 as digits; every other word as it is."""
    tens = ""
    for word in words:
        if tens:
            if word in _ONES[1:10]:
                yield str(int(tens) + _ONES.index(word))
                tens = ""
                continue
            yield tens
            tens = ""
        if word in _TENS:
            tens = str(10 * (_TENS.index(word) + 2))
        elif word in _ONES:
            yield str(_ONES.index(word))
        else:
            yield word
    if tens:
        yield tens


def _singular(word: str) -> str:
    if word.endswith("sses"):
        return word[:-2]
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def _shuffled(cases: list[Case], rng: random.Random) -> list[Case]:
    return rng.sample(cases, len(cases))
