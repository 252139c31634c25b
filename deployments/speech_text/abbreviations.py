"""Abbreviations and their words. The table also tells the splitting into sentences which full stops end none."""

from __future__ import annotations

import re

from deployments.speech_text.letters import spelled
from deployments.speech_text.rule import one_of, rule

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

_ALL = TITLES | INSIDE | OFTEN_LAST
# These are common without a full stop.
_DOTLESS = ("Mr", "Mrs", "Ms", "Prof", "Sgt", "Capt", "vs", "etc", "approx", "Ltd", "Blvd", "Jr", "Sr")
_SYMBOLIC = {
    "w/o": "without", "w/": "with ", "b/c": "because", "c/o": "care of", "n/a": "not applicable",
    "N/A": "not applicable", "aka": "also known as", "a/c": "air conditioning", "btw": "by the way",
    "BTW": "by the way",    "PhD": spelled("PhD"), "PhDs": f"{spelled('PhD')}'s",
}  # fmt: skip


def is_street(before: str) -> bool:
    """Return whether "St." or "Dr." after ``before`` names a street: a name or a number precedes it, not a sentence's
    first word."""
    words = before.split()
    return bool(words) and (words[-1][0].isdigit() or (len(words) > 1 and words[-1][0].isupper()))


def _word(match: re.Match[str]) -> str:
    found = match[1].lower()
    if found not in OFTEN_LAST and _ends(match):  # "wait a min.", "I ate a fig."
        return match[0]
    return _ALL[found] + ("." if _ends(match) else "")


def _ends(match: re.Match[str]) -> bool:
    """Return whether the full stop of an abbreviation also ends the text."""
    return match[0].endswith(".") and not match.string[match.end() :].strip()


def _saint_or_street(match: re.Match[str]) -> str:
    saint, street = {"S": ("Saint", "Street"), "D": ("Doctor", "Drive")}[match[1][0].upper()]
    before, after = match.string[max(0, match.start() - 60) : match.start()], match.string[match.end() :][:2].lstrip()
    named = after[:1].isupper()
    return (street if is_street(before) or not (named or saint == "Doctor") else saint) + ("." if _ends(match) else "")


def _symbolic(match: re.Match[str]) -> str:
    return _SYMBOLIC[match[0]]


def _reference(match: re.Match[str]) -> str:
    return {"no": "number ", "p": "page ", "pp": "pages ", "c": "circa "}[match[1].lower()]


RULES = (
    rule(r"(?<![\w.])([Nn]o|pp?|c)\.\s?(?=\d)", _reference),
    rule(r"\b(St|Dr)\.(?![A-Za-z])", _saint_or_street),
    rule(r"\b(Dr)\b(?= [A-Z])", _saint_or_street),
    rule(rf"(?<![\w.])(?!(?<=\d )min\.)({one_of(_ALL)})\.(?!\w)", _word, re.IGNORECASE),
    rule(rf"(?<![\w.])({one_of(_DOTLESS)})\b(?![.'-])", _word),
    rule(rf"(?<![\w/])(?:{one_of(_SYMBOLIC)})(?![\w/])", _symbolic),
    rule(r"(?<![\w/])w/(?=\w)", "with "),
)
