"""Capital letters: acronyms spelled out where they cannot be read as words, initials, and letters beside digits.

"FBI" is "F B I", "NASA" stays, "A.B.C." is "A B C", "HELLO" (emphasis) is "Hello".
"""

from __future__ import annotations

import re

from deployments.speech_text.letters import spelled
from deployments.speech_text.rule import listed, one_of, rule

# Acronyms that are read in a way of their own.
_WORDS = {
    "JPEG": "jay peg", "JSON": "Jason", "YAML": "yammel", "GUI": "gooey", "IEEE": "I triple E", "AAA": "triple eigh",
    "NAACP": "N double eigh C P",
}  # fmt: skip
_READ = listed(
    """NASA NATO UNESCO UNICEF OPEC AIDS FIFA NAFTA IKEA OSHA DARPA HIPAA NOAA NIMBY YOLO FOMO ASCII CUDA BIOS
    COVID FEMA EBITDA LASER RADAR SONAR SCUBA MIDI NASDAQ RAM ROM SARS SIM SWAT PIN LAN WAN CAD CAM BASIC ZIP
    UEFA ASEAN TED GIF"""
)
_SPELLED = listed("USSR UCLA YMCA IMDB UEFI IOS USAF UAE EULA IUPAC ASAP IATA")
# Short words that people write in capitals. Other capitals of two or three letters are spelled.
_SHORT = listed(
    """A I AM AN AS AT BE BY DO GO HE IF IN IS IT ME MY NO OF OH OK ON OR SO TO UP WE ADD AGE AGO AHA AIR ALL AND ANY
    ARE ASK BAD BAG BED BIG BIT BOX BOY BUS BUT BUY CAN CAR CAT CRY CUT DAY DID DOG DRY DUE EAT EGG END EYE FAR FEW
    FIX FLY FOR FUN GET GOD GOT GUN GUY HAD HAS HER HEY HIM HIS HIT HOT HOW HUG HUH ICE ITS JOB KEY KID LAW LET LIE
    LOT LOW MAD MAN MAY MEN MIX MOM MUD NEW NOR NOT NOW ODD OFF OIL OLD ONE OUR OUT OWN PAY PEN PET POP PUT RAT RAW
    RED ROW RUN SAD SAY SEE SET SHE SIT SIX SKY SON SUN TAX TEA TEN THE TIE TIP TOO TOP TOY TRY TWO USE WAR WAS WAY
    WET WHO WHY WIN WON WOW YAY YEP YES YET YOU"""
)
# "the IT department", "the WHO": words in capitals elsewhere, but not after an article or before such nouns.
_NOT_WORDS = "IT|WHO"
_OF_IT = (
    "department|team|staff|support|manager|director|specialist|professional|consultant|company|industry|sector|system|"
    "infrastructure|service|security|equipment|budget|job|project"
)
# Abbreviations whose capitals do not begin a word.
_MIXED = {"pH": "P aitch", "NaCl": spelled("NaCl"), "NaOH": spelled("NaOH"), "HCl": spelled("HCl")}
_ONSET = (
    r"(?:[bcdfghjklmnpqrstvwxyz]|[bcdfgkpst]l|[bcdfgkptw]r|[cgpstw]h|s[ckmnptw]|s[ckpt]r|spl|sch|shr|thr|squ|qu|kn|gn|"
    r"dw|tw)?"
)
_CODA = r"(?:[bcdfghklmnpqrstvwxyz]{1,2}|[nrl][cdfgkpst][hst]?|ngs|ght|tch|rst|mpt|cts|pts|rds|rks|rts|sts|nks)?"
_SYLLABLES = r"(?:[aeiouy]{1,3}[bcdfghjklmnpqrstvwxz]{1,3}){0,8}[aeiouy]{0,3}"
_READABLE = re.compile(rf"{_ONSET}{_SYLLABLES}{_CODA}e?", re.IGNORECASE)


def can_be_read(word: str) -> bool:
    """Return whether capital letters are a word rather than the initials of several."""
    if word in _READ or word in _SHORT:
        return True
    if len(word) <= 3 or word in _SPELLED or not re.search("[AEIOUY]", word):
        return False
    return _READABLE.fullmatch(word) is not None


def _capitals(match: re.Match[str]) -> str:
    word, ending = match[1], match[2] or ""
    if word in _WORDS:
        return _WORDS[word] + ending
    if word in _READ or word in _SHORT:
        return match[0]
    if can_be_read(word):
        return word + ending
    return spelled(word) + ("'s" if ending else "")


def _spell(match: re.Match[str]) -> str:
    return spelled(match[0])


def _initials(match: re.Match[str]) -> str:
    ends = match[0].endswith(".") and not match.string[match.end() :].strip()
    return spelled(match[0]) + ("." if ends else "")


RULES = (
    # A.B.C., U.S., J.R.R.
    rule(r"(?<![\w.])(?:[A-Za-z]\.){2,10}(?!\w)", _initials),
    rule(r"(?<![\w.])(?:[A-Z]\.){1,9}[A-Z]\b(?!\.)", _initials),
    # J. Smith
    rule(r"(?<![\w.'])([A-Z])\.(?=\s?[A-Z][\w.])", r"\1 "),
    rule(rf"\b(?:(?<=\b[Tt]he )|(?<=\b[Aa]n ))(?:{_NOT_WORDS})\b", _spell),
    rule(rf"\bIT(?= (?:{_OF_IT})s?\b)", _spell),
    # pH; mRNA
    rule(rf"\b(?:{one_of(_MIXED)})\b", lambda match: _MIXED[match[0]]),
    rule(r"\b[a-z](?:DNA|RNA|OS|SIM|BPF|GPU)\b", _spell),
    rule(r"\b([A-Z]{2,12})(?:('?s)\b|s')?(?![a-z0-9])", _capitals),
)
