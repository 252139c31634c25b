"""Roman numerals where they are numbers: "Chapter IV", "Henry VIII", "World War II"."""

from __future__ import annotations

import re

from deployments.speech_text.numbers import cardinal, ordinal, year
from deployments.speech_text.rule import rule

_VALUES = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}
_ROMAN = r"(?=[IVXLC])(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})"
_PARTS = (
    "chapter|part|section|volume|vol|book|act|scene|article|appendix|phase|type|class|level|stage|grade|title|figure|"
    "table|unit|lesson|war|mark|step|episode|season|group|schedule|exhibit|bowl"
)
_RULERS = (
    "Henry|Louis|Elizabeth|George|Charles|James|Edward|Richard|William|Mary|Philip|Francis|Frederick|Wilhelm|Peter|"
    "Catherine|Nicholas|Alexander|Ivan|Napoleon|Leopold|Albert|Ferdinand|Alfonso|Carlos|Juan|Christian|Gustav|Carl|"
    "Otto|Ludwig|Maximilian|Victoria|Anne|Pius|Leo|Benedict|Gregory|Innocent|Clement|Urban|Paul|John Paul|Julius|"
    "Sixtus|Boniface|Ramses|Ramesses|Thutmose|Amenhotep|Ptolemy|Cleopatra|Darius|Xerxes|Cyrus|Mehmed|Selim|Suleiman|"
    "Murad|Harald|Haakon|Olaf|Robert|Malcolm|Constantine|Theodosius|Justinian|Rama|Pedro|Umberto|Emmanuel|Friedrich"
)
_TITLES = "Queen|King|Pope|Emperor|Empress|Tsar|Czar|Prince|Pharaoh|Sultan"
# "When I met Elizabeth I was ..." is no numeral; "Queen Elizabeth I was ..." is one.
_PRONOUN = r"I\s+(?:am|was|have|had|will|would|can|could|think|thought|know|knew|said|did|do|went|saw)\b"


def _value(numeral: str) -> int:
    values = [_VALUES[letter] for letter in numeral]
    return sum(-one if one < following else one for one, following in zip(values, [*values[1:], 0], strict=True))


def _part(match: re.Match[str]) -> str:
    return f"{match[1]}{cardinal(str(_value(match[2])))}"


def _ruler(match: re.Match[str]) -> str:
    return f"{match[1]} the {ordinal(_value(match[2]))}"


def _century(match: re.Match[str]) -> str:
    return ordinal(_value(match[1]))


def _year(match: re.Match[str]) -> str:
    return year(_value(match[0]))


def _alone(match: re.Match[str]) -> str:
    return cardinal(str(_value(match[0])))


RULES = (
    rule(rf"\b((?i:{_PARTS})\.?\s)({_ROMAN})(?![\w'])", _part),
    rule(rf"\b((?:{_TITLES}) (?:{_RULERS}))\s({_ROMAN})(?!\w)", _ruler),
    rule(rf"\b({_RULERS})\s(?!{_PRONOUN})({_ROMAN})(?!\w)", _ruler),
    rule(rf"\b({_ROMAN})(?=\s(?:century|centuries|dynasty)\b)", _century),
    # Three letters or more, such as XIV, and II are nothing else; nor are IV, VI, IX after a word ("Rocky IV").
    rule(r"\bWW(II?)\b", lambda match: f"World War {cardinal(str(_value(match[1])))}"),
    rule(r"\bII\b", "two"),
    # MMXXIV; three letters are also words and names: MIX, MCI
    rule(r"\b(?=[IVXLCDM]{4})M{1,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})\b", _year),
    rule(rf"\b(?=[IVXLC]{{3}}){_ROMAN}(?!\w)(?<!LLC)", _alone),
    rule(r"(?<=[a-z] )(?=[IVX]{2}\b)(?:IV|VI|IX|XI|XV|XX)\b", _alone),
)
