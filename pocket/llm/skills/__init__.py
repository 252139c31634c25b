"""The abilities: functions from the state of a conversation to a message of the user and its right answer."""

from pocket.llm.conversation import Skill
from pocket.llm.skills.calendar import calendar
from pocket.llm.skills.capitals import capital, unknown_capital
from pocket.llm.skills.counting import counting, too_far
from pocket.llm.skills.courtesies import (
    abilities,
    are_you_human,
    goodbye,
    greeting,
    how_are_you,
    okay,
    say_again,
    thanks,
    who_are_you,
)
from pocket.llm.skills.limits import NO_PICTURE, anything_else, missing_picture
from pocket.llm.skills.memory import recall, tell, tell_two, what_you_know
from pocket.llm.skills.sums import arithmetic, big_sum
from pocket.llm.skills.tales import tale
from pocket.llm.skills.things import colour, opposite, sound, unknown_thing
from pocket.llm.skills.words import echo, spelling

__all__ = ["NO_PICTURE", "SKILLS"]

SKILLS: dict[str, tuple[Skill, float]] = {
    "greeting": (greeting, 2),
    "how_are_you": (how_are_you, 0.8),
    "thanks": (thanks, 1.5),
    "goodbye": (goodbye, 1.2),
    "who_are_you": (who_are_you, 5),
    "are_you_human": (are_you_human, 0.6),
    "abilities": (abilities, 1.2),
    "okay": (okay, 0.8),
    "say_again": (say_again, 1.2),
    "capital": (capital, 10),
    "unknown_capital": (unknown_capital, 1),
    "arithmetic": (arithmetic, 11),
    "big_sum": (big_sum, 1),
    "too_far": (too_far, 0.5),
    "unknown_thing": (unknown_thing, 1.2),
    "opposite": (opposite, 5),
    "colour": (colour, 4.5),
    "sound": (sound, 4),
    "calendar": (calendar, 9),
    "counting": (counting, 5),
    "spelling": (spelling, 9),
    "echo": (echo, 7),
    "tell": (tell, 7),
    "tell_two": (tell_two, 1.2),
    "recall": (recall, 8),
    "what_you_know": (what_you_know, 0.6),
    "tale": (tale, 5),
    "anything_else": (anything_else, 9),
    "missing_picture": (missing_picture, 1.8),
}
"""Ability -> its function and its weight in a random conversation."""
