"""How people put things: fillers, capitals, punctuation, digits and slips, and which combinations are held out.

A wording is a template with a filler before and one after it. Every tenth combination (by checksum) is held out:
training never draws it and the evaluation draws nothing else.
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
AFTER_ORDER = items(
    ", please| please| for me|, would you|, thanks|, thank you|, if you can| now|, can you|, will you|, my friend|"
    ", okay| for me please"
)
AFTER_SAYING = items(
    ", by the way|, okay|, you know|, just so you know|, remember that|, please remember that|, as you may guess"
)
_AFTER = {"ask": AFTER, "order": AFTER_ORDER, "say": AFTER_SAYING, "bare": [], "alone": []}

HELD_OUT_SHARE = 10


def is_held_out(template: str, before: str, after: str) -> bool:
    """Whether this combination of a template and its fillers is kept for the evaluation. The same words made of other
    parts get the same verdict."""
    surface = re.sub(r"{\w}", "{}", lowered(before + template + after))
    return zlib.crc32(surface.encode()) % HELD_OUT_SHARE == 0


class Speaker:
    """One person: draws wordings, and writes them all in one style (`written`, `plain`, `lower` or `sloppy`)."""

    def __init__(self, rng: random.Random, held_out: bool = False) -> None:
        self.rng = rng
        self.held_out = held_out
        self.style = rng.choices(("written", "plain", "lower", "sloppy"), (45, 15, 32, 8))[0]
        self.digits = rng.random() < (0.3 if self.style == "lower" else 0.5)

    def number(self, value: int) -> str:
        """A number the way this person writes it: digits or words."""
        if self.digits != (self.rng.random() < 0.06):
            return str(value)
        words = words_of(value)
        return words.replace("-", " ") if self.style == "lower" and self.rng.random() < 0.5 else words

    def put(self, templates: str, kind: str = "ask", **slots: object) -> str:
        """Words one of `templates` (split by `|`) with fillers; `kind` says which fillers may follow:
        `ask` a question, `order` a request, `say` a statement, `bare` none after it, `alone` none at all."""
        choices = templates.split("|")
        for _ in range(2000):
            template = self.rng.choice(choices).strip()
            before = self.rng.choice(BEFORE) if kind != "alone" and self.rng.random() < 0.45 else ""
            after = self.rng.choice(_AFTER[kind]) if _AFTER[kind] and self.rng.random() < 0.25 else ""
            if is_held_out(template, before, after) == self.held_out:
                return self._write(template, before, after, kind, slots)
        raise ValueError(f"no {'held-out' if self.held_out else 'training'} wording left in {templates!r}")

    def _write(self, template: str, before: str, after: str, kind: str, slots: dict[str, object]) -> str:
        template, before = self._slip(template), self._slip(before)
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
        return text + ("?" if kind == "ask" else "." if self.rng.random() < 0.9 else "!")

    def _slip(self, template: str) -> str:
        """One mistyped letter in a long enough word of the template, never in a slot."""
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
    """The text as speech gives it: lower case, no punctuation but what belongs to a word."""
    return re.sub(r"\s+", " ", re.sub(r"[,.?!:;\"]+(?=\s|$)", "", text.lower())).strip()
