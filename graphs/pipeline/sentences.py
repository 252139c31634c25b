"""Split a stream of text into sentences that a voice can speak. Pure and incremental, one character at a time.

Segmenters such as pysbd or spaCy's sentencizer need the whole text, so that the voice could start only when the answer
is complete. Here a sentence is returned as soon as the first character after it is known. The result does not depend on
how the text is divided into deltas.

In doubt, two sentences stay together: a missing pause disturbs less than a pause in the middle of "J. Smith". Only
English abbreviations are known. Markdown is removed here, where its blocks are known; the words for all else are found
by the replica, which knows its voice (``deployments.speech_text.spoken``).
"""

from __future__ import annotations

import re

from deployments.speech_text import abbreviations, markup
from deployments.speech_text.dates import SHORT_MONTHS

TERMINATORS = ".!?…"
FULL_WIDTH = "。！？"  # terminators that no space follows
CLOSERS = "\"'”’»)]}*_`"
CLAUSE_MARKS = ",;:—–"

MAX_BUFFER = 2000  # characters of a sentence with the addresses in it

NEVER_LAST = abbreviations.TITLES.keys() | abbreviations.INSIDE.keys()
BEFORE_A_DIGIT = {*abbreviations.REFERENCES, "apt", *map(str.lower, SHORT_MONTHS)}
AFTER_A_FACTORIAL = "=×÷≈≤≥"
LINE_MARKS = " \t#*_>+-"  # before the number of a list: "### 1. First", "**1. First**"

_LAST_WORD = re.compile(r"([^\s,;:(\[\"“]+)$")
_SPELLING = re.compile(r"\b[^\W\d_],\s[^\W\d_]$")
_ADDRESS = re.compile(r"(?:\]\(|https?://|www\.)[!-'*-~]*")
_LINK_TEXT = re.compile(r"\[[^\[\]]*(?:\]\(|$)")


class Sentences:
    """Collects text and returns complete sentences of at most ``limit`` characters, without their addresses.

    The first sentence may end at a comma from ``first_clause`` characters on, so that the voice starts before a long
    sentence is complete.
    """

    def __init__(self, *, limit: int = 240, first_clause: int = 60) -> None:
        self._limit = limit
        self._first_clause = first_clause
        self._buffer = ""
        self._at_line_start = True  # the buffer begins with the line
        self._in_code = False
        self._has_sentence = False

    def feed(self, text: str) -> list[str]:
        """Return the sentences that this text completes."""
        whole: list[str] = []
        for character in text:
            if cut := self._cut(character):
                whole += self._take(cut)
            if character == "\n":
                self._at_line_start = True
            else:
                self._buffer += character
        return whole

    def finish(self) -> list[str]:
        """Return the rest of the text, at its end."""
        return self._take(len(self._buffer))

    def _cut(self, following: str) -> int:
        """Return the length of the sentence in the buffer, given the next character; 0 if it is not complete."""
        buffer = self._buffer
        if not buffer:
            return 0
        if following == "\n":
            return len(buffer)
        if not self._is_whole_line():
            if buffer[-1] in FULL_WIDTH and following not in CLOSERS + FULL_WIDTH:
                return len(buffer)
            if buffer[-1].isspace() and not following.isspace() and self._ends(buffer.rstrip(), following):
                return len(buffer)
        return _best_cut(buffer) if self._is_too_long(buffer) else 0

    def _is_too_long(self, text: str) -> bool:
        """Return whether text must be cut; addresses do not count: the address of a link is not said, nor is a long
        path, and the rest of an address that is cut would be read as text."""
        if len(text) < self._limit or len(text) >= MAX_BUFFER:
            return len(text) >= self._limit
        return len(_ADDRESS.sub("", text)) >= self._limit

    def _is_whole_line(self) -> bool:
        """Return whether the buffer belongs to a line that is only known as a whole: of code, of a table."""
        if self._in_code:
            return True
        return self._at_line_start and (markup.is_row(self._buffer) or markup.is_fence(self._buffer))

    def _ends(self, text: str, following: str) -> bool:
        if text.rfind("[") > text.rfind("]"):  # within the text of a link
            return False
        return _ends_sentence(text, following) or self._ends_first_clause(text)

    def _ends_first_clause(self, text: str) -> bool:
        if self._has_sentence or len(text) < self._first_clause or text[-1] not in CLAUSE_MARKS:
            return False
        # A short last word may be an item of an enumeration ("a, b, c").
        return len(_last_word(text[:-1])) > 2

    def _take(self, length: int) -> list[str]:
        text, self._buffer = self._buffer[:length], self._buffer[length:].lstrip()
        at_line_start, self._at_line_start = self._at_line_start, False
        if at_line_start and markup.is_fence(text):
            self._in_code = not self._in_code
            return []
        sentence = "" if self._in_code else markup.plain(text, line_start=at_line_start)
        if not sentence:
            return []
        self._has_sentence = True
        return [sentence]


def _ends_sentence(text: str, following: str) -> bool:
    """Return whether a sentence ends with ``text``, given that a space and ``following`` come next."""
    bare = text.rstrip(CLOSERS)
    if not bare or bare[-1] not in TERMINATORS:
        return False
    goes_on = following.islower()
    if bare != text and goes_on:  # "Really?" she said
        return False
    if bare.endswith(("...", "…")):
        return not goes_on
    if bare[-1] != ".":
        return following not in AFTER_A_FACTORIAL
    return _period_ends(bare[:-1], following)


def _period_ends(text: str, following: str) -> bool:
    """Return whether a full stop after ``text`` ends a sentence, not an abbreviation, an initial or a list number."""
    word = _last_word(text)
    small = word.lower()
    if abbreviations.is_unit(text):
        return not (following.islower() or following.isdigit())
    if not word or small in NEVER_LAST or (small in BEFORE_A_DIGIT and following.isdigit()):
        return False
    if small in abbreviations.AMBIGUOUS and not abbreviations.is_street(text[: -len(word)]):
        return False
    if small in abbreviations.OFTEN_LAST or small in abbreviations.AMBIGUOUS:
        return not (following.islower() or following == "(")
    if text.strip(LINE_MARKS).isdigit():  # a list number: "1. First"
        return False
    if len(word) == 1 and word.isalpha():  # an initial, unless it is the word "I" or part of a spelling ("..., I, S.")
        return word == "I" or _SPELLING.search(text) is not None
    return not ("." in word and all(len(part) == 1 for part in word.split(".")))  # U.S.


def _last_word(text: str) -> str:
    found = _LAST_WORD.search(text)
    return found.group(1) if found else ""


def _best_cut(text: str) -> int:
    """Return where to cut text that is too long: after its last clause, else at its last space, else at its end.

    The text of a link stays together, as its address is recognized only after it.
    """
    links = [match.span() for match in _LINK_TEXT.finditer(text)]
    spaces = [at for at in range(len(text) // 2, len(text)) if text[at].isspace()]
    spaces = [at for at in spaces if not any(start < at < end for start, end in links)] or spaces
    clauses = [at for at in spaces if text[at - 1] in CLAUSE_MARKS]
    return max(clauses or spaces or [len(text)])
