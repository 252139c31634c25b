"""Opposites, colours of things and sounds of animals."""

from pocket.llm import facts
from pocket.llm.conversation import Conversation, Exchange, capitalised, with_article
from pocket.llm.words import WORDS, plural


def opposite(chat: Conversation) -> Exchange:
    """Return a question about the opposite of a word."""
    word = chat.rng.choice(tuple(facts.OPPOSITES))
    if chat.topic and chat.topic[0] == "opposite" and chat.rng.random() < 0.4:
        question = chat.user.phrase(
            "and of {w}|and {w}|what about {w}|how about {w}|and the opposite of {w}|now {w}|and for {w}", w=word
        )
    else:
        question = chat.user.phrase(
            "what is the opposite of {w}|what's the opposite of {w}|opposite of {w}|antonym of {w}|"
            "what is the antonym of {w}|{w} is the opposite of what|{w} opposite|opposite: {w}|"
            "what is the opposite for {w}|the opposite of {w}|tell me the opposite of {w}|"
            "can you tell me the opposite of {w}|name the opposite of {w}|give me the opposite of {w}|"
            "which word is the opposite of {w}|do you know the opposite of {w}|what word means the opposite of {w}|"
            "what is the contrary of {w}|what would be the opposite of {w}|{w}, what is its opposite|"
            "say the opposite of {w}|what is the reverse of {w}|I need the opposite of {w}|"
            "I am looking for the opposite of {w}|if something is not {w}, what is it|"
            "what is the opposite of the word {w}|which word is opposite to {w}|could you give me the opposite of {w}|"
            "what do you call the opposite of {w}",
            w=word,
        )
    chat.topic = ("opposite", word)
    other = facts.OPPOSITES[word]
    return question, chat.reply(f"The opposite of {word} is {other}.", other)


def colour(chat: Conversation) -> Exchange:
    """Return a question about the usual colour of a thing."""
    thing = chat.rng.choice(tuple(facts.COLOURS))
    c = chat.rng.choice(("colour", "color"))
    if chat.topic and chat.topic[0] == "colour" and chat.rng.random() < 0.4:
        question = chat.user.phrase(
            "and {t}|what about {t}|how about {t}|and what about {t}|and the {c} of {t}|and which {c} is {t}",
            t=thing,
            c=c,
        )
    elif thing.startswith(("a ", "an ")) and chat.rng.random() < 0.35:
        noun = thing.partition(" ")[2]
        question = chat.user.phrase(
            "what {c} are {p}|which {c} are {p}|what is the {c} of {p}|what {c} do {p} have|{p}, what {c} are they|"
            "the {c} of {p}|tell me the {c} of {p}|what {c} are the {p}|tell me what {c} {p} are|"
            "what's the {c} of {p}|what {c} is the {n}|which {c} is the {n}|what is the {c} of the {n}|"
            "tell me what {c} the {n} is|what {c} is {n}|do you know what {c} {p} are|which {c} do {p} have|"
            "what {c} does the {n} have",
            p=plural(noun),
            n=noun,
            c=c,
        )
    else:
        question = chat.user.phrase(
            "what {c} is {t}|which {c} is {t}|what is the {c} of {t}|tell me the {c} of {t}|what {c} does {t} have|"
            "the {c} of {t}|can you tell me what {c} {t} is|do you know the {c} of {t}|which {c} does {t} have|"
            "{t}, what {c} is it|name the {c} of {t}|what's the {c} of {t}|say what {c} {t} is|"
            "can you tell me the {c} of {t}|{t} has which {c}|{c} of {t}|I want to know what {c} {t} is|"
            "give me the {c} of {t}|what would you say is the {c} of {t}|in what {c} do we see {t}",
            t=thing,
            c=c,
        )
    chat.topic = ("colour", thing)
    return question, chat.reply(capitalised(f"{thing} is {facts.COLOURS[thing]}."), facts.COLOURS[thing])


def sound(chat: Conversation) -> Exchange:
    """Return a question about the sound of an animal."""
    animal = chat.rng.choice(tuple(facts.SOUNDS))
    a = with_article(animal)
    if chat.topic and chat.topic[0] == "sound" and chat.rng.random() < 0.4:
        question = chat.user.phrase(
            "and {a}|what about {a}|how about {a}|and what about {a}|and the {n}|what about the {n}|"
            "and what does {a} say",
            a=a,
            n=animal,
        )
    elif chat.rng.random() < 0.25:
        question = chat.user.phrase(
            "what sound do {p} make|what do {p} say|how do {p} sound|what noise do {p} make|which sound do {p} make|"
            "what sounds do {p} make|tell me what {p} say|the sound of {p}|what is the sound of {p}|how do {p} go|"
            "can you tell me what sound {p} make|do you know what {p} say|what kind of noise do {p} make|"
            "what does {n} say|what sound does {n} make|what do the {p} say",
            p=plural(animal),
            n=animal,
        )
    else:
        question = chat.user.phrase(
            "what sound does {a} make|what does {a} say|which sound does {a} make|what noise does {a} make|"
            "how does {a} sound|what is the sound of {a}|what does the {n} say|how does the {n} go|how does {a} go|"
            "tell me what {a} says|what sound do you hear from {a}|tell me the sound of {a}|make the sound of {a}|"
            "can you make the sound of {a}|can you tell me what sound {a} makes|do you know what {a} says|"
            "which noise does the {n} make|what kind of sound does {a} make|imitate {a}|what is the noise of {a}|"
            "the sound of {a}|what sound does the {n} make|say what {a} says|do {a}",
            a=a,
            n=animal,
        )
    chat.topic = ("sound", animal)
    noise = facts.SOUNDS[animal]
    return question, chat.reply(f"{capitalised(a)} says {noise}.", noise)


def unknown_thing(chat: Conversation) -> Exchange:
    """Return a question about an opposite, colour or sound outside the tables."""
    rng, phrase = chat.rng, chat.user.phrase
    word = rng.choice(WORDS)
    kind = rng.choice(("opposite", "colour", "sound"))
    if kind == "opposite" and word not in facts.OPPOSITES:
        question = phrase(
            "what is the opposite of {w}|the opposite of {w}|tell me the opposite of {w}|what's the opposite of {w}",
            w=word,
        )
        return question, chat.reply(f"Sorry, I do not know the opposite of {word}.", "sorry")
    if kind == "colour" and not any(word in thing.split() for thing in facts.COLOURS):
        thing = f"{rng.choice(('the', 'a', 'my'))} {word}"
        question = phrase(
            "what colour is {t}|what color is {t}|which colour is {t}|what is the colour of {t}|"
            "tell me the color of {t}",
            t=thing,
        )
        return question, chat.reply(f"Sorry, I do not know the colour of {thing}.", "sorry")
    if word in facts.SOUNDS:
        return sound(chat)
    question = phrase(
        "what sound does {t} make|what does {t} say|how does {t} sound|what noise does {t} make", t=with_article(word)
    )
    return question, chat.reply(f"Sorry, I do not know the sound of {with_article(word)}.", "sorry")
