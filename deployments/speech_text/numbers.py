"""English words for numbers: cardinals, ordinals, decimals, years, fractions, ranges, versions, telephone numbers."""

from __future__ import annotations

import re

from num2words import num2words

from deployments.speech_text.rule import rule

NUMBER = r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?"
START = r"(?<![\w.,])"  # where a number may start
MAX_DIGITS = 15  # a longer number is read digit by digit
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SCALES = {"k": "thousand", "K": "thousand", "m": "million", "M": "million", "bn": "billion", "B": "billion"}
SCALES |= {"T": "trillion", "tn": "trillion"} | {name: name for name in ("thousand", "million", "billion", "trillion")}

_YEAR = r"(?:1[1-9]|20)\d\d"
_BEFORE_A_YEAR = (
    r"(?i:in|since|by|from|until|till|of|year|after|before|around|circa|during|early|late|mid|summer|winter|spring|autumn|"
    r"fall|born|died|established|founded|built|published|dated)|"
    r"January|February|March|April|May|June|July|August|September|October|November|December"
)
# "The 1860 election"; other nouns after "the" are mostly counted or measured: "the 1500 meter race".
_OF_A_YEAR = (
    r"(?i:election|census|war|revolution|rebellion|uprising|treaty|battle|constitution|convention|conference|exhibition|"
    r"expedition|edition|novel|book|play|film|painting|essay|paper|act|law|earthquake|fire|famine|season|overture)"
)
_DENOMINATORS = {2: ("half", "halves"), 4: ("quarter", "quarters")}
_OUT_OF = (10, 100)  # "8/10" is a grade rather than a fraction, but "1/10" is a tenth
_FRACTION = r"(\d{1,3})/(\d{1,3}|1000)"


def cardinal(number: str) -> str:
    """Return the words for a number such as "1,234.5"; thousands may have commas."""
    whole, _, decimals = number.replace(",", "").partition(".")
    if len(whole) > MAX_DIGITS or (len(whole) > 1 and whole[0] == "0"):
        words = digits(whole)
    else:
        words = _plain(num2words(int(whole or "0")))
    return f"{words} point {digits(decimals)}" if decimals else words


def ordinal(number: int) -> str:
    """Return "third" for 3."""
    words = _plain(num2words(number, to="ordinal"))
    return words.removeprefix("one ") if number in (100, 1000, 10**6) else words


def year(number: int) -> str:
    """Return "nineteen ninety-nine" for 1999."""
    return _plain(num2words(number, to="year")).replace("oh-", "oh ")


def digits(number: str) -> str:
    """Return the digits as words, one by one; other characters are left out."""
    return " ".join(DIGITS[int(digit)] for digit in number if digit.isdecimal())


def pairs(number: str) -> str:
    """Return a house number as it is said: "two twenty-one" for 221, "twelve hundred" for 1200."""
    if len(number) not in (3, 4) or number[0] == "0" or number.endswith("000"):
        return cardinal(number)
    hundreds, rest = number[:-2], number[-2:]
    if rest == "00":
        return f"{cardinal(hundreds)} hundred"
    return f"{cardinal(hundreds)} {'oh ' if rest[0] == '0' else ''}{cardinal(str(int(rest)))}"


def plural(word: str) -> str:
    """Return the plural of a number's last word: "nineties", "sixes", "hundreds"."""
    return f"{word[:-1]}ies" if word.endswith("y") else f"{word}es" if word.endswith("x") else f"{word}s"


def fraction(numerator: int, denominator: int) -> str:
    """Return "three quarters", "seven out of ten" or "three over seventeen"."""
    if (denominator in _OUT_OF and numerator > 1) or 1 < numerator == denominator:
        return f"{cardinal(str(numerator))} out of {cardinal(str(denominator))}"
    if 2 <= denominator <= 16 or denominator in (32, 64) or (numerator == 1 and denominator in (100, 1000)):
        one, many = _DENOMINATORS.get(denominator) or (ordinal(denominator), plural_ordinal(denominator))
        return f"{cardinal(str(numerator))} {one if numerator == 1 else many}"
    return f"{cardinal(str(numerator))} over {cardinal(str(denominator))}"


def plural_ordinal(number: int) -> str:
    """Return "thirds" for 3."""
    return f"{ordinal(number)}s"


def _plain(words: str) -> str:
    """Return number words without commas and "and", which a voice would stumble over."""
    return words.replace(",", "").replace(" and ", " ")


def _half(match: re.Match[str]) -> str:
    return "half a" if match[1] in ("a", "an") else f"half {match[1]}"


def _mixed(match: re.Match[str]) -> str:
    part = fraction(int(match[2]), int(match[3]))
    part = "a half" if part == "one half" else part.replace("one quarter", "a quarter")
    return f"{cardinal(match[1])} and {part}"


def _fraction(match: re.Match[str]) -> str:
    return fraction(int(match[1]), int(match[2]))


def _years(match: re.Match[str]) -> str:
    last = match[2]
    return f"{year(int(match[1]))} to {year(int(last)) if len(last) == 4 else cardinal(last)}"


def _telephone(match: re.Match[str]) -> str:
    groups = re.findall(r"\d+", match[0])
    plus = "plus " if match[0].startswith("+") else ""
    return f" {plus}{', '.join(map(digits, groups))} "


def _short_telephone(match: re.Match[str]) -> str:
    return re.sub(r"\d+", lambda number: digits(number[0]), match[0]).replace("-", ", ")


def _scientific(match: re.Match[str]) -> str:
    minus = "minus " if match[2] == "-" else ""
    # Its first number stays one, as a sign may be before it.
    return f"{match[1]} times ten to the power of {minus}{cardinal(str(int(match[3])))}"


def _out_of(match: re.Match[str]) -> str:
    return f"{cardinal(match[1])} out of {cardinal(match[2])}"


def _version(match: re.Match[str]) -> str:
    name = {"v": "version ", "V": "version "}.get(match[1], "")
    return name + " point ".join(cardinal(part) for part in match[2].split("."))


def _network_address(match: re.Match[str]) -> str:
    return " dot ".join(digits(part) for part in match[0].split("."))


def _house_number(match: re.Match[str]) -> str:
    return f"{pairs(match[1])} {match[2]}".strip()


def _ordinal(match: re.Match[str]) -> str:
    number = match[1].replace(",", "")
    return ordinal(int(number)) if len(number) <= MAX_DIGITS else digits(number)


def _year(match: re.Match[str]) -> str:
    return year(int(match[1]))


def _year_after(match: re.Match[str]) -> str:
    return f"{match[1]}{match[2]}{year(int(match[3]))}"


def _between_years(match: re.Match[str]) -> str:
    return f"{match[1]}{year(int(match[2]))}{match[3]}{year(int(match[4]))}"


def _scaled(match: re.Match[str]) -> str:
    return f"{cardinal(match[1])} {SCALES[match[2].strip()]}"


def _number(match: re.Match[str]) -> str:
    return f" {cardinal(match[0])} "


# A plural noun after a number: "1984 people" are counted, in "1984 was" it is a year.
_COUNTED = (
    r"\s+(?!(?:was|is|has|as|this|his|its|us|plus|minus|times|does|always|perhaps|unless)\b)"
    r"(?:[a-z]+s|people|men|women|children|feet)\b"
)

_NOT_COUNTED = rf"(?![\w%]|[.,]\d|-\d|{_COUNTED})"
_STREET = r"St|Street|Ave|Avenue|Rd|Road|Blvd|Boulevard|Dr|Drive|Ln|Lane|Way|Court|Place|Square"

_EQUALS = r"\s?=(?!=)"

# Before dates and units, which have slashes and hyphens of their own.
GROUPS = (
    # 192.168.0.1
    rule(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.]*\d)", _network_address),
    # +1 (555) 123-4567, 555-123-4567, 555.867.5309, (555) 123-4567
    rule(r"(?<![\w+])\+\d{1,3}(?:[ .-]?\(?\d{1,4}\)?){2,5}(?!\w)", _telephone),
    rule(r"(?<![\w-])(?:1[ .-])?(?:\(\d{3}\) ?|\d{3}[ .-])\d{3}[ .-]\d{4}(?![\w-])", _telephone),
    # 020 7946 0958; the number of a card
    rule(r"(?<![\w.,-])0[1-9]\d{0,3}(?: \d{2,4}){2,4}(?![\w-]|[.,]\d)", _telephone),
    rule(r"(?<![\w.,-])\d{4}(?: \d{4}){3}(?![\w-]|[.,]\d| \d)", _telephone),
    # Without an area code: American examples begin with 555, other numbers may be a range.
    rule(r"\b(?:(?:[Pp]hone|[Tt]el\.?|[Nn]umber|at|[Cc]all|[Dd]ial)[ :]+\d{3}|555)-\d{4}(?![\w-])", _short_telephone),
    rule(rf"\b(?:[Cc]all|[Dd]ial) \d{{3}}(?: or \d{{3}})?(?![\w-]|{_COUNTED})", _short_telephone),
    rule(r"\b911(?= (?:emergency|call|operator|dispatch))", _short_telephone),
    # v1.2, Python 3.11.4
    rule(r"(?<![\w.])([vV])(\d{1,6}(?:\.\d{1,6}){0,3})(?!\w)", _version),
    rule(r"(?<![\w.,])()(\d{1,6}(?:\.\d{1,6}){2})(?![\w.]*\d)", _version),
    # 221B Baker St.
    rule(rf"(?<![\w.,])(\d{{3,4}})([A-Z]?)(?= (?:[A-Z][a-z]{{1,20}} ){{1,3}}(?:{_STREET})\b)", _house_number),
    # 123-45-6789: neither a range nor a date
    rule(rf"(?<![\w-])\d{{1,6}}(?:-\d{{1,6}}){{2,6}}(?![\w-]|{_EQUALS})", _telephone),
    # 6.022e23, 1.5e-10; 59362e5 and 1E12 may be a part of a hash
    rule(r"(?<![\w.,])(?!\d+E\d)([1-9]\d?|\d\.\d{1,15})[eE]([+-]?)(\d{1,3})(?!\w|\.\d)", _scientific),
)

# "5-10 km" is "5 to 10 km": the unit is read later.
RANGES = (
    # 10-5=5 is no range
    rule(rf"(?<=\d)[-–](?=(?:{NUMBER}[-–+*/]){{0,4}}{NUMBER}{_EQUALS})", " minus "),
    rule(rf"(?<![\w.,-])({_YEAR})\s?[-–—]\s?({_YEAR}|\d\d)(?![\w-]|[.,]\d)", _years),
    rule(rf"{START}({NUMBER})[-–—](?={NUMBER}(?!\w*-))", r"\1 to "),
    rule(rf"{START}({NUMBER}) – (?=\d)(?![^=]{{0,80}}=)", r"\1 to "),
)

FRACTIONS = (
    rule(r"\b24/7\b", "twenty-four seven"),
    rule(r"\b9/11\b", "nine eleven"),
    rule(r"\b20/20\b", "twenty twenty"),
    rule(r"(?<![\w./,])1/2\s+(a|an|the|of)\b(?![./])", _half),
    rule(rf"(?<![\w./,])(\d{{1,3}})[ -]{_FRACTION}(?![\w/]|[.,]\d)", _mixed),
    rule(r"(?<![\w./,])50/50(?![\w/]|[.,]\d)", "fifty fifty"),
    # 4/5 stars, 4.5/5
    rule(r"(?<![\w./,])(\d)/(5)(?= stars?\b)", _out_of),
    rule(r"(?<![\w./,])(\d{1,3}\.\d{1,2})/(4|5|10|20|100)(?![\w/]|[.,]\d)", _out_of),
    rule(rf"(?<![\w./,]){_FRACTION}(?![\w/]|[.,]\d)", _fraction),
)

# What is left once all kinds with a sign, a unit or a name have been read.
PLAIN = (
    # F-16, 4-year
    rule(r"(?<=[A-Za-z])-(?=\d)|(?<=\d)-(?=[A-Za-z])", " "),
    rule(r"(?<![\w.])(\d{1,3}(?:,\d{3})+|\d+)(?:st|nd|rd|th)\b", _ordinal),
    # "4K" and "i7-12700K" are names.
    rule(
        rf"{START}(?!(?<=\w-)\d+K)({NUMBER})"
        r"( ?(?:thousand|million|billion|trillion|bn|tn)|(?:(?<=[\d.]\d)K|k|M))\b",
        _scaled,
    ),
    rule(rf"\b((?i:from|between) )({_YEAR})( (?:to|and|until|till|through) )({_YEAR}){_NOT_COUNTED}", _between_years),
    rule(rf"(\b(?:{_BEFORE_A_YEAR})\b|\()(\s*)({_YEAR}){_NOT_COUNTED}(?! (?:to|or) \d{{3,5}}{_COUNTED})", _year_after),
    rule(rf"((?i:\bthe))(\s)({_YEAR})(?=\s{_OF_A_YEAR}\b)", _year_after),
    rule(rf"(?<![\w.,])({_YEAR})(?=\s*(?:BCE?|CE|AD)\b)", _year),
    rule(
        rf"(?<![\w.,-])(?<!plus )(?<!minus )(?<!times )(?<!equals )((?:19|20)\d\d){_NOT_COUNTED}",
        _year,
    ),
    rule(r"(?<!\d)\.(?=\d)", " point "),
    rule(NUMBER, _number),
)
