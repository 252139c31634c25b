"""Accents for the natural voices: some phones of their American English are said as a neighbouring one, all through a
sentence, as speakers elsewhere do. Three speakers of one accent teach a recognizer no others; this does, roughly."""

import random

Accent = dict[str, str]
"""What is said in place of a phone, by flite's names for them (those of CMUdict)."""

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
"""How often a phone has another sound in an accent: most words must stay what they are."""


def draw(rng: random.Random) -> Accent:
    """A random accent."""
    return {
        phone: rng.choice(others)
        for phone, others in NEIGHBOURS.items()
        if rng.random() < (VOWEL_CHANCE if phone in VOWELS else CONSONANT_CHANCE)
    }


def put_on(accent: Accent, phones: str) -> str:
    """Phones with single spaces between them, as this accent says them."""
    return " ".join(accent.get(phone, phone) for phone in phones.split())
