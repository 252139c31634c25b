"""Requests for a story about an animal."""

from pocket.llm import facts
from pocket.llm.conversation import Conversation, Exchange, with_article
from pocket.llm.stories import story
from pocket.llm.tables import names
from pocket.llm.words import WORDS

_REGULAR = tuple(
    animal
    for animal in facts.ANIMALS
    if animal[-1] not in "sxhyf" and animal not in ("mouse", "goose", "deer", "moose")
)


def tale(chat: Conversation) -> Exchange:
    """Return a request for a story about an animal, and the story."""
    rng = chat.rng
    animal = rng.choice(facts.ANIMALS) if rng.random() < 0.85 else rng.choice(WORDS)
    adjective = (
        rng.choice(names("little brave old lazy clever hungry white red black tiny happy sad young shy"))
        if rng.random() < 0.15
        else None
    )
    if adjective and rng.random() < 0.3:
        adjective = rng.choice(WORDS)
    hero = f"{adjective} {animal}" if adjective else animal
    if chat.topic and chat.topic[0] == "story" and rng.random() < 0.4:
        question = chat.user.phrase(
            "another one about {a}|and one about {a}|now one about {a}|one more about {a}|another story about {a}|"
            "and now about {a}",
            "request",
            a=with_article(hero),
        )
    elif rng.random() < 0.05 and animal in _REGULAR:
        adjective = None
        question = chat.user.phrase(
            "tell me a story about {a}s|a story about {a}s|tell me a story about the {a}|"
            "tell me a short story about {a}s|story about {a}s|I want a story about {a}s|a story about the {a}|"
            "tell me a story about two {a}s|the story of the {a}|story about my {a}",
            "request",
            a=animal,
        )
    elif rng.random() < 0.08:
        animal, adjective = "fox", None
        question = chat.user.phrase(
            "tell me a story|tell me a short story|I want to hear a story|can you tell a story|a story please|"
            "do you know a story",
            "request",
        )
    else:
        question = chat.user.phrase(
            "tell me a story about {a}|tell me a short story about {a}|I'd like to hear a story about {a}|"
            "tell me about {a} in a story|a tale about {a}|I want a story with {a} in it|story time, {a}|"
            "tell a story about {a}|a story about {a}|can you tell me a story about {a}|"
            "I want to hear a story about {a}|make up a story about {a}|give me a story about {a}|"
            "could you tell a short story about {a}|please tell me a story about {a}|I would like a story about {a}|"
            "do you know a story about {a}|tell us a story about {a}|tell me something nice about {a} in a story|"
            "a short story about {a}|tell me a bedtime story about {a}|story about {a}|write a story about {a}|"
            "write a short story about {a}|invent a story about {a}|tell me a tale about {a}|"
            "let me hear a story about {a}|tell me a little story with {a}|can I have a story about {a}|"
            "how about a story about {a}|tell my son a story about {a}|tell me the story of {a}|"
            "please make a story about {a}|I'd love a story about {a}",
            "request",
            a=with_article(hero),
        )
    chat.topic = ("story", animal)
    return question, chat.reply(story(rng, animal, adjective), animal)
