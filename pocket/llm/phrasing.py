"""Phrasings of user messages: fillers, capitals, punctuation, digits and typing errors.

A phrasing is a template with an optional filler before and after it. Every tenth combination (by checksum) is held out:
training uses the others only, the evaluation uses held-out ones only.
"""

import random
import re
import zlib

from pocket.llm.facts import words_of
from pocket.llm.tables import items

BEFORE = items(
    "um, |uh, |er, |well, |so, |okay, |ok, |right, |now, |and now, |please, |hey, |hi, |hello, |hello there, |"
    "good morning, |good evening, |excuse me, |listen, |alright, |quick question, |one more thing, |"
    "another question, |I have a question, |my question is, |next question, |tell me, |oh, |hey you, |hmm, |"
    "let me ask you, |dear assistant, |sorry, |yes, |great, |thanks, |thank you, |nice, |good, |cool, |and, |but, |"
    "hi there, |I wonder, |good afternoon, |just tell me, |um, please, |so, um, |okay, now |well, please |hello! |"
    "hi! |hey! |hello. |good morning! |okay. |thank you. |great! |excuse me. "
)
AFTER = items(
    ", please| please|, thanks|, thank you|, if you can|, um|, if you know| then|, my friend|, do you know|"
    ", can you tell me|, I forgot|, would you|, I need to know|, quickly please|, I am curious|, if you don't mind|"
    " again"
)
AFTER_REQUEST = items(
    ", please| please| for me|, would you|, thanks|, thank you|, if you can| now|, can you|, will you|, my friend|"
    ", okay| for me please"
)
AFTER_STATEMENT = items(
    ", by the way|, okay|, you know|, just so you know|, remember that|, please remember that|, as you may guess"
)
_AFTER = {"question": AFTER, "request": AFTER_REQUEST, "statement": AFTER_STATEMENT, "no_suffix": [], "no_filler": []}

HELD_OUT_SHARE = 10


def is_held_out(template: str, before: str, after: str) -> bool:
    """Return whether a combination of template and fillers is held out.

    The result depends on the resulting text only, not on its division into template and fillers.
    """
    surface = re.sub(r"{\w}", "{}", lowered(before + template + after))
    return zlib.crc32(surface.encode()) % HELD_OUT_SHARE == 0


class SimulatedUser:
    """A simulated user with one style of writing (`written`, `plain`, `lower` or `sloppy`)."""

    def __init__(self, rng: random.Random, held_out: bool = False) -> None:
        self.rng = rng
        self.held_out = held_out
        self.style = rng.choices(("written", "plain", "lower", "sloppy"), (45, 15, 32, 8))[0]
        self.digits = rng.random() < (0.3 if self.style == "lower" else 0.5)

    def number(self, value: int) -> str:
        """Return a number in this user's style: digits or words."""
        if self.digits != (self.rng.random() < 0.06):
            return str(value)
        words = words_of(value)
        return words.replace("-", " ") if self.style == "lower" and self.rng.random() < 0.5 else words

    def phrase(self, templates: str, kind: str = "question", **slots: object) -> str:
        """Return a random one of `templates` (separated by `|`) with fillers, filled with `slots`.

        `kind` selects the fillers after it: `question`, `request`, `statement`, `no_suffix` (only before it), or
        `no_filler`. Raise ValueError if no combination is left for this user's `held_out`.
        """
        choices = templates.split("|")
        for _ in range(2000):
            template = self.rng.choice(choices).strip()
            before = self.rng.choice(BEFORE) if kind != "no_filler" and self.rng.random() < 0.45 else ""
            after = self.rng.choice(_AFTER[kind]) if _AFTER[kind] and self.rng.random() < 0.25 else ""
            if is_held_out(template, before, after) == self.held_out:
                return self._write(template, before, after, kind, slots)
        raise ValueError(f"no {'held-out' if self.held_out else 'training'} phrasing left in {templates!r}")

    def _write(self, template: str, before: str, after: str, kind: str, slots: dict[str, object]) -> str:
        template, before = self._mistype(template), self._mistype(before)
        text = template.format_map(slots)
        if before[-2:-1] in tuple(".!"):
            text = text[0].upper() + text[1:]
        text = before + text + after
        if self.style == "lower":
            return lowered(text)
        if self.style == "sloppy" and self.rng.random() < 0.5:
            return text
        text = text[0].upper() + text[1:]
        if self.style == "plain":
            return text
        if text[-1] in ".?!":
            return text
        return text + ("?" if kind == "question" else "." if self.rng.random() < 0.9 else "!")

    def _mistype(self, template: str) -> str:
        """Add a typing error to a word of more than four characters of the template, never to a slot."""
        if self.style != "sloppy" or self.rng.random() < 0.4:
            return template
        words = template.split(" ")
        long = [i for i, word in enumerate(words) if len(word) > 4 and word.isalpha()]
        if not long:
            return template
        index = self.rng.choice(long)
        word, at = words[index], self.rng.randrange(1, len(words[index]) - 1)
        words[index] = self.rng.choice(
            (
                word[:at] + word[at + 1 :],
                word[:at] + word[at] + word[at:],
                word[:at] + word[at + 1] + word[at] + word[at + 2 :],
            )
        )
        return " ".join(words)


def lowered(text: str) -> str:
    """Return the text like a transcript: lower case, without punctuation at the end of words."""
    return re.sub(r"\s+", " ", re.sub(r"[,.?!:;\"]+(?=\s|$)", "", text.lower())).strip()
