"""A rule of the normaliser: what a pattern matches is replaced."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

Replacement = str | Callable[[re.Match[str]], str]


class Rule(NamedTuple):
    """A pattern and its replacement, as for ``re.sub``. A function may return the match itself to leave it."""

    pattern: re.Pattern[str]
    replacement: Replacement


def rule(pattern: str, replacement: Replacement, flags: int = 0) -> Rule:
    """Return a rule. Its pattern must take linear time: no repetition begins where another may end."""
    return Rule(re.compile(pattern, flags), replacement)


def apply(rules: Iterable[Rule], text: str) -> str:
    """Return the text after all rules, in order."""
    for pattern, replacement in rules:
        text = pattern.sub(replacement, text)
    return text


def listed(words: str) -> frozenset[str]:
    """Return the words of a text."""
    return frozenset(words.split())


def one_of(words: Iterable[str]) -> str:
    """Return a pattern that matches any of ``words``, the longest first."""
    return "|".join(map(re.escape, sorted(words, key=len, reverse=True)))
