"""Opposites, colours of things and sounds of animals."""

from pocket.llm import facts
from pocket.llm.conversation import Talk, Turn, capitalised, with_article
from pocket.llm.words import WORDS, plural


def opposite(talk: Talk) -> Turn:
    """Opposites."""
    word = talk.rng.choice(tuple(facts.OPPOSITES))
    if talk.topic and talk.topic[0] == "opposite" and talk.rng.random() < 0.4:
        asked = talk.speaker.put(
            "and of {w}|and {w}|what about {w}|how about {w}|and the opposite of {w}|now {w}|and for {w}", w=word
        )
    else:
        asked = talk.speaker.put(
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
    talk.topic = ("opposite", word)
    other = facts.OPPOSITES[word]
    return asked, talk.reply(f"The opposite of {word} is {other}.", other)


def colour(talk: Talk) -> Turn:
    """The usual colour of a thing."""
    thing = talk.rng.choice(tuple(facts.COLOURS))
    c = talk.rng.choice(("colour", "color"))
    if talk.topic and talk.topic[0] == "colour" and talk.rng.random() < 0.4:
        asked = talk.speaker.put(
            "and {t}|what about {t}|how about {t}|and what about {t}|and the {c} of {t}|and which {c} is {t}",
            t=thing,
            c=c,
        )
    elif thing.startswith(("a ", "an ")) and talk.rng.random() < 0.35:
        noun = thing.partition(" ")[2]
        asked = talk.speaker.put(
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
        asked = talk.speaker.put(
            "what {c} is {t}|which {c} is {t}|what is the {c} of {t}|tell me the {c} of {t}|what {c} does {t} have|"
            "the {c} of {t}|can you tell me what {c} {t} is|do you know the {c} of {t}|which {c} does {t} have|"
            "{t}, what {c} is it|name the {c} of {t}|what's the {c} of {t}|say what {c} {t} is|"
            "can you tell me the {c} of {t}|{t} has which {c}|{c} of {t}|I want to know what {c} {t} is|"
            "give me the {c} of {t}|what would you say is the {c} of {t}|in what {c} do we see {t}",
            t=thing,
            c=c,
        )
    talk.topic = ("colour", thing)
    return asked, talk.reply(capitalised(f"{thing} is {facts.COLOURS[thing]}."), facts.COLOURS[thing])


def sound(talk: Talk) -> Turn:
    """What an animal says."""
    animal = talk.rng.choice(tuple(facts.SOUNDS))
    a = with_article(animal)
    if talk.topic and talk.topic[0] == "sound" and talk.rng.random() < 0.4:
        asked = talk.speaker.put(
            "and {a}|what about {a}|how about {a}|and what about {a}|and the {n}|what about the {n}|"
            "and what does {a} say",
            a=a,
            n=animal,
        )
    elif talk.rng.random() < 0.25:
        asked = talk.speaker.put(
            "what sound do {p} make|what do {p} say|how do {p} sound|what noise do {p} make|which sound do {p} make|"
            "what sounds do {p} make|tell me what {p} say|the sound of {p}|what is the sound of {p}|how do {p} go|"
            "can you tell me what sound {p} make|do you know what {p} say|what kind of noise do {p} make|"
            "what does {n} say|what sound does {n} make|what do the {p} say",
            p=plural(animal),
            n=animal,
        )
    else:
        asked = talk.speaker.put(
            "what sound does {a} make|what does {a} say|which sound does {a} make|what noise does {a} make|"
            "how does {a} sound|what is the sound of {a}|what does the {n} say|how does the {n} go|how does {a} go|"
            "tell me what {a} says|what sound do you hear from {a}|tell me the sound of {a}|make the sound of {a}|"
            "can you make the sound of {a}|can you tell me what sound {a} makes|do you know what {a} says|"
            "which noise does the {n} make|what kind of sound does {a} make|imitate {a}|what is the noise of {a}|"
            "the sound of {a}|what sound does the {n} make|say what {a} says|do {a}",
            a=a,
            n=animal,
        )
    talk.topic = ("sound", animal)
    noise = facts.SOUNDS[animal]
    return asked, talk.reply(f"{capitalised(a)} says {noise}.", noise)


def unknown_thing(talk: Talk) -> Turn:
    """An opposite, a colour or a sound that it does not know."""
    rng, put = talk.rng, talk.speaker.put
    word = rng.choice(WORDS)
    kind = rng.choice(("opposite", "colour", "sound"))
    if kind == "opposite" and word not in facts.OPPOSITES:
        asked = put(
            "what is the opposite of {w}|the opposite of {w}|tell me the opposite of {w}|what's the opposite of {w}",
            w=word,
        )
        return asked, talk.reply(f"Sorry, I do not know the opposite of {word}.", "sorry")
    if kind == "colour" and not any(word in thing.split() for thing in facts.COLOURS):
        thing = f"{rng.choice(('the', 'a', 'my'))} {word}"
        asked = put(
            "what colour is {t}|what color is {t}|which colour is {t}|what is the colour of {t}|"
            "tell me the color of {t}",
            t=thing,
        )
        return asked, talk.reply(f"Sorry, I do not know the colour of {thing}.", "sorry")
    if word in facts.SOUNDS:
        return sound(talk)
    asked = put(
        "what sound does {t} make|what does {t} say|how does {t} sound|what noise does {t} make", t=with_article(word)
    )
    return asked, talk.reply(f"Sorry, I do not know the sound of {with_article(word)}.", "sorry")
