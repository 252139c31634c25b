"""Letters as a voice spells them."""

from __future__ import annotations

# Written so that voices read them as letters: "a" is an article, and "h" is lost between other letters.
_NAMES = {"A": "eigh", "H": "aitch", "Q": "cue"}


def spelled(letters: str) -> str:
    """Return letters one by one: "F B I"; other characters are left out."""
    return " ".join(_NAMES.get(letter, letter) for letter in letters.upper() if letter.isalpha())
