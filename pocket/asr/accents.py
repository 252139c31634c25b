"""Random accents for flite's natural voices.

An accent replaces some phones of American English by similar ones, throughout a sentence. The natural voices have one
accent only; this data augmentation approximates others.
"""

import random

Accent = dict[str, str]
"""Phone -> the phones that replace it, in the notation of flite and CMUdict."""

NEIGHBOURS = {
    "aa": ("ao", "ae", "ah"),
    "ae": ("aa", "eh"),
    "ah": ("uh", "aa", "ax"),
    "ao": ("aa", "ow"),
    "aw": ("ah uw", "uw", "ow"),
    "ax": ("ah", "ih", "eh"),
    "ay": ("ah iy", "eh iy", "oy"),
    "eh": ("ih", "ey", "ae"),
    "er": ("eh r", "ah r", "ih r", "ah"),
    "ey": ("eh", "ay"),
    "ih": ("eh", "iy", "ax"),
    "iy": ("ih",),
    "ow": ("ao", "aw"),
    "oy": ("ao iy", "ay"),
    "uh": ("uw", "ah"),
    "uw": ("uh", "ih"),
    "dh": ("d", "z"),
    "th": ("t", "f"),
    "ng": ("n",),
    "w": ("v",),
    "z": ("s",),
}
VOWELS = frozenset(phone for phone in NEIGHBOURS if phone[0] in "aeiou")
VOWEL_CHANCE, CONSONANT_CHANCE = 0.3, 0.1
"""Probability that an accent replaces a phone; low, so that most words stay recognizable."""


def draw(rng: random.Random) -> Accent:
    """Return a random accent."""
    return {
        phone: rng.choice(others)
        for phone, others in NEIGHBOURS.items()
        if rng.random() < (VOWEL_CHANCE if phone in VOWELS else CONSONANT_CHANCE)
    }


def apply(accent: Accent, phones: str) -> str:
    """Return `phones`, separated by single spaces, in this accent."""
    return " ".join(accent.get(phone, phone) for phone in phones.split())
