"""Which words of a transcript that grows will stay: LocalAgreement-2. Pure.

A word is confirmed when two successive transcripts of the growing audio agree on it and on all before it
(Liu et al. 2020, "Low-latency sequence-to-sequence speech recognition and translation by partial hypothesis selection";
Macháček et al. 2023, "Turning Whisper into real-time transcription system").
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice, takewhile

from deployments.messages import Segment

# Scripts that put no spaces between words: there each character is a unit (Thai, Lao, Khmer, Japanese, Chinese).
_UNSPACED = r"\u0e00-\u0eff\u1780-\u17ff\u3000-\u30ff\u3400-\u9fff\uf900-\ufaff\uff00-\uffef"
_UNIT = re.compile(rf"\s*(?:[{_UNSPACED}]|[^\s{_UNSPACED}]+)")
_ENDS_UNSPACED = re.compile(rf"[{_UNSPACED}]\Z")
_BEGINS_UNSPACED = re.compile(rf"[{_UNSPACED}]")


@dataclass(frozen=True, slots=True)
class Unit:
    """A word with the space before it, so that the units of a transcript add up to it.

    ``end_s`` is where the word ends in the audio, ``None`` if that was not reported.
    """

    text: str
    end_s: float | None = None

    @property
    def key(self) -> str:
        """The word without case and punctuation."""
        return "".join(filter(str.isalnum, self.text.casefold()))


def joined(before: str, after: str) -> str:
    """Return the two texts as one, with a space where their script has one."""
    after = after.strip()
    unspaced = _ENDS_UNSPACED.search(before) and _BEGINS_UNSPACED.match(after)
    if not before or not after or before[-1].isspace() or unspaced:
        return before + after
    return f"{before} {after}"


def units(segments: Iterable[Segment], before: str = "") -> list[Unit]:
    """Return the words of a transcript that follows the text ``before``."""
    found: list[Unit] = []
    text = before
    for segment in segments:
        whole = joined(text, segment.text)
        ends = _word_ends(segment)
        offset = len(whole) - len(segment.text.strip())
        found += [
            Unit(match.group(), _end_of(match.end() - offset, ends)) for match in _UNIT.finditer(whole, len(text))
        ]
        text = whole
    return found


class Agreement:
    """The confirmed words of one stretch of speech. They are never taken back."""

    def __init__(self) -> None:
        self.confirmed: list[Unit] = []
        self._last: Sequence[Unit] = ()

    def insert(self, hypothesis: Sequence[Unit]) -> list[Unit]:
        """Take the next transcript of all the audio; return the words that are confirmed by it."""
        agreed: list[Unit] = []
        if _keys(hypothesis[: len(self.confirmed)]) == _keys(self.confirmed):
            # The last word may be the beginning of a longer one.
            pairs = zip(hypothesis[:-1], self._last, strict=False)
            agreed = [new for new, _ in takewhile(_same, islice(pairs, len(self.confirmed), None))]
            # Times are taken from the latest transcript, the text stays as it was reported.
            times = [replace(old, end_s=new.end_s) for old, new in zip(self.confirmed, hypothesis, strict=False)]
            self.confirmed = [*times, *agreed]
        self._last = hypothesis
        return agreed

    def cut(self, count: int) -> list[Unit]:
        """Remove the first ``count`` words, all confirmed, and return them: their audio is heard no more."""
        removed, self.confirmed = self.confirmed[:count], self.confirmed[count:]
        self._last = self._last[count:]
        return removed


def _keys(words: Iterable[Unit]) -> list[str]:
    return [word.key for word in words]


def _same(pair: tuple[Unit, Unit]) -> bool:
    return pair[0].text == pair[1].text


def _word_ends(segment: Segment) -> list[tuple[int, float]]:
    """Return where each word ends: its position in the segment's stripped text, and its time."""
    text = segment.text.strip()
    ends: list[tuple[int, float]] = []
    at = 0
    for word in segment.words:
        found = text.find(word.text.strip(), at)
        if found < 0:  # the words are not those of the text: no times rather than wrong ones
            return []
        at = found + len(word.text.strip())
        ends.append((at, word.end_s))
    return ends


def _end_of(position: int, ends: Sequence[tuple[int, float]]) -> float | None:
    """Return the time of the word that ends at ``position`` or contains it."""
    return next((end_s for end, end_s in ends if end >= position), None)
