"""English words for dates, times of day and decades: "2024-03-04", "3/4/2024", "Jan. 5th", "5:30 pm", "the '90s"."""

from __future__ import annotations

import re

from deployments.speech_text.letters import spelled
from deployments.speech_text.numbers import cardinal, ordinal, pairs, plural, year
from deployments.speech_text.rule import one_of, rule

MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
SHORT_MONTHS = {name[:3]: name for name in MONTHS if name != "May"} | {"Sept": "September"}
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_SHORT_WEEKDAYS = {name[:3]: name for name in _WEEKDAYS}
_SHORT_WEEKDAYS |= {"Tues": "Tuesday", "Weds": "Wednesday", "Thur": "Thursday", "Thurs": "Thursday"}
_SHORT = SHORT_MONTHS | _SHORT_WEEKDAYS
# Names and words too: their full stop may be that of the sentence.
_ALSO_WORDS = ("Jan", "Sat", "Sun")

_MONTH = rf"({'|'.join((*MONTHS, *SHORT_MONTHS))})\.?"
_DAY = r"(3[01]|[12]\d|0?[1-9])(?:st|nd|rd|th)?"
_YEAR = r"(\d{4})"
_CLOCK = r"([01]?\d|2[0-4]):([0-5]\d)(?::([0-5]\d)(?:\.\d+)?)?"
_HALF = r"\s?([AaPp])\.?\s?[Mm]\b(\.(?=\s*$))?\.?"
_ANY_WEEKDAY = rf"(?:{one_of((*_WEEKDAYS, *_SHORT_WEEKDAYS))})\b"
_ANY_MONTH = rf"(?:{one_of((*MONTHS, *SHORT_MONTHS))})\b"
_DASH = r"\.?\s?[-–—]\s?"
_DAY_OR_TIME = rf"\d\d?(?::\d\d|\s?[AaPp]\.?[Mm]\b|st\b|nd\b|rd\b|th\b|[-–]\d| {_ANY_MONTH})|{_ANY_MONTH}\.? \d"
# "5s" is a number of seconds after or before these, and after a unit of time or a sign: "1m 5s", "= 5s".
_BEFORE_SECONDS = (
    r"for|in|after|takes?|took|within|every|per|under|over|than|about|around|only|just|last|next|first|least|most|"
    r"lasts|from|down|wait|sleep|hold|rest|of|to|at|is|was|an?|another|up"
)
_AFTER_SECONDS = r"timeout|delay|interval|rest|pause|clip|video|timer|window|hold|limit|break|later|ago|each|per|left"
# Other numbers are rather those of a table's seconds: "16s", "120s". "747s" are aircraft.
_IS_PLURAL = re.compile(r"\d|[1-9]0|\d\d[1-9]")
_BEFORE_A_DECADE = ("the ", "her ", "his ", "their ", "my ", "our ", "your ", "early ", "mid ", "mid-", "late ")
# Of the Bible: "Genesis 1:1-3" is no time.
_BOOKS = (
    "Genesis|Exodus|Leviticus|Numbers|Deuteronomy|Joshua|Judges|Ruth|Samuel|Kings|Chronicles|Ezra|Nehemiah|Esther|Job|"
    "Psalms?|Proverbs|Ecclesiastes|Isaiah|Jeremiah|Ezekiel|Daniel|Hosea|Joel|Amos|Micah|Matthew|Mark|Luke|John|Acts|"
    "Romans|Corinthians|Galatians|Ephesians|Philippians|Colossians|Thessalonians|Timothy|Hebrews|James|Peter|Revelation"
)
_UTC = r"(?:Z|[+-]\d\d:?\d\d)?"


def _month(name: str) -> str:
    return SHORT_MONTHS.get(name, name)


def _date(month: str, day: str, its_year: str | None) -> str:
    words = f"{month} {ordinal(int(day))}"
    return f"{words}, {year(int(its_year))}" if its_year else words


def _iso(match: re.Match[str]) -> str:
    its_year, _, month, day, hour, minute, second = match.groups()
    if not (1 <= int(month) <= 12 and 1 <= int(day) <= 31):
        return match[0]
    date = _date(MONTHS[int(month) - 1], day, its_year)
    return f"{date}, at {_time(hour, minute, second)}" if hour else date


def _slashed(match: re.Match[str]) -> str:
    """Return a date as Americans write it, month first, unless only the other order is possible."""
    first, second, its_year = match.groups()
    month, day = (first, second) if int(first) <= 12 else (second, first)
    return _numeric(match, month, day, its_year)


def _dotted(match: re.Match[str]) -> str:
    return _numeric(match, match[2], match[1], match[3])


def _numeric(match: re.Match[str], month: str, day: str, its_year: str) -> str:
    if not (1 <= int(month) <= 12 and 1 <= int(day) <= 31):
        return match[0]
    century = "" if len(its_year) == 4 else "20" if int(its_year) < 50 else "19"
    return _date(MONTHS[int(month) - 1], day, century + its_year)


def _month_first(match: re.Match[str]) -> str:
    return _date(_month(match[1]), match[2], match[3])


def _days(match: re.Match[str]) -> str:
    return f"{_month(match[1])} {ordinal(int(match[2]))} to {ordinal(int(match[3]))}"


def _day_first(match: re.Match[str]) -> str:
    the, day, month, its_year = match.groups()
    return f"{the or 'the '}{ordinal(int(day))} of {_month(month)}" + (f" {year(int(its_year))}" if its_year else "")


def _time(hour: str, minute: str, second: str | None = None) -> str:
    words = _hour_and_minute(int(hour), minute)
    if second and second != "00":
        words += f" and {cardinal(str(int(second)))} second{'' if second == '01' else 's'}"
    return words


def _hour_and_minute(hour: int, minute: str) -> str:
    if hour in (0, 24) and minute == "00":
        return "midnight"
    if minute == "00":
        return f"{cardinal(str(hour))} {'hundred hours' if hour > 12 else 'o' + chr(39) + 'clock'}"
    return f"{cardinal(str(hour))} {'oh ' if minute[0] == '0' else ''}{cardinal(str(int(minute)))}"


def _of_day(match: re.Match[str]) -> str:
    return _time(match[1], match[2], match[3])


def _of_half(match: re.Match[str]) -> str:
    """Return a time with am or pm, which has no "o'clock"."""
    hour, minute, second, half, stop = match.groups()
    if minute in (None, "00") and second in (None, "00"):
        words = cardinal(str(int(hour)))
    else:
        words = _time(hour, minute, second)
    return f"{words} {spelled(half + 'm')}{stop or ''}"


def _decade(match: re.Match[str]) -> str:
    century, tens = match[1] or "", match[2]
    if not century:
        return plural(cardinal(tens)) if tens != "00" else match[0]
    return plural(year(int(century + tens)))


def _numbers(match: re.Match[str]) -> str:
    """Return "fives" for "5s", unless the word before it makes it a number of seconds."""
    before, number = match.groups()
    of = number[-1] == "0" and match.string.startswith(" of ", match.end())  # 100s of people
    if (before and not of) or not (of or _IS_PLURAL.fullmatch(number) or match.string[match.start() - 1] == "-"):
        return match[0]
    return (before or "") + plural(pairs(number) if number[-2:] != "00" else cardinal(number).removeprefix("one "))


def _class_of(match: re.Match[str]) -> str:
    return f"oh {cardinal(match[1][1])}" if match[1][0] == "0" else cardinal(match[1])


def _names(match: re.Match[str]) -> str:
    """Return months or weekdays with their full names; the full stop of the last stays at the end of the text."""
    words = re.sub(r"([A-Z][a-z]+)\b\.?", lambda name: _SHORT.get(name[1], name[1]), match[0])
    return re.sub(r"\s?[-–—]\s?", " to ", words) + _stop(match)


def _short_name(match: re.Match[str]) -> str:
    return _SHORT[match[1]] + _stop(match)


def _stop(match: re.Match[str]) -> str:
    return "." if match[0].endswith(".") and not match.string[match.end() :].strip() else ""


def _ratio(match: re.Match[str]) -> str:
    return f"{cardinal(match[1])} to {cardinal(match[2])}"


RULES = (
    # Mon-Fri, Jan.–Mar., Sat and Sun
    rule(
        rf"\b{_ANY_WEEKDAY}(?:(?:{_DASH}|\.?, (?:(?:and|or) )?|\.? (?:and|or|to|through|&) ){_ANY_WEEKDAY}){{1,6}}\.?",
        _names,
    ),
    rule(rf"\b{_ANY_MONTH}{_DASH}{_ANY_MONTH}\.?", _names),
    # Tues., in Feb. it, Sat 10 am
    rule(rf"\b({one_of(_SHORT_WEEKDAYS)})\b\.?(?=,? (?:{_DAY_OR_TIME}))", _short_name),
    rule(rf"\b({one_of(name for name in _SHORT if name not in _ALSO_WORDS)})\.(?!\w| \d)", _short_name),
    rule(rf"\b({one_of(_ALSO_WORDS)})\.(?=,| [a-z])", _short_name),
    rule(rf"(?<![\w-]){_YEAR}([-/])(\d\d)\2(\d\d)(?:T{_CLOCK}{_UTC})?(?![\w/-])", _iso),
    rule(r"(?<![\w/.])(\d{1,2})/(\d{1,2})/(\d{4}|\d\d)(?![\w/])", _slashed),
    rule(r"(?<![\w/.])(\d{1,2})\.(\d{1,2})\.(\d{4})(?![\w/]|\.\d)", _dotted),
    rule(rf"\b{_MONTH} {_DAY}\s?[-–—]\s?{_DAY}(?![\w:-])", _days),
    rule(rf"\b{_MONTH} {_DAY}(?:,? {_YEAR})?(?![\w:%]|[.,/]\d)", _month_first),
    rule(rf"(?<![\w.,:/-])(the )?{_DAY}(?: of)? {_MONTH}(?:,? {_YEAR})?(?!\w)", _day_first),
    rule(rf"\b({'|'.join(SHORT_MONTHS)})\b\.? (?=\d{{4}}\b)", lambda match: f"{_month(match[1])} "),
    rule(rf"\b((?:{_BOOKS}) \d{{1,3}}):(?=[1-9]\d{{0,2}}(?![\w:]|\s?[AaPp]\.?[Mm]))", r"\1, "),
    rule(rf"(?<![\w:.])(\d\d?(?::\d\d)?(?:\s?[AaPp]\.?[Mm]\.?)?)\s?[-–—]\s?(?=\d\d?(?::\d\d)?{_HALF})", r"\1 to "),
    rule(rf"(?<![\w:.]){_CLOCK}\s?[-–—]\s?(?={_CLOCK})", lambda match: f"{_of_day(match)} to "),
    rule(rf"(?<![\w:.])([01]?\d|2[0-4])(?:[:.]([0-5]\d)(?::([0-5]\d))?)?{_HALF}", _of_half),
    rule(rf"(?<![\w:.]){_CLOCK}(?![\w:])", _of_day),
    rule(r"(?<![\w:.,])(\d{1,4}):(\d{1,4})(?![\w:])", _ratio),
    # 1960s-70s, the 1980s and 90s
    rule(r"(?<=\d0s)\s?[-–—]\s?(?=(?:1\d|20)\d0s\b)", " to "),
    rule(r"(?<=\d0s)\s?[-–—]\s?'?(?=[1-9]0s\b)", " to '"),
    rule(r"(?<=\d\d0s) (to|and|or) '?(?=[1-9]0s\b)", r" \1 '"),
    rule(r"(?<![\w'])(1[1-9]|20)(\d0)'?s\b", _decade),
    rule(r"(?<!\w)'()([1-9]0)s\b", _decade),
    rule(rf"(?:{'|'.join(f'(?<={word})' for word in _BEFORE_A_DECADE)})()([2-9]0)s\b", _decade),
    # two 5s, 747s, F-16s
    rule(
        rf"(?:(\b(?i:{_BEFORE_SECONDS})\s|[:=~<>≈±+]\s?)|(?<![\w.,/])(?<!\d[-–])(?<!\d[hm] ))"
        rf"(0|[1-9]\d{{0,3}})s\b(?!/|\s?=| (?:{_AFTER_SECONDS})\b)",
        _numbers,
    ),
    # class of '99
    rule(r"(?<!\w)'(\d\d)(?![\w']|[.,:/-]\d)", _class_of),
)
