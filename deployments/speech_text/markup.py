"""Markdown and HTML, line by line: what is read aloud of a line, and which lines are not read.

Links are read by their text, pictures by their description, code without its quotes. Code blocks are left out: they
are for the eye. A row of a table is read as a list of its cells.
"""

from __future__ import annotations

import html
import re

from deployments.speech_text import formulas
from deployments.speech_text.characters import undecorated
from deployments.speech_text.rule import apply, listed, one_of, rule

_FENCE = re.compile(r"\s{0,3}(?:`{3,}|~{3,})[^`]*$")
_RULE = re.compile(r"[\s|:=_*-]*")  # a horizontal rule, the line under a heading, the second line of a table
_TAGS = one_of(
    listed(
        """a abbr b blockquote br center code dd del details div dl dt em font h1 h2 h3 h4 h5 h6 hr i img ins kbd
        li mark ol p pre q s small span strike strong sub summary sup table tbody td th thead tr u ul"""
    )
)
# With attributes or without: "a<b and c>d" is none.
_TAG = rf"</?(?:{_TAGS})(?:\s{{1,5}}[\w:-]{{1,40}}=[^<>]{{0,500}}|\sopen)?\s?/?>"

_COMPARED = r"\s+[$€£-]?\.?\d+(?!\d|[.)]\s)"  # "> 10" is no quotation, but "> 1. First" is
# At the start of a line: headings, list items, quotations, check boxes.
_LINE_MARKS = (
    rule(r"^\s*>>>\s", ""),  # the prompt of Python
    rule(rf"^\s*(?:(?:#{{1,6}}|[-*+•]|>(?!{_COMPARED}))\s+|>(?=[A-Za-z\"*_]))+", ""),
    rule(r"^\[[ xX]\]\s+", ""),
    rule(r"^\[\^?[^\]]{1,50}\]:\s.*", ""),  # the definition of a link or a footnote
    rule(r"\s#+\s*$", ""),
)
_INLINE = (
    rule(r"<!--.*?-->", ""),
    rule(r"<br\s?/?>", ", ", re.IGNORECASE),
    rule(r"<sup>(\d{1,3})</sup>", r"^\1", re.IGNORECASE),
    rule(_TAG, "", re.IGNORECASE),
    rule(r"!?\[([^\[\]]*)\]\([^()\s]*(?:\([^()\s]*\)[^()\s]*)?(?:\s\"[^\"]*\")?\)", r"\1"),
    rule(r"\[\^[^\[\]\s]{1,50}\]", ""),
    rule(r"(?<!\w)\[([^\[\]]+)\]\[[^\[\]]*\]", r"\1"),
    rule(r"<((?:https?://|mailto:)[^<>\s]+)>", r"\1"),
    *formulas.RULES,
    rule(r"\\([\\`*_{}\[\]()#+.!|~%$&-])", r"\1"),
    rule(r"(?<=\d)\s?[★⭐]", " stars"),
    rule(r" \| ", ", "),
)
# The marks themselves. A star or an underscore between letters or digits is none: 3*4, snake_case.
_EMPHASIS = (
    rule(r"`+", ""),
    rule(r"(?<![A-Za-z0-9])\*+(?=\S)|(?<=[^\s*])\*+(?![A-Za-z0-9*])", ""),
    rule(r"(?<![A-Za-z0-9])_+(?=\S)|(?<=[^\s_])_+(?![A-Za-z0-9_])", ""),
    rule(r"~~", ""),
)
_CODE = re.compile(r"(?<!`)(`{1,3})([^`]{1,500})\1")
# The brackets of a tag or of a type in code: "<div>", "Vec<String>".
_ANGLES = re.compile(r"<(/?[A-Za-z][\w.:-]{0,50}(?:, ?[A-Za-z]\w{0,50}){0,5}(?:\s[\w:-]{1,40}=[^<>]{0,200})?)\s?/?>")
# Other signs of code are hidden from the rules of tags and formulas.
_IN_CODE = str.maketrans(dict.fromkeys("(){}[]\"';", " ") | {"<": "&lt;", ">": "&gt;", "\\": "&#92;"})
_SPACES = re.compile(r"\s+")
_SAID_SIGNS = "&@#%+=<>$€£¥°∞"


def is_fence(line: str) -> bool:
    """Return whether a line begins or ends a block of code."""
    return _FENCE.match(line) is not None


def is_row(line: str) -> bool:
    """Return whether a line, or the beginning of one, is a row of a table."""
    return line.lstrip().startswith("|")


def plain(text: str, *, line_start: bool = False) -> str:
    """Return a line, or a part of one, without markup, emoji and control characters; empty if nothing of it is said."""
    if line_start:
        if _RULE.fullmatch(text):
            return ""
        text = _row(text) if is_row(text) else apply(_LINE_MARKS, text)
    text = _CODE.sub(lambda match: _ANGLES.sub(r" \1 ", match[2]).translate(_IN_CODE), text)
    text = html.unescape(apply(_EMPHASIS, apply(_INLINE, text)))
    text = _SPACES.sub(" ", undecorated(text)).strip()
    return text if any(character.isalnum() or character in _SAID_SIGNS for character in text) else ""


def _row(line: str) -> str:
    return ", ".join(filter(None, (cell.strip() for cell in line.split("|"))))
