"""English words for signs: mathematics, comparison, arrows, Greek letters, code."""

from __future__ import annotations

import re

from deployments.speech_text.rule import rule

GREEK = {
    "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "epsilon", "ζ": "zeta", "η": "eta", "θ": "theta",
    "ι": "iota", "κ": "kappa", "λ": "lambda", "μ": "mu", "ν": "nu", "ξ": "xi", "ο": "omicron", "π": "pi", "ρ": "rho",
    "σ": "sigma", "ς": "sigma", "τ": "tau", "υ": "upsilon", "φ": "phi", "χ": "chi", "ψ": "psi", "ω": "omega",
}  # fmt: skip
_GREEK_WORD = "\u0370-\u03ff\u1f00-\u1fff"
_POWERS = {"2": " squared ", "3": " cubed "}
_WORDS = {
    "&": "and", "@": "at", "%": "percent", "+": "plus", "=": "equals", "×": "times", "÷": "divided by", "·": "times",
    "−": "minus", "⋅": "times", "±": "plus or minus", "∓": "minus or plus", "≈": "approximately equals",
    "≅": "approximately equals", "≃": "approximately equals", "≠": "is not equal to", "≤": "is at most",
    "≥": "is at least", "≡": "is identical to", "∞": "infinity", "√": "square root of", "∑": "sum of",
    "∏": "product of", "∫": "integral of", "∂": "partial", "∆": "delta", "∈": "in", "∉": "not in", "∪": "union",
    "∩": "intersection", "⊂": "subset of", "∅": "empty set", "∀": "for all", "∃": "there exists", "∧": "and",
    "∨": "or", "¬": "not", "∝": "proportional to", "→": "to", "←": "from", "↔": "to and from", "⇒": "implies",
    "⇔": "if and only if", "↑": "up", "↓": "down", "§": "section", "©": "copyright", "$": "dollar", "€": "euro",
    "£": "pound", "¥": "yen", "¢": "cent", "°": "degrees", "#": "hash", "^": "to the power of", "\\": "backslash",
    "‰": "per mille", "∴": "therefore", "∵": "because",
}  # fmt: skip

_LENGTH = r"(?:mm|cm|m|km|in|ft|yd|px|inch(?:es)?|feet|meters?)\b"

# Letters whose sign belongs to their name.
NAMES = (
    rule(r"\b([CcFJ])#(?!\w)", r"\1 sharp"),
    rule(r"\b([CcGg])\+\+(?![\w+])", r"\1 plus plus"),
    rule(r"\.NET\b", " dot net"),
    rule(r"\b([A-Z])\*(?!\w)", r"\1 star"),
)


def _power(match: re.Match[str]) -> str:
    minus, number = match.groups()
    if not minus and number in _POWERS:
        return _POWERS[number]
    return f" to the power of {'minus ' if minus else ''}{number} "


def _greek(match: re.Match[str]) -> str:
    return f" {GREEK[match[0].lower()]} "


def _over(match: re.Match[str]) -> str:
    return " over ".join(filter(None, match.groups()))


def _sign(match: re.Match[str]) -> str:
    return f" {_WORDS[match[0]]} "


# Before units: a sign in front of a number.
SIGNED = (
    rule(r"(?<!\w)#\s?(?=\d)", "number "),
    rule(r"(?<![\w)])[-−](?=\.?\d)", "minus "),
    rule(r"(?<![\w~])~\s?(?=\d)", "about "),
    rule(r"(?<![\w)=] )(?<![\w)])≈\s?(?=\d)", "about "),
)

# Before ranges and units. A hyphen is a minus beside a power, a letter and a number, or what is equal to something.
MATHEMATICS = (
    # b^2-4ac, x-1, (x-y)
    rule(r"(?<=\^\d) ?[-–] ?(?=[\w(])|(?<=\b[a-z])[-–](?=\d)|(?<=\([a-z])[-–](?=[a-z]\))", "−"),
    # x = a - b, x = a-b, y = -x, (-b ± ...; "mode = on-off" has none
    rule(r"(= ?[^\W_]{1,3} )[-–](?= [^\W_]{1,3}\b)", r"\1−"),
    rule(r"(= ?\d{0,3}[a-z])[-–](?=\d{0,3}[a-z]\b)", r"\1−"),
    rule(r"(?<==)( ?)-(?=[a-z]\b)", r"\1−"),
    rule(r"(?<=\()-(?=[a-z] ?[±+*/^×])", "−"),
    # 10 m x 20 m, 10 x 12 ft
    rule(rf"(?<=\d)( ?{_LENGTH}) ?[x×] ?(?=\d)", r"\1 by "),
    rule(rf"(?<=\d) ?[x×] ?(?=\d{{1,6}}(?:\.\d{{1,3}})?[ -]?{_LENGTH})", " by "),
    # 5 N/kg, 8 l/100 km
    rule(r"(?<=\d )N/(?=(?:kg|m|C)\b)", "newtons per "),
    rule(r"(?<=\d)( ?[A-Za-zµμ]{1,4})/(?=\d{1,6} ?[A-Za-z])", r"\1 per "),
)

# After units, which have powers of their own.
BESIDE_DIGITS = (
    rule(r"(?<=\d{3})\s?[x×]\s?(?=\d{3})", " by "),
    rule(r"(?<=[\d)])\s?[*×]\s?(?=[\d(])", " times "),
    rule(r"(?<=\d) x (?=\d)|(?<=\d)x(?=\d{1,9} ?=)", " times "),
    rule(r"(?<=\d)x(?=\d)", " by "),
    # Numbers with a slash are often a list: "14 / 19".
    rule(r"(?<=\)) ?/ ?(?=[\d(])|(?<=\d) / (?=\d{1,9}(?:\.\d{1,9})? ?[=≈])", " divided by "),
    rule(r"(?<=\d)!(?= ?[=/×*+)−])|(?<=\b[a-z])!(?= ?[=/×*+)])", " factorial "),
    rule(r"(?<=\d)[x×](?= [a-z]{2})", " times"),
    rule(r"(?<=\d[a-z]) [-−] (?=[\w(])|(?<=\b[a-z]) [-−] (?=\d)", " minus "),
    rule(r"(?<=[\d)])\s[-−]\s(?=[\d(])|(?<=\d) – (?=\d)|(?<=[\w)])−(?=[\w(])", " minus "),
    rule(r"(?<=[\w)])\^\(?(-?)(\d{1,3})\)?", _power),
)

RULES = (
    rule(r"<=>|<->", " ↔ "),
    rule(r"(?<!<)-{1,2}>", " → "),
    rule(r"<-{1,2}(?!>)(?!\d)", " ← "),
    rule(r"=>", " ⇒ "),
    rule(r"<=", " ≤ "),
    rule(r">=", " ≥ "),
    rule(r"!=|=/=|<>", " ≠ "),
    rule(r"={2,3}(?!=)", " = "),
    rule(r"\s{2,}", " "),
    rule(r"&&", " and "),
    rule(r"\|\|", " or "),
    rule(r"(?<=[\w)])\s?[≤≥]", lambda match: " is at most" if match[0][-1] == "≤" else " is at least"),
    rule(r"[≤≥]", lambda match: " at most " if match[0] == "≤" else " at least "),
    rule(r"(?<=[\w)])\s?<(?!<)", " is less than "),
    rule(r"(?<=[\w)])\s?>(?!>)", " is greater than "),
    rule(r"<", " less than "),
    rule(r">", " greater than "),
    rule(r"(?<!\w)#(?=[A-Za-z])", "hashtag "),
    rule(r"(?<!\w)@(?=\w)", "at "),
    rule(r"_+", " "),
    # print("hello"), word(s)
    rule(r"(?<=\w)\(s\)", "s"),
    rule(r"(?<=\w)\(([^()]{0,100})\)", r" \1 "),
    # a/b = c, v = d/t, dy/dx
    rule(r"\b(d?[a-z])\s?/\s?(d?[a-z])(?=\s?=)|(?<== )([a-z])\s?/\s?([a-z])\b|\b(d[a-z]?)/(d[a-z])\b", _over),
    rule(r"(?<=[A-Z])/(?=[A-Z])", " "),
    rule(r"\b(and)/(or)\b", r"\1 \2"),
    rule(r"(?<=[A-Za-z])\s?/\s?(?=[A-Za-z])", " or "),
    rule(r"(?<=[\w)])\s?/\s?(?=[\w(])", " slash "),
    rule(r"\s[-–]{1,3}\s", ", "),
    # main.py, text.lower()
    rule(r"(?<=[A-Za-z_\d])\.(?=[a-z_])", " dot "),
    rule(r"(?<=[\w)])\s?\*\s(?=[\w(])", " times "),
    # 2πr, Δx; a Greek word is not read
    rule(rf"(?<![{_GREEK_WORD}])[α-ωΑ-Ω](?![{_GREEK_WORD}])", _greek),
    rule("|".join(map(re.escape, _WORDS)), _sign),
)
