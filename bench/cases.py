"""Questions whose answers differ, and the check of an answer. Imports neither HTTP nor engines.

An answer is correct if it has every key word of its case, in any order and wording; "39", "thirty-nine" and "Thirty
nine." are the same number. No question and no answer contains all key words of another case: the numbers in questions
are smaller than those in answers, and the words to repeat are pairs.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations, product
from typing import Literal

from bench.pictures import COLOURS, SHAPES, Thing

Verdict = Literal["correct", "swapped", "wrong"]

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
_PICTURE_QUESTIONS = ("What do you see?", "What is in the picture?", "Describe the picture.", "What can you see?")

_ONES = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
    *("ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")


@dataclass(frozen=True, slots=True)
class Case:
    """A question, the key words of its answer (see ``key_words``), and the things in its picture if it has one."""

    question: str
    keys: frozenset[str]
    picture: tuple[Thing, ...] | None = None


def questions(seed: int) -> list[Case]:
    """Return questions without a picture, in random order; no two have the same answer."""
    capitals = [Case(f"What is the capital of {c}?", key_words(a)) for c, a in _CAPITALS.items()]
    sums = [Case(f"What is {n - n // 2} plus {n // 2}?", key_words(str(n))) for n in range(21, 41)]
    phrases = [f"{adjective} {noun}" for adjective, noun in product(_ADJECTIVES, _NOUNS)]
    rng = random.Random(seed)
    repeats = [Case(f"Repeat after me: {phrase}.", key_words(phrase)) for phrase in rng.sample(phrases, 250)]
    return _shuffled([*capitals, *sums, *repeats], rng)


def picture_questions(seed: int) -> list[Case]:
    """Return questions about a picture, in random order; no answer is correct for two of them."""
    several = [
        (key_words(f"{name} {colour} {shape}"), ((colour, shape),) * count)
        for (count, name), colour, shape in product(enumerate(_COUNTS, 2), COLOURS, SHAPES)
    ]
    two = [
        (key_words(" ".join((*colours, *shapes))), tuple(zip(colours, shapes, strict=True)))
        for colours, shapes in product(combinations(COLOURS, 2), combinations(SHAPES, 2))
    ]
    rng = random.Random(seed)
    return _shuffled([Case(rng.choice(_PICTURE_QUESTIONS), keys, picture) for keys, picture in (*several, *two)], rng)


def verdict(answer: str, case: Case, others: Iterable[Case]) -> Verdict:
    """Return whether the answer is correct for its case; ``swapped`` if it is correct for another one instead."""
    words = key_words(answer)
    if case.keys <= words:
        return "correct"
    return "swapped" if any(other.keys <= words for other in others) else "wrong"


def key_words(text: str) -> frozenset[str]:
    """Return the words of a text in lower case and in the singular, numbers as digits."""
    return frozenset(_numbers(_singular(word) for word in re.findall(r"[a-z]+|\d+", text.lower())))


def _numbers(words: Iterator[str]) -> Iterator[str]:
    """Yield number words up to 99 as digits, and every other word unchanged."""
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
