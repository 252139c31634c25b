"""Common English words, plurals and invented names."""

import random
from importlib.resources import files

from pocket.llm.tables import items, names

WORDS = tuple(files("pocket.llm").joinpath("words.txt").read_text("utf-8").split())
"""Common lower-case words of three to ten characters."""

_ONSETS = names("b br c ch d dr f fl g gr h j k kr l m n p pr qu r s sh st t th tr v w y z")
_VOWELS = names("a e i o u ai ee ia o a e i")
_CODAS = items("|n|r|l|s|k|m|x|th|nd|ck|ro|na|la")


_IRREGULAR = {
    "mouse": "mice",
    "goose": "geese",
    "sheep": "sheep",
    "wolf": "wolves",
    "leaf": "leaves",
    "tomato": "tomatoes",
    "potato": "potatoes",
    "fish": "fish",
    "deer": "deer",
    "snowman": "snowmen",
}


def plural(noun: str) -> str:
    """Return the plural of a noun of the tables."""
    *before, last = noun.split(" ")
    if last in _IRREGULAR:
        last = _IRREGULAR[last]
    elif last[-1] == "y" and last[-2] not in "aeiou":
        last = last[:-1] + "ies"
    else:
        last += "es" if last.endswith(("s", "x", "ch", "sh")) else "s"
    return " ".join([*before, last])


def invented(rng: random.Random) -> str:
    """Return an invented name of one to three syllables in lower case."""
    syllables = rng.choices((1, 2, 3), (2, 6, 2))[0]
    return "".join(rng.choice(_ONSETS) + rng.choice(_VOWELS) for _ in range(syllables)) + rng.choice(_CODAS)
