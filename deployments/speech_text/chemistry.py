"""Chemical formulas: "H2SO4" is spelled, as "SO" is no word in it; "Fe²⁺" has a charge, not a power."""

from __future__ import annotations

import re

from deployments.speech_text.letters import spelled
from deployments.speech_text.rule import listed, one_of, rule

_ELEMENTS = listed(
    """H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr Rb Sr Y Zr
    Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La W Re Os Ir Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Th U Pu"""
)
_ATOMS = rf"(?:{one_of(_ELEMENTS)})[\d₀-₉]{{0,2}}"
_PART = rf"(?:{_ATOMS}|\((?:{_ATOMS}){{1,4}}\)[\d₀-₉]{{0,2}})"
_SYMBOL = re.compile(r"([A-Z][a-z]?)")


def _formula(formula: str) -> str:
    """Return the symbols apart; a number stays beside its symbol, so that it has no unit: "H2 S O4"."""
    return _SYMBOL.sub(lambda match: f" {match[1] if len(match[1]) == 1 else spelled(match[1])}", formula)


def _compound(match: re.Match[str]) -> str:
    return f"{_formula(match[0])} "


def _charged(match: re.Match[str]) -> str:
    formula, number, sign = match.groups()
    charge = " ".join(filter(None, (number.translate(_TO_PLAIN), "plus" if sign in "⁺+" else "minus")))
    return f"{_formula(formula or '')} {charge} "


_TO_PLAIN = str.maketrans("²³⁴", "234")

# Before superscripts become powers. "10⁻³" has no charge.
CHARGES = (rule(rf"(?:(?<![A-Za-z])({_PART}{{1,6}}))?([²³⁴]?)([⁺⁻])(?![⁰¹²³⁴⁵⁶⁷⁸⁹])", _charged),)
# With a plain sign only common ions: "OH-", "Ca2+".
_IONS = "Cl|Br|OH|NO3|HCO3|Na|Li|NH4|H3O|(?:Ca|Mg|Fe|Zn|Cu)(?=2)|(?:Al|Fe)(?=3)"
# Two symbols at least and a number. Four capital letters before the only number are a name: "CHIP8".
RULES = (
    rule(rf"(?<!\w)({_IONS})([23]?)([+−-])(?![\w+−-])", _charged),
    rule(rf"(?<![A-Za-z])(?=[A-Za-z()]{{1,12}}\d)(?![A-Z]{{4,}}\d*\b){_PART}{{2,8}}(?![A-Za-z\d])", _compound),
)
