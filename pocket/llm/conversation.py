"""A conversation while it is being made up, and small ways of forming answers."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from pocket.llm import facts
from pocket.llm.persona import Persona
from pocket.llm.phrasing import Speaker


@dataclass
class Talk:
    """A conversation while it is being made up."""

    speaker: Speaker
    persona: Persona
    memory: dict[str, str] = field(default_factory=dict)
    topic: tuple[str, str] | None = None
    last_answer: str | None = None

    @property
    def rng(self) -> random.Random:
        """The one source of chance."""
        return self.speaker.rng

    def reply(self, sentence: str, word: str) -> str:
        """The answer as a sentence, or as a word where the system prompt wants one."""
        return capitalised(word) + "." if self.persona.one_word else sentence

    def shown(self, value: str) -> str:
        """How this person writes a name or a thing, which is how the assistant gives it back unless it knows it."""
        known = value in facts.NAMES or value in facts.PLACES
        return value if self.speaker.style != "lower" or known else value.lower()


Turn = tuple[str, str]
"""A question and its answer."""
Skill = Callable[[Talk], Turn]
"""Makes up the next turn of a conversation."""


def capitalised(text: str) -> str:
    """The text with a capital first letter."""
    return text[0].upper() + text[1:]


def with_article(noun: str) -> str:
    """The noun after a or an."""
    return ("an " if noun[0] in "aeiou" else "a ") + noun


def enumerated(parts: list[str]) -> str:
    """`a, b and c`."""
    return ", ".join(parts[:-1]) + " and " + parts[-1] if len(parts) > 1 else parts[0]
