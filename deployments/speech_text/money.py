"""English words for amounts of money: "$1,234.56", "€5 million", "¥500", "5 USD", "99¢"."""

from __future__ import annotations

import re

from deployments.speech_text.numbers import NUMBER, SCALES, START, cardinal
from deployments.speech_text.rule import one_of, rule

# Name of the unit in singular and plural, and of its hundredth.
_DOLLARS, _EUROS, _YEN = ("dollar", "dollars", "cent"), ("euro", "euros", "cent"), ("yen", "yen", "")
_POUNDS, _YUAN, _RUPEES = ("pound", "pounds", "penny"), ("yuan", "yuan", ""), ("rupee", "rupees", "paisa")
_FRANCS = ("Swiss franc", "Swiss francs", "centime")
_CURRENCIES = {
    "$": _DOLLARS,
    "US$": ("U S dollar", "U S dollars", "cent"),
    "A$": ("Australian dollar", "Australian dollars", "cent"),
    "C$": ("Canadian dollar", "Canadian dollars", "cent"),
    "CA$": ("Canadian dollar", "Canadian dollars", "cent"),
    "AU$": ("Australian dollar", "Australian dollars", "cent"),
    "HK$": ("Hong Kong dollar", "Hong Kong dollars", "cent"),
    "NZ$": ("New Zealand dollar", "New Zealand dollars", "cent"),
    "S$": ("Singapore dollar", "Singapore dollars", "cent"),
    "R$": ("real", "reais", "centavo"),
    "€": _EUROS,
    "£": _POUNDS,
    "¥": _YEN,
    "₹": _RUPEES,
    "₩": ("won", "won", ""),
    "₽": ("ruble", "rubles", "kopeck"),
    "₿": ("bitcoin", "bitcoins", ""),
}
_CODES = {
    "USD": ("U S dollar", "U S dollars", "cent"),
    "AUD": _CURRENCIES["A$"],
    "CAD": _CURRENCIES["C$"],
    "EUR": _EUROS,
    "GBP": _POUNDS,
    "JPY": _YEN,
    "CNY": _YUAN,
    "INR": _RUPEES,
    "Rs": _RUPEES,
    "Rs.": _RUPEES,
    "HKD": _CURRENCIES["HK$"],
    "NZD": _CURRENCIES["NZ$"],
    "SGD": _CURRENCIES["S$"],
    "CHF": _FRANCS,
}
_NAMES = _CURRENCIES | _CODES
_SIGN = one_of(_CURRENCIES)
_CODE = one_of(_CODES)
_SCALE = r"(?:\s?(thousand|million|billion|trillion|bn|tn|k|K|M|B|T|m)\b)?"
# Nouns before which a price has no plural: "a $5 bill", "$1 million house", "$20-a-month".
_NOUN = (
    r"-[a-z]| (?:bills?|notes?|coins?|houses?|homes?|plan|ticket|fee|fine|gift|card|coupon|discount|budget|deal|loan|"
    r"prize|tip|deposit|grant|bonus|check|bet)\b"
)
# After "a" any other word than these is one: "a $5 monthly fee".
_NO_NOUN = r"to|or|and|in|at|on|for|if|is|was|from|than|by|with|that|you|he|she|it|we|they|I"
_ADJECTIVE = rf"(?=({_NOUN})|)(?=(/| (?!(?:{_NO_NOUN})\b)[a-z])|)"
_NUMBER = rf"({NUMBER}|(?<!\d)\.\d{{1,4}})"
_CENTS = {"penny": "pence", "paisa": "paise"}


def _amount(match: re.Match[str]) -> str:
    article, minus, sign, number, scale, noun, word = match.groups()
    words = amount(number, scale, sign, adjective=bool(noun or (article and word)))
    return (article or "") + ("minus " if minus else "") + words


def _amount_before_sign(match: re.Match[str]) -> str:
    return amount(match[1], match[2], match[3])


def _range(match: re.Match[str]) -> str:
    sign, number, scale = match.groups()
    return number + (f" {SCALES[scale]}" if scale else "") + f" to {sign}"


def amount(number: str, scale: str | None, currency: str, *, adjective: bool = False) -> str:
    """Return the words for an amount: ("1,234.56", None, "$") is "one thousand two hundred thirty-four dollars and
    fifty-six cents". As an adjective it has no plural: "five dollar"."""
    one, many, cent = _NAMES[currency]
    cents = _CENTS.get(cent, cent if adjective else f"{cent}s")
    many = one if adjective else many
    if scale:
        return f"{cardinal(number)} {SCALES[scale]} {many}"
    whole, _, decimals = number.replace(",", "").partition(".")
    if not cent or len(decimals) != 2:
        return f"{cardinal(number)} {one if number == '1' else many}"
    units = f"{cardinal(whole)} {one if whole == '1' else many}"
    parts = f"{cardinal(str(int(decimals)))} {cent if decimals == '01' else cents}"
    if decimals == "00":
        return units
    return parts if int(whole or "0") == 0 else f"{units} and {parts}"


def _european(match: re.Match[str]) -> str:
    """Return "1.234,56" as "1,234.56"."""
    return match[0].translate(str.maketrans(".,", ",."))


RULES = (
    # 1.234,56 € and 5,99 €
    rule(r"(?<=€)(?:\d{1,3}(?:\.\d{3})+(?:,\d\d)?|\d{1,4},\d\d)(?!\d|[.,]\d)", _european),
    rule(r"(?<![\w.,])(?:\d{1,3}(?:\.\d{3})+(?:,\d\d)?|\d{1,4},\d\d)(?=\s?€)", _european),
    # $5-10 is "5 to $10", $5M-$10M is "5 million to $10M"
    rule(rf"({_SIGN})({NUMBER}){_SCALE}\s?[-–—]\s?(?:{_SIGN})?(?={NUMBER})", _range),
    rule(rf"{START}({NUMBER})\s?[-–—]\s?(?={NUMBER}\s?(?:{_SIGN}|(?:{_CODE})\b))", r"\1 to "),
    rule(rf"(\b[Aa]n? )?(?:(?<![\w)])([-−]))?({_SIGN})\s?{_NUMBER}{_SCALE}{_ADJECTIVE}", _amount),
    rule(rf"()\b()({_CODE})\s?{_NUMBER}{_SCALE}{_ADJECTIVE}", _amount),
    rule(rf"{START}({NUMBER}){_SCALE}\s?({_SIGN}|(?:{_CODE})\b)", _amount_before_sign),
    rule(rf"{START}1\s?¢", "one cent"),
    rule(rf"{START}({NUMBER})\s?¢", r"\1 cents"),
    rule(r"\b(dollars?|euros?|pounds?|yen|rupees?|cents?)\s?/\s?(?=[A-Za-z])", r"\1 per "),
)
