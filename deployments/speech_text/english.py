"""English text in words: applies the rules of all kinds, in an order in which no kind takes what belongs to another."""

from __future__ import annotations

import unicodedata

from deployments.speech_text import (
    abbreviations,
    acronyms,
    addresses,
    chemistry,
    dates,
    money,
    numbers,
    roman,
    symbols,
    units,
)
from deployments.speech_text.characters import compatible
from deployments.speech_text.rule import apply, rule

_RULES = (
    rule(r"^(\d{1,3})[.)] (?=\S)", r"\1, "),  # the number of a list's item
    *addresses.RULES,
    *symbols.NAMES,
    *chemistry.RULES,
    *dates.RULES,
    *money.RULES,
    *numbers.GROUPS,
    *abbreviations.RULES,
    *roman.RULES,
    *symbols.MATHEMATICS,
    *numbers.RANGES,
    *symbols.SIGNED,
    *units.RULES,
    *numbers.FRACTIONS,
    *symbols.BESIDE_DIGITS,
    rule(r"\s{2,}", " "),
    *symbols.RULES,
    *numbers.PLAIN,
    rule(r"\s{2,}", " "),
    *acronyms.RULES,
)

_SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹⁻"
_TO_PLAIN = str.maketrans(_SUPERSCRIPTS, "0123456789-")

# Before the compatible forms, in which "x²" is "x2", "1½" is "11⁄2" and "№" is "No".
_SIGNS = (
    *chemistry.CHARGES,
    rule(f"[{_SUPERSCRIPTS}]{{1,4}}", lambda match: "^" + match[0].translate(_TO_PLAIN)),
    rule(r"(?<=\d)(?=[¼-¾⅐-⅞])|(?<=[¼-¾⅐-⅞])(?=[A-Za-z])", " "),
    rule(r"[¼-¾⅐-⅞]", lambda match: unicodedata.normalize("NFKC", match[0]).replace("⁄", "/")),
    rule(r"№\s?", "No. "),
    rule("[™®℠]", ""),
    rule("[‘’‛ʼ`´]", "'"),
    rule("[“”„‟«»]", '"'),
    rule("[‐‑]", "-"),
    rule("[‒―]", "–"),
    # 10 000 with a thin or a non-breaking space
    rule(r"(?<=\d)[\u00a0\u2009\u202f](?=\d{3}(?!\d))", ","),
    # With a space only where the groups are no list of numbers: 10 000, 1 234 567
    rule(
        r"(?<![\w.,+-])(?<!\d )(?:[1-9]\d?(?: \d{3}){2,4}|[1-9]\d{0,2}(?: \d{3}){0,3} 000)(?![\w-]| \d|[.,]\d{3})",
        lambda match: match[0].replace(" ", ","),
    ),
)


def words(text: str) -> str:
    """Return English text with words for everything that is not a word; marks of punctuation stay.

    Letters of other scripts stay too, and so do marks that no rule reads.
    """
    text = compatible(apply(_SIGNS, text))
    text = "".join(map(_ascii_digit, text)) if not text.isascii() else text
    return apply(_RULES, text)


def _ascii_digit(character: str) -> str:
    return str(unicodedata.decimal(character)) if character.isdecimal() else character
