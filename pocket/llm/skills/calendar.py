"""Days and months: predecessors and successors, order and numbers."""

import random

from pocket.llm import facts
from pocket.llm.conversation import Conversation, Exchange, capitalised, enumerated


def calendar(chat: Conversation) -> Exchange:
    """Return a question about days or months."""
    rng = chat.rng
    return rng.choices((_neighbour, _nth, _how_many, _list_of, _days_of_month, _position), (8, 4, 2, 2, 2, 1.5))[0](
        chat
    )


def _unit(rng: random.Random) -> tuple[str, str, tuple[str, ...]]:
    return rng.choice((("day", "week", facts.DAYS), ("month", "year", tuple(facts.MONTHS))))


def _neighbour(chat: Conversation) -> Exchange:
    unit, _, names = _unit(chat.rng)
    index = chat.rng.randrange(len(names))
    name = names[index]
    follow_up = chat.topic and chat.topic[0] == unit
    if chat.rng.random() < 0.5:
        after = names[(index + 1) % len(names)]
        wordings = (
            "what {u} comes after {x}|which {u} comes after {x}|what {u} is after {x}|which {u} is after {x}|"
            "what {u} follows {x}|which {u} follows {x}|what comes after {x}|what is the {u} after {x}|{u} after {x}|"
            "next {u} after {x}|what comes next after {x}|what's the {u} following {x}|what {u} comes next after {x}|"
            "the {u} after {x}|what's after {x}|tell me the {u} after {x}|if today is {x}, what is tomorrow|"
            "which is the {u} after {x}|name the {u} after {x}|what {u} is next after {x}|"
            "can you tell me which {u} comes after {x}|after {x} comes which {u}|{x} is followed by what {u}|"
            "do you know the {u} after {x}"
        )
        if unit == "month":
            wordings = wordings.replace("if today is {x}, what is tomorrow|", "if it is {x} now, what is next month|")
        if follow_up and chat.rng.random() < 0.4:
            wordings = (
                "and after {x}|what about after {x}|and what comes after {x}|and which {u} comes after {x}|"
                "and the {u} after {x}"
            )
        question, answer = chat.user.phrase(wordings, u=unit, x=name), after
        sentence = f"{after} comes after {name}."
    else:
        before = names[index - 1]
        wordings = (
            "what {u} comes before {x}|which {u} comes before {x}|what {u} is before {x}|which {u} is before {x}|"
            "what comes before {x}|{u} before {x}|what is the {u} before {x}|the {u} before {x}|what's before {x}|"
            "tell me the {u} before {x}|if today is {x}, what was yesterday|which {u} precedes {x}|"
            "which is the {u} before {x}|name the {u} before {x}|what {u} is right before {x}|"
            "can you tell me which {u} comes before {x}|before {x} comes which {u}|do you know the {u} before {x}"
        )
        if unit == "month":
            wordings = wordings.replace(
                "if today is {x}, what was yesterday|", "if it is {x} now, what was last month|"
            )
        if follow_up and chat.rng.random() < 0.4:
            wordings = (
                "and before {x}|what about before {x}|and what comes before {x}|and which {u} comes before {x}|"
                "and the {u} before {x}"
            )
        question, answer = chat.user.phrase(wordings, u=unit, x=name), before
        sentence = f"{before} comes before {name}."
    chat.topic = (unit, name)
    return question, chat.reply(sentence, answer)


def _nth(chat: Conversation) -> Exchange:
    unit, whole, names = _unit(chat.rng)
    index = chat.rng.randrange(len(names))
    ordinal = facts.ORDINALS[index]
    if index == len(names) - 1 and chat.rng.random() < 0.6:
        ordinal = "last"
    digits = chat.rng.random() < 0.2 and ordinal != "last"
    question = chat.user.phrase(
        "what is the {o} {u} of the {w}|which {u} is the {o} {u} of the {w}|which is the {o} {u} of the {w}|"
        "name the {o} {u} of the {w}|the {o} {u} of the {w}|tell me the {o} {u} of the {w}|"
        "what's the {o} {u} of the {w}|which {u} is the {o}|which {u} is the {o} in the {w}|"
        "what {u} is the {o} of the {w}|what is the {o} {u} in the {w}|do you know the {o} {u} of the {w}",
        o=f"{index + 1}{('st', 'nd', 'rd', 'th')[min(index, 3)]}" if digits else ordinal,
        u=unit,
        w=whole,
    )
    return question, chat.reply(f"The {ordinal} {unit} of the {whole} is {names[index]}.", names[index])


def _position(chat: Conversation) -> Exchange:
    unit, whole, names = _unit(chat.rng)
    index = chat.rng.randrange(len(names))
    question = chat.user.phrase(
        "which {u} of the {w} is {x}|what number is {x}|which number is {x} in the {w}|the how manyth {u} is {x}|"
        "what place has {x} in the {w}|what position is {x} in the {w}|what number {u} is {x}|where in the {w} is {x}",
        u=unit,
        w=whole,
        x=names[index],
    )
    return question, chat.reply(
        f"{names[index]} is the {facts.ORDINALS[index]} {unit} of the {whole}.", facts.ORDINALS[index]
    )


_COUNTS = {
    "days in a week": ("a week has seven days", "seven"),
    "months in a year": ("a year has twelve months", "twelve"),
    "days in a year": ("a year has three hundred and sixty-five days", "365"),
    "hours in a day": ("a day has twenty-four hours", "twenty-four"),
    "minutes in an hour": ("an hour has sixty minutes", "sixty"),
    "seconds in a minute": ("a minute has sixty seconds", "sixty"),
    "weeks in a year": ("a year has fifty-two weeks", "fifty-two"),
}


def _how_many(chat: Conversation) -> Exchange:
    what = chat.rng.choice(tuple(_COUNTS))
    units, _, whole = what.partition(" in ")
    question = chat.user.phrase(
        "how many {u} are in {w}|how many {u} are there in {w}|how many {u} does {w} have|how many {u} has {w}|"
        "how many {u} in {w}|tell me how many {u} are in {w}|what number of {u} does {w} have|"
        "do you know how many {u} {w} has|{w} has how many {u}|can you tell me how many {u} there are in {w}|"
        "how many {u} make {w}|of how many {u} is {w} made",
        u=units,
        w=whole,
    )
    sentence, word = _COUNTS[what]
    return question, chat.reply(capitalised(sentence) + ".", word)


def _days_of_month(chat: Conversation) -> Exchange:
    month = chat.rng.choice(tuple(facts.MONTHS))
    question = chat.user.phrase(
        "how many days are in {x}|how many days are there in {x}|how many days does {x} have|how many days has {x}|"
        "how long is {x}|{x} has how many days|tell me how many days {x} has|how many days in {x}|"
        "do you know how many days {x} has|how many days are in the month of {x}|"
        "can you tell me how many days there are in {x}",
        x=month,
    )
    days = facts.words_of(facts.MONTHS[month])
    return question, chat.reply(f"{month} has {days} days.", days)


def _list_of(chat: Conversation) -> Exchange:
    unit, whole, names = _unit(chat.rng)
    backwards = chat.rng.random() < 0.15
    wordings = (
        "name the {u}s of the {w}|list the {u}s of the {w}|what are the {u}s of the {w}|tell me the {u}s of the {w}|"
        "say the {u}s of the {w}|which are the {u}s of the {w}|can you name the {u}s of the {w}|"
        "what are all the {u}s of the {w}|list all {u}s of the {w}|name all the {u}s|the {u}s of the {w} in order|"
        "give me the {u}s of the {w}|what {u}s are there|tell me all the {u}s of the {w} in order|"
        "can you say the {u}s of the {w}|what are the names of the {u}s"
    )
    if backwards:
        wordings = (
            "name the {u}s of the {w} backwards|say the {u}s of the {w} backwards|"
            "the {u}s of the {w} in reverse order|list the {u}s of the {w} backwards|"
            "tell me the {u}s of the {w} backwards"
        )
    question = chat.user.phrase(wordings, "request", u=unit, w=whole)
    ordered = list(reversed(names)) if backwards else list(names)
    if chat.persona.one_word:
        return question, "-".join(ordered) + "."
    return (
        question,
        f"The {unit}s of the {whole} are {enumerated(ordered)}."
        if not backwards
        else f"Backwards, the {unit}s of the {whole} are {enumerated(ordered)}.",
    )
