"""Counting up and down."""

from pocket.llm import facts
from pocket.llm.conversation import Conversation, Exchange, capitalised


def counting(chat: Conversation) -> Exchange:
    """Return a request to count up or down."""
    rng, user = chat.rng, chat.user
    start = rng.randrange(0, 19)
    stop = rng.randrange(start + 1, min(start + 20, 30) + 1)
    kind = rng.choices(("from", "to", "down", "down_to_zero"), (6, 2.5, 2.5, 1))[0]
    if kind == "to":
        start, stop = 1, rng.randrange(2, 21)
    elif kind == "down":
        start, stop = stop, start
    elif kind == "down_to_zero":
        start, stop = rng.randrange(3, 21), rng.choice((0, 1))
    up = stop > start
    wordings = {
        "from": (
            "count from {a} to {b}|can you count from {a} to {b}|count up from {a} to {b}|"
            "please count from {a} to {b}|count for me from {a} to {b}|say the numbers from {a} to {b}|"
            "count the numbers from {a} to {b}|list the numbers from {a} to {b}|tell me the numbers from {a} to {b}|"
            "could you count from {a} up to {b}|what are the numbers from {a} to {b}|start at {a} and count to {b}|"
            "I want you to count from {a} to {b}|counting from {a} to {b}|begin with {a} and count up to {b}|"
            "give me the numbers between {a} and {b}|name the numbers from {a} to {b}|count from {a} until {b}"
        ),
        "to": (
            "count to {b}|can you count to {b}|count up to {b}|please count to {b}|count for me to {b}|"
            "can you count up to {b}|could you count to {b}|count until {b}|I want to hear you count to {b}|"
            "show me how you count to {b}"
        ),
        "down": (
            "count down from {a} to {b}|count backwards from {a} to {b}|count from {a} down to {b}|"
            "can you count down from {a} to {b}|count from {a} to {b}|can you count backwards from {a} to {b}|"
            "say the numbers from {a} down to {b}|please count backward from {a} to {b}|"
            "start at {a} and count down to {b}|count back from {a} to {b}"
        ),
        "down_to_zero": (
            "count down from {a} to {b}|count backwards from {a} to {b}|do a countdown from {a} to {b}|"
            "make a countdown from {a} to {b}"
        ),
    }[kind]
    question = user.phrase(wordings, "request", a=user.number(start), b=user.number(stop))
    numbers = [facts.words_of(n) for n in range(start, stop + (1 if up else -1), 1 if up else -1)]
    if chat.persona.one_word:
        return question, capitalised("-".join(numbers)) + "."
    return question, capitalised(", ".join(numbers)) + "."


def too_far(chat: Conversation) -> Exchange:
    """Return a request to count too far, and the refusal."""
    rng, user = chat.rng, chat.user
    start, stop = rng.randrange(0, 30), rng.randrange(50, 2000)
    question = user.phrase(
        "count from {a} to {b}|can you count from {a} to {b}|count {a} to {b}|count {a} through {b}|"
        "count from {a} through {b}|can you count {a} to {b}|count on from {a} to {b}|"
        "I would like you to count from {a} to {b}|count up to {b}|count to {b}|say the numbers from {a} to {b}",
        "request",
        a=user.number(start),
        b=user.number(stop),
    )
    return question, chat.reply("Sorry, I only count up to thirty.", "sorry")
