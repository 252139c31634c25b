"""The characters of a text: compatible forms, decorations, and what a voice has no character for."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Set
from dataclasses import dataclass

_DECORATIONS = frozenset({"So", "Sk", "Cc", "Cf", "Cs", "Co", "Cn"})  # Unicode categories that are not spoken
_VARIANTS = "\ufe0e\ufe0f\u20e3"  # parts of an emoji
_SAID = "°©^"  # of the categories of emoji
_SPACES = re.compile(r"\s+")

# Letters that do not decompose into a letter of the alphabet and an accent.
_LETTERS = {
    "ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "đ": "d", "ð": "d", "þ": "th", "ł": "l", "ı": "i", "ŋ": "ng", "ħ": "h",
    "ŧ": "t", "ĸ": "k", "ſ": "s", "ə": "e",
}  # fmt: skip
# The nearest mark that a voice may have instead.
_MARKS = dict.fromkeys(";:—–()[]、", ", ") | {"…": ". ", "。": ". "}
_LATIN_MARKS = frozenset("!\"'(),-.:;?—")  # of an English voice whose characters are not known

_TIDY = (
    (re.compile(r"\s+"), " "),
    (re.compile(r"(?<=[,;:])(?=[^\W_])"), " "),
    (re.compile(r" (?=[,!?;:]|\.+(?!\w))"), ""),
    (re.compile(r"(?<=[,;:—])[,;:]+"), ""),
    (re.compile(r"[,;:]+(?=[.!?])"), ""),
    (re.compile(r"(?<=[.!?])[.,;:]+|(?<=!)!+|(?<=\?)\?+"), ""),
    (re.compile(r"[.](?= [a-z])"), ","),
    (re.compile(r"^[ ,.;:!?—)-]+|[ (-]+$"), ""),
)


@dataclass(frozen=True, slots=True)
class Fitted:
    """A text within the characters of a voice; ``omitted`` has the letters and digits that it lost, in order."""

    text: str
    omitted: str


def compatible(text: str) -> str:
    """Return the text in Unicode's form NFKC, without emoji and control characters; white space becomes one space."""
    text = unicodedata.normalize("NFKC", undecorated(text))
    return _SPACES.sub(" ", text).strip()


def undecorated(text: str) -> str:
    """Return the text without emoji, control and private-use characters."""
    return text if text.isascii() and text.isprintable() else "".join(filter(_is_spoken, text))


def _is_spoken(character: str) -> bool:
    if character.isspace() or character in _SAID:
        return True
    if unicodedata.category(character) in _DECORATIONS or character in _VARIANTS:
        return unicodedata.normalize("NFKC", character) != character  # such as ℃ and №
    return True


def fitted(text: str, characters: Set[str] | None) -> Fitted:
    """Return the text within ``characters``, in lower case the only ones that a voice reads.

    A letter that is not among them loses its accent; one that cannot is omitted. Marks become the nearest one. ``None``
    is an English voice whose characters are not known: it reads Latin letters.
    """
    kept: list[str] = []
    omitted: list[str] = []
    for character in text:
        if character == " " or _is_among(character, characters):
            kept.append(character)
            if character == " " and omitted and omitted[-1] != " ":
                omitted.append(" ")
        elif character.isalnum():
            plain = _without_accent(character)
            if plain and all(_is_among(part, characters) for part in plain):
                kept.append(plain)
            else:
                kept.append(" ")
                omitted.append(character)
        else:
            mark = _MARKS.get(character, " ")
            kept.append(mark if _is_among(mark[0], characters) else " ")
    if text.endswith((")", "]")) and kept[-1] == ", ":  # a comma instead would announce more
        kept.pop()
    return Fitted(tidy("".join(kept)), "".join(omitted).strip())


def _is_among(character: str, characters: Set[str] | None) -> bool:
    if characters is not None:
        return character.lower() in characters
    if character.isascii():
        return character.isalpha() or character in _LATIN_MARKS
    return character in _LATIN_MARKS or (character.isalpha() and unicodedata.name(character, "").startswith("LATIN"))


def _without_accent(letter: str) -> str:
    decomposed = "".join(part for part in unicodedata.normalize("NFKD", letter) if not unicodedata.combining(part))
    return "".join(_LETTERS.get(part.lower(), part) for part in decomposed)


def tidy(text: str) -> str:
    """Return the text with single spaces, single marks, and no mark at its beginning."""
    for pattern, replacement in _TIDY:
        text = pattern.sub(replacement, text)
    return text
