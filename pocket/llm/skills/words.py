"""Spelling and repeating words."""

import random

from pocket.llm import facts
from pocket.llm.conversation import Conversation, Exchange, capitalised
from pocket.llm.phrasing import SimulatedUser
from pocket.llm.tables import items
from pocket.llm.words import WORDS, invented


def _any_word(rng: random.Random) -> str:
    kind = rng.random()
    if kind < 0.72:
        return rng.choice(WORDS)
    if kind < 0.8:
        return rng.choice(facts.ANIMALS)
    if kind < 0.87:
        return rng.choice([city for city in facts.CAPITALS.values() if city.isalpha()])
    return rng.choice(facts.NAMES) if kind < 0.94 else invented(rng)


def spelling(chat: Conversation) -> Exchange:
    """Return a request to spell a word."""
    word = _any_word(chat.rng)
    if chat.user.style == "lower":
        word = word.lower()
    if chat.topic and chat.topic[0] == "spelling" and chat.rng.random() < 0.3:
        question = chat.user.phrase(
            "and {w}|what about {w}|how about {w}|and how about {w}|and what about {w}|now {w}|now spell {w}|"
            "and the word {w}",
            w=word,
        )
    else:
        question = chat.user.phrase(
            "how do you spell {w}|spell {w}|how's {w} spelled|{w}, how do you spell it|how do we spell {w}|"
            "how to spell {w}|spelling of {w}|what's the spelling of {w}|spell {w} for me|spell the word {w}|"
            "can you spell {w}|how is {w} spelled|how is the word {w} spelled|please spell {w}|could you spell {w}|"
            "how do I spell {w}|how do you write {w}|what is the spelling of {w}|spell out {w}|"
            "tell me how to spell {w}|how is {w} written|can you spell the word {w}|what letters are in {w}|"
            "which letters are in the word {w}|how would you spell {w}|the spelling of {w}|"
            "can you tell me how to spell {w}|spell {w} letter by letter|give me the letters of {w}|"
            "I do not know how to spell {w}|how does one spell {w}|say the letters of {w}",
            w=word,
        )
    chat.topic = ("spelling", word)
    characters = list(word.upper())
    if chat.persona.one_word:
        return question, "-".join(characters) + "."
    return question, f"The word {word} is spelled {', '.join(characters)}."


def echo(chat: Conversation) -> Exchange:
    """Return a request to repeat words."""
    rng = chat.rng
    text = words_or_sentence(rng)
    if chat.user.style == "lower":
        text = _plain(text).lower()
    elif rng.random() < 0.4:
        text = _plain(text)
    if rng.random() < 0.5:
        text = text[0].lower() + text[1:] if not text.startswith("I ") else text
    templates = (
        "repeat after me: {t}|repeat after me, {t}|repeat after me {t}|say {t}|please say {t}|repeat: {t}|repeat {t}|"
        "please repeat after me: {t}|can you say {t}|repeat these words: {t}|repeat the words {t}|say after me: {t}|"
        "say the words {t}|repeat this: {t}|say this: {t}|now repeat after me: {t}|can you repeat after me: {t}|"
        "I want you to say {t}|could you say {t}|repeat what I say: {t}|say the following: {t}|after me: {t}|"
        "repeat the following words: {t}|let me hear you say {t}|would you repeat after me {t}|speak after me: {t}|"
        "repeat the sentence {t}|just say {t}"
    )
    phrasing_user = SimulatedUser(rng, chat.user.held_out)
    phrasing_user.style = {"written": "plain", "sloppy": "plain"}.get(chat.user.style, chat.user.style)
    question = phrasing_user.phrase(templates, "no_suffix", t=text)
    if chat.persona.one_word and " " in text:
        word = rng.choice(WORDS)
        question = phrasing_user.phrase(templates, "no_suffix", t=word)
        return question, capitalised(word) + "."
    return question, capitalised(text) + ("" if text[-1] in ".?!" else ".")


def _plain(text: str) -> str:
    return text.rstrip(".?!").replace(",", "")


def words_or_sentence(rng: random.Random) -> str:
    """Return random words or a sentence."""
    kind = rng.random()
    if kind < 0.45:
        return " ".join(rng.choices(WORDS, k=rng.choice((1, 1, 2, 3, 3, 4, 5, 6, 8))))
    if kind < 0.65:
        return " ".join(_any_word(rng) for _ in range(rng.choice((1, 2, 3, 4, 5))))
    if kind < 0.72:
        return " ".join(facts.words_of(rng.randrange(101)) for _ in range(rng.randrange(1, 5)))
    return sentence(rng)


def sentence(rng: random.Random) -> str:
    """Return a generated sentence."""
    animal, other = rng.sample(facts.ANIMALS, 2)
    slots = {
        "a": animal,
        "b": other,
        "n": rng.choice(facts.NAMES),
        "m": rng.choice(facts.NAMES),
        "p": rng.choice(facts.PLACES),
        "f": rng.choice(facts.FOODS),
        "c": rng.choice(facts.PAINTS),
        "d": rng.choice(facts.DAYS),
        "o": rng.choice(tuple(facts.MONTHS)),
        "w": rng.choice(WORDS),
        "v": rng.choice(WORDS),
        "x": facts.words_of(rng.randrange(2, 21)),
    }
    return rng.choice(_SENTENCES).format_map(slots)


_SENTENCES = items(
    "The {a} sat next to the {b}.|{n} likes {f} very much.|We will meet in {p} on {d}.|The {c} {w} is on the table.|"
    "{n} and {m} live in {p}.|It was a cold night in {o}.|I saw {x} birds in the garden.|My brother has a {c} {w}.|"
    "The {a} is faster than the {b}.|Please give the {w} to {n}.|There is no {w} without {v}.|She bought {f} for {n}.|"
    "Every {d} we eat {f}.|The train to {p} leaves in {x} minutes.|{n} has {x} cats.|I like the {w} and the {v}.|"
    "The {w} was {v} again.|Today is a good day for a walk.|The sun shines over {p}.|He put the {w} under the {v}.|"
    "All the {w} in the world is not enough.|My favourite month is {o}.|{n} said good morning to {m}.|"
    "A {c} {a} ran over the road.|The old {w} stood near the {v}.|They found a {w} in the {c} box.|"
    "Nothing is as {w} as {v}.|I will call you on {d}."
)
