"""A stream of tokens to sentences that a voice can speak: pure, incremental, one character at a time.

Segmenters from the registry (pysbd, spaCy's sentencizer) want the whole text and look ahead without bound, so a
sentence would be known only when the answer is complete. Here a sentence is given away as soon as the first character
after it is seen. Since every decision depends on the characters alone, it makes no difference how they were chunked.

When in doubt two sentences stay together: a pause too few is heard less than one in the middle of "J. Smith".
It does not know other languages' abbreviations, nor how a number or a symbol is pronounced; the engines do that.
"""

from __future__ import annotations

import re
import unicodedata

TERMINATORS = ".!?…"
FULL_WIDTH = "。！？"  # need no space after them
CLOSERS = "\"'”’»)]}*_`"
CLAUSE_MARKS = ",;:—–"
DECORATIONS = frozenset({"So", "Sk", "Cc", "Cf", "Cs", "Co", "Cn"})  # categories of Unicode

# A name or a number follows these: they never end a sentence.
TITLES = frozenset(
    {"mr", "mrs", "ms", "dr", "prof", "gen", "col", "sgt", "capt", "lt", "rev", "hon", "mt"}
    | {"e.g", "i.e", "vs", "cf", "fig", "approx", "dept", "est"}
)
# These do, when what follows does not go on in small letters.
OFTEN_LAST = frozenset({"etc", "inc", "ltd", "co", "corp", "jr", "sr", "st", "ave", "a.m", "p.m"})

_LAST_WORD = re.compile(r"([^\s,;:(\[\"“]+)$")
_LINK = re.compile(r"!?\[([^\]]*)\]\((?:[^)\s]*)\)")
_LINE_MARK = re.compile(r"^\s*(?:#{1,6}\s+|[-*+•>]\s+|\|)+")
_EMPHASIS = re.compile(r"`+|\*+(?=\S)|(?<=\S)\*+|~~|(?<!\w)_+(?=\S)|(?<=\S)_+(?!\w)|\|")
_SPACES = re.compile(r"\s+")


class Sentences:
    """Feed text as it comes; take sentences as they become whole.

    No sentence is longer than ``limit`` characters. The first may be cut short at a comma once it has
    ``first_clause`` characters, so that the voice starts before a long sentence is complete.
    """

    def __init__(self, *, limit: int = 240, first_clause: int = 60) -> None:
        self._limit = limit
        self._first_clause = first_clause
        self._buffer = ""
        self._spoken = False

    def feed(self, text: str) -> list[str]:
        """The sentences that this text completes."""
        whole: list[str] = []
        for character in text:
            cut = self._cut(character)
            if cut:
                whole += self._take(cut)
            self._buffer += character
        return whole

    def finish(self) -> list[str]:
        """What is left when the text has ended."""
        return self._take(len(self._buffer))

    def _cut(self, following: str) -> int:
        """How much of the buffer is a sentence, now that ``following`` is seen; 0 when none is."""
        buffer = self._buffer
        if not buffer:
            return 0
        if following == "\n" or (buffer[-1] in FULL_WIDTH and following not in CLOSERS + FULL_WIDTH):
            return len(buffer)
        if buffer[-1].isspace() and not following.isspace() and self._ends(buffer.rstrip(), following):
            return len(buffer)
        return _best_cut(buffer) if len(buffer) >= self._limit else 0

    def _ends(self, text: str, following: str) -> bool:
        return _ends_sentence(text, following) or self._ends_first_clause(text)

    def _ends_first_clause(self, text: str) -> bool:
        if self._spoken or len(text) < self._first_clause or text[-1] not in CLAUSE_MARKS:
            return False
        # Not inside an enumeration of letters or numbers.
        return len(_last_word(text[:-1])) > 2

    def _take(self, length: int) -> list[str]:
        sentence = speakable(self._buffer[:length])
        self._buffer = self._buffer[length:].lstrip()
        if not sentence:
            return []
        self._spoken = True
        return [sentence]


def speakable(text: str) -> str:
    """The text without markdown, emoji and control characters; empty when nothing in it can be spoken."""
    text = _LINK.sub(r"\1", _LINE_MARK.sub("", text))
    text = _EMPHASIS.sub("", text)
    text = "".join(character for character in text if not _is_decoration(character))
    text = _SPACES.sub(" ", text).strip()
    return text if any(character.isalnum() for character in text) else ""


def _is_decoration(character: str) -> bool:
    """Emoji with their joiners and shades, control and private characters; spaces and currency signs are none."""
    if character.isspace():
        return False
    return unicodedata.category(character) in DECORATIONS or character in "\ufe0e\ufe0f\u20e3"


def _ends_sentence(text: str, following: str) -> bool:
    """Whether a sentence ends with ``text``, when a space and then ``following`` come after it."""
    bare = text.rstrip(CLOSERS)
    if not bare or bare[-1] not in TERMINATORS:
        return False
    goes_on = following.islower()
    if bare != text and goes_on:  # "Really?" she said
        return False
    if bare.endswith(("...", "…")):
        return not goes_on
    if bare[-1] != ".":
        return True
    return _period_ends(bare[:-1], following)


def _period_ends(text: str, following: str) -> bool:
    """Whether the full stop after ``text`` ends a sentence rather than an abbreviation, an initial or a list number."""
    word = _last_word(text)
    small = word.lower()
    if not word or small in TITLES or (small == "no" and following.isdigit()):
        return False
    if small in OFTEN_LAST:
        return not following.islower()
    if word == text.strip() and word.isdigit():  # "1. First" at the start
        return False
    if len(word) == 1 and word.isalpha():  # an initial; but "... I, S." is spelling, and "I" is a word
        return word == "I" or text[: -len(word)].rstrip().endswith(",")
    return not ("." in word and all(len(part) == 1 for part in word.split(".")))  # U.S.


def _last_word(text: str) -> str:
    found = _LAST_WORD.search(text)
    return found.group(1) if found else ""


def _best_cut(text: str) -> int:
    """Where to cut text that has grown too long: after a clause, else at a space, else right here."""
    spaces = [at for at in range(len(text) // 2, len(text)) if text[at].isspace()]
    clauses = [at for at in spaces if text[at - 1] in CLAUSE_MARKS]
    return max(clauses or spaces or [len(text)])
