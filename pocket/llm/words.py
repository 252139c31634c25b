"""Common English words, and ways of inventing names."""

import random
from importlib.resources import files

from pocket.llm.tables import items, names

WORDS = tuple(files("pocket.llm").joinpath("words.txt").read_text("utf-8").split())
"""Common lower-case words of three to ten letters."""

_ONSETS = names("b br c ch d dr f fl g gr h j k kr l m n p pr qu r s sh st t th tr v w y z")
_VOWELS = names("a e i o u ai ee ia o a e i")
_CODAS = items("|n|r|l|s|k|m|x|th|nd|ck|ro|na|la")


def invented(rng: random.Random) -> str:
    """A name that nobody has, of one to three syllables, in lower case."""
    syllables = rng.choices((1, 2, 3), (2, 6, 2))[0]
    return "".join(rng.choice(_ONSETS) + rng.choice(_VOWELS) for _ in range(syllables)) + rng.choice(_CODAS)
