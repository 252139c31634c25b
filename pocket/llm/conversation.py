"""The state of a generated conversation, and helpers for answers."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from pocket.llm import facts
from pocket.llm.persona import Persona
from pocket.llm.phrasing import SimulatedUser


@dataclass
class Conversation:
    """The state of a conversation during its generation."""

    user: SimulatedUser
    persona: Persona
    memory: dict[str, str] = field(default_factory=dict)
    topic: tuple[str, str] | None = None
    last_answer: str | None = None

    @property
    def rng(self) -> random.Random:
        """Return the source of all random draws."""
        return self.user.rng

    def reply(self, sentence: str, word: str) -> str:
        """Return `sentence`, or `word` if the system prompt requires answers of one word."""
        return capitalised(word) + "." if self.persona.one_word else sentence

    def in_style(self, value: str) -> str:
        """Return a name or thing in the user's style, which the assistant repeats; known names keep their capitals."""
        known = value in facts.NAMES or value in facts.PLACES
        return value if self.user.style != "lower" or known else value.lower()


Exchange = tuple[str, str]
"""A message of the user and the answer."""
Skill = Callable[[Conversation], Exchange]
"""Generates the next exchange of a conversation."""


def capitalised(text: str) -> str:
    """Return the text with a capital first character."""
    return text[0].upper() + text[1:]


def with_article(noun: str) -> str:
    """Return the noun with "a" or "an"."""
    return ("an " if noun[0] in "aeiou" else "a ") + noun


def enumerated(parts: list[str]) -> str:
    """Return the parts as `a, b and c`."""
    return ", ".join(parts[:-1]) + " and " + parts[-1] if len(parts) > 1 else parts[0]
