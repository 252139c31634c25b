"""Abbreviations and their words. The table also tells the splitting into sentences which full stops end none."""

from __future__ import annotations

import re

from deployments.speech_text.letters import spelled
from deployments.speech_text.rule import listed, one_of, rule

# Before a name, a number or another word: their full stop never ends a sentence.
TITLES = {
    "mr": "Mister", "mrs": "Missus", "ms": "Miz", "prof": "Professor", "gen": "General", "col": "Colonel",
    "sgt": "Sergeant", "capt": "Captain", "lt": "Lieutenant", "maj": "Major", "cmdr": "Commander", "rev": "Reverend",
    "hon": "Honorable", "gov": "Governor", "sen": "Senator", "rep": "Representative", "pres": "President",
    "mt": "Mount", "ft": "Fort", "messrs": "Messieurs",
}  # fmt: skip
INSIDE = {
    "e.g": "for example", "eg": "for example", "i.e": "that is", "vs": "versus", "cf": "compare", "viz": "namely",
    "fig": "figure", "figs": "figures", "eq": "equation", "approx": "approximately", "dept": "department",
    "est": "established", "ca": "circa", "incl": "including", "excl": "excluding", "esp": "especially",
    "resp": "respectively", "govt": "government", "univ": "university", "assn": "association", "intl": "international",
    "vol": "volume", "nos": "numbers", "pp": "pages", "chap": "chapter", "ref": "reference",
    "tel": "telephone", "ext": "extension", "max": "maximum", "min": "minimum", "avg": "average", "temp": "temperature",
    "a.k.a": "also known as",
}  # fmt: skip
# Their full stop also ends a sentence, unless the next word begins in lower case.
OFTEN_LAST = {
    "etc": "et cetera", "al": "al", "inc": "Incorporated", "ltd": "Limited", "co": "Company", "corp": "Corporation",
    "bros": "Brothers", "jr": "Junior", "sr": "Senior", "ave": "Avenue", "blvd": "Boulevard", "rd": "Road",
    "hwy": "Highway", "apt": "apartment",
}  # fmt: skip
_DEGREES_AND_TIMES = ("ph.d", "m.d", "b.a", "m.a", "b.sc", "m.sc", "a.m", "p.m", "b.c", "a.d")
OFTEN_LAST |= {letters: spelled(letters) for letters in _DEGREES_AND_TIMES}
# Saint or Street, Doctor or Drive: by the words around them.
AMBIGUOUS = ("st", "dr")
# Abbreviations only before a number.
REFERENCES = {
    "no": "number", "p": "page", "pp": "pages", "c": "circa", "ch": "chapter", "sec": "section", "bldg": "building",
    "ste": "suite", "fl": "floor",
}  # fmt: skip
# After a number these are units, whose full stop ends a sentence only before a capital letter.
_UNITS = one_of(
    listed(
        """in ft yd mi sq cu fl mm cm km m g kg mg lb lbs oz l ml tsp tbsp gal pt qt s sec secs min mins h hr hrs yr
        yrs m.p.h m.p.g"""
    )
)
_UNIT = re.compile(rf"\d ?(?:(?:sq|cu|fl)\.? )?(?:{_UNITS})$", re.IGNORECASE)

_ALL = TITLES | INSIDE | OFTEN_LAST
# These are common without a full stop.
_DOTLESS = ("Mr", "Mrs", "Ms", "Prof", "Sgt", "Capt", "vs", "etc", "approx", "Ltd", "Blvd", "Jr", "Sr")
_SYMBOLIC = {
    "w/o": "without", "w/": "with ", "c/o": "care of", "n/a": "not applicable",
    "N/A": "not applicable", "aka": "also known as", "a/c": "air conditioning", "btw": "by the way",
    "BTW": "by the way", "PhD": spelled("PhD"), "PhDs": f"{spelled('PhD')}'s",
}  # fmt: skip


def is_street(before: str) -> bool:
    """Return whether "St." or "Dr." after ``before`` names a street: a name or an ordinal number precedes it, not a
    title, a plain number, or a sentence's first word."""
    words = before.split()
    if not words or words[-1].isdigit() or words[-1].rstrip(".").lower() in TITLES:
        return False
    return words[-1][0].isdigit() or (len(words) > 1 and words[-1][0].isupper())


def is_unit(text: str) -> bool:
    """Return whether a text, up to a full stop, ends with a unit after a number: "6 ft", "500 sq. ft"."""
    return _UNIT.search(text[-20:]) is not None


def _word(match: re.Match[str]) -> str:
    found = match[1].lower()
    if found not in OFTEN_LAST and "." not in found and _ends(match):  # "wait a min.", "I ate a fig."
        return match[0]
    return _ALL[found] + ("." if _ends(match) else "")


def _ends(match: re.Match[str]) -> bool:
    """Return whether the full stop of an abbreviation also ends the text."""
    return match[0].endswith(".") and not match.string[match.end() :].strip()


def _saint_or_street(match: re.Match[str]) -> str:
    saint, street = {"S": ("Saint", "Street"), "D": ("Doctor", "Drive")}[match[1][0].upper()]
    before, after = match.string[max(0, match.start() - 60) : match.start()], match.string[match.end() :][:2].lstrip()
    if saint == "Doctor":  # "Elm Dr." at the end
        is_name = bool(after) or not before.strip() or not before.split()[-1][0].isupper()
    else:
        is_name = after[:1].isupper()
    return (street if is_street(before) or not is_name else saint) + ("." if _ends(match) else "")


def _symbolic(match: re.Match[str]) -> str:
    return _SYMBOLIC[match[0]]


def _reference(match: re.Match[str]) -> str:
    return f"{REFERENCES[match[1].lower()]} "


def _inch(match: re.Match[str]) -> str:
    return f"{match[1]} inch{'' if match[1] == '1' else 'es'}" + ("." if _ends(match) else "")


RULES = (
    rule(r"(?<=\d)( ?)m\.p\.([hg])(?:\.(?!\s*$))?", r"\1mp\2"),
    rule(r"(?<![A-Za-z\d])(\d{1,9}) in\.(?= ?[a-z\d]|$)", _inch),
    rule(rf"(?<=\d)( ?(?:(?:sq|cu|fl)\.? )?(?:{_UNITS}))\.(?= [a-z\d])", r"\1"),
    rule(r"(?<=\d)( ?(?:sq|cu|fl))\.(?= [a-z])", r"\1"),
    rule(rf"(?<![\w.])(c|(?i:{one_of(REFERENCES.keys() - {'c'})}))\.\s?(?=\d)", _reference),
    rule(r"\b(St|Dr)\.(?![A-Za-z])", _saint_or_street),
    rule(r"\b(Dr)\b(?= [A-Z])", _saint_or_street),
    rule(rf"(?<![\w.])(?!(?<=\d )(?:min|ft)\.)({one_of(_ALL)})\.(?!\w)", _word, re.IGNORECASE),
    rule(rf"(?<![\w.])({one_of(_DOTLESS)})\b(?![.'-])", _word),
    rule(rf"(?<![\w/])(?:{one_of(_SYMBOLIC)})(?![\w/])", _symbolic),
    # "b/c" between words; in "a = b/c + d" it is a fraction
    rule(r"(?<![\w/=+*(-])(?<![=+*-] )b/c(?= (?:[a-z]{2}|a |I\b))", "because"),
    rule(r"(?<![\w/])w/(?=\w)", "with "),
)
