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
    "CHF": _FRANCS,
}
_NAMES = _CURRENCIES | _CODES
_SIGN = one_of(_CURRENCIES)
_CODE = one_of(_CODES)
_SCALE = r"(?:\s?(thousand|million|billion|trillion|bn|tn|k|K|M|B|T|m)\b)?"
_CENTS = {"penny": "pence", "paisa": "paise"}


def _amount(match: re.Match[str]) -> str:
    minus, sign, number, scale = match.groups()
    return ("minus " if minus else "") + amount(number, scale, sign)


def _amount_before_sign(match: re.Match[str]) -> str:
    return amount(match[1], match[2], match[3])


def amount(number: str, scale: str | None, currency: str) -> str:
    """Return the words for an amount: ("1,234.56", None, "$") is "one thousand two hundred thirty-four dollars and
    fifty-six cents"."""
    one, many, cent = _NAMES[currency]
    if scale:
        return f"{cardinal(number)} {SCALES[scale]} {many}"
    whole, _, decimals = number.replace(",", "").partition(".")
    if not cent or len(decimals) != 2:
        return f"{cardinal(number)} {one if number == '1' else many}"
    units = f"{cardinal(whole)} {one if whole == '1' else many}"
    cents = f"{cardinal(str(int(decimals)))} {cent if decimals == '01' else _CENTS.get(cent, f'{cent}s')}"
    if decimals == "00":
        return units
    return cents if int(whole) == 0 else f"{units} and {cents}"


def _european(match: re.Match[str]) -> str:
    """Return "1.234,56" as "1,234.56"."""
    return match[0].translate(str.maketrans(".,", ",."))


RULES = (
    rule(r"(?<=€)\d{1,3}(?:\.\d{3})+(?:,\d\d)?(?![\d,.])", _european),
    rule(r"(?<![\w.,])\d{1,3}(?:\.\d{3})+(?:,\d\d)?(?=\s?€)", _european),
    # $5-10 is "5 to $10"
    rule(rf"({_SIGN})({NUMBER})\s?[-–—]\s?(?:{_SIGN})?(?={NUMBER})", r"\2 to \1"),
    rule(rf"{START}({NUMBER})\s?[-–—]\s?(?={NUMBER}\s?(?:{_SIGN}|(?:{_CODE})\b))", r"\1 to "),
    rule(rf"(?:(?<![\w)])([-−]))?({_SIGN})\s?({NUMBER}){_SCALE}", _amount),
    rule(rf"\b()({_CODE})\s?({NUMBER}){_SCALE}", _amount),
    rule(rf"{START}({NUMBER}){_SCALE}\s?({_SIGN}|(?:{_CODE})\b)", _amount_before_sign),
    rule(rf"{START}1\s?¢", "one cent"),
    rule(rf"{START}({NUMBER})\s?¢", r"\1 cents"),
    rule(r"\b(dollars?|euros?|pounds?|yen|rupees?|cents?)\s?/\s?(?=[A-Za-z])", r"\1 per "),
)
