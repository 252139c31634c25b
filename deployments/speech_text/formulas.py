"""Formulas of LaTeX, written with Unicode's signs and in words, so that the later rules can read them."""

from __future__ import annotations

from deployments.speech_text.rule import listed, one_of, rule
from deployments.speech_text.symbols import GREEK

_SIGNS = {
    "times": "×", "cdot": "·", "div": "÷", "pm": "±", "mp": "∓", "approx": "≈", "cong": "≅", "equiv": "≡", "neq": "≠",
    "ne": "≠", "leq": "≤", "le": "≤", "geq": "≥", "ge": "≥", "lt": "<", "gt": ">", "infty": "∞", "to": "→",
    "rightarrow": "→", "longrightarrow": "→", "mapsto": "→", "leftarrow": "←", "leftrightarrow": "↔",
    "Rightarrow": "⇒", "implies": "⇒", "Leftrightarrow": "⇔", "iff": "⇔", "in": "∈", "notin": "∉", "cup": "∪",
    "cap": "∩", "subset": "⊂", "subseteq": "⊂", "emptyset": "∅", "varnothing": "∅", "forall": "∀", "exists": "∃",
    "land": "∧", "wedge": "∧", "lor": "∨", "vee": "∨", "neg": "¬", "propto": "∝", "partial": "∂", "sum": "∑",
    "prod": "∏", "int": "∫", "therefore": "∴", "because": "∵", "degree": "°",
}  # fmt: skip
_WORDS = {
    "sin": "sine", "cos": "cosine", "tan": "tangent", "arcsin": "arc sine", "arccos": "arc cosine",
    "arctan": "arc tangent", "ln": "natural log", "lim": "limit", "max": "maximum", "min": "minimum",
    "nabla": "nabla", "angle": "angle", "perp": "perpendicular to", "parallel": "parallel to", "prime": "prime",
    "ldots": "dot dot dot", "cdots": "dot dot dot", "dots": "dot dot dot", "hbar": "h bar", "ell": "l",
}  # fmt: skip
_READ = listed("log exp det gcd mod")
# Size and space only: "\left(", "\quad".
_UNSAID = listed("left right big Big bigg Bigg quad qquad displaystyle limits")
_GREEK = {name: letter for letter, name in GREEK.items() if letter != "ς"}
_GREEK |= {name.capitalize(): letter.upper() for name, letter in _GREEK.items()}
_GREEK |= {"varepsilon": "ε", "varphi": "φ", "vartheta": "θ"}
_NAMES = (
    _SIGNS
    | _GREEK
    | {name: f" {words} " for name, words in _WORDS.items()}
    | {name: f" {name} " for name in _READ}
    | dict.fromkeys(_UNSAID, " ")
)
_BOUNDED = {"sum": "sum", "prod": "product", "int": "integral"}

_GROUP = r"\{([^{}]{1,200})\}"  # the innermost ones; what is around them is read in the next round
_BOUND = r"(\{[^{}]{1,60}\}|\\?[A-Za-z]{1,12}|\d)"
_ROUNDS = 4
_GROUPS = (
    rule(rf"\\[dtc]?frac{_GROUP}{_GROUP}", r" \1 over \2 "),
    rule(r"\\[dtc]?frac\s?(\d)(\d)", r" \1/\2 "),
    rule(rf"\\[dt]?binom{_GROUP}{_GROUP}", r" \1 choose \2 "),
    rule(rf"\\sqrt\[(\w{{1,2}})\]{_GROUP}", r" \1th root of \2 "),
    rule(rf"\\sqrt{_GROUP}", r" √ \1 "),
    rule(r"\^\{(-?\d{1,3})\}", r"^\1"),
    rule(rf"\^{_GROUP}", r" ^ \1 "),
    rule(rf"(?<=\S)_{_GROUP}", r" \1 "),
    rule(rf"\\(?![dtc]?frac|[dt]?binom|sqrt)[A-Za-z]{{2,20}}{_GROUP}", r" \1 "),  # \text, \mathbf, \boxed
)

RULES = (
    # What is around a formula. A dollar sign is also one of money and of a variable: "$5 and $6", "$HOME".
    rule(r"\\[()\[\]]|\$\$", " "),
    rule(r"(?<![\w$\\])\$(?=[^$]{0,200}[\\^_=])([^$]{1,200})\$(?!\d)", r"\1"),
    rule(r"(?<![\w$\\])\$([A-Za-z(|](?:[^$]{0,200}[^$\s])?)\$(?!\w)", r"\1"),
    rule(r"\\(?:begin|end)\{[A-Za-z]{1,20}\*?\}", " "),
    rule(r"(?<=\s)\\\\(?=\s|$)", ", "),
    rule(r"&(?=\s?(?:[=≤≥]|\\[a-z]))", " "),  # where lines are aligned
    rule(r"\\[,;:]", " "),
    rule(r"\^\s?\{?\s?\\circ(?![A-Za-z])\s?\}?", "°"),
    rule(
        rf"\\({one_of(_BOUNDED)})(?:\\limits)?_{_BOUND}\s?\^{_BOUND}",
        lambda match: f" {_BOUNDED[match[1]]} from {match[2].strip('{}')} to {match[3].strip('{}')} of ",
    ),
    rule(r"\\lim_\{([^{}]{1,60})\}", r" limit as \1 of "),
    rule(rf"\\({one_of(_NAMES)})(?![A-Za-z])", lambda match: _NAMES[match[1]]),
    rule(r"\{\s?-(?!\d)", "{−"),  # {-b
    *(_GROUPS * _ROUNDS),
    rule(r"\\?[{}]", " "),
    # Any other command; "C:\Users\me" has none.
    rule(r"(?<![\w:.\\])\\[A-Za-z]{2,20}(?![\w\\])", " "),
)
