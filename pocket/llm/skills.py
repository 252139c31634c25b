"""The abilities, each as a function from a conversation so far to a question and its one right answer."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from pocket.llm import facts
from pocket.llm.elsewhere import REFUSAL, beyond
from pocket.llm.persona import Persona
from pocket.llm.phrasing import Speaker
from pocket.llm.stories import story
from pocket.llm.tables import items, names
from pocket.llm.words import WORDS, invented, plural

MEMORIES = ("name", "colour", "animal", "food", "home")
ABILITIES = (
    "I can tell capitals, small sums, days and months, opposites, colours and animal sounds, and I can "
    "count, spell, repeat, "
    "remember and tell a story."
)
NO_PICTURE = "I see no picture. Please send me one."


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
        return _capital(word) + "." if self.persona.one_word else sentence


Turn = tuple[str, str]
Skill = Callable[[Talk], Turn]


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _article(noun: str) -> str:
    return ("an " if noun[0] in "aeiou" else "a ") + noun


def _joined(parts: list[str]) -> str:
    return ", ".join(parts[:-1]) + " and " + parts[-1] if len(parts) > 1 else parts[0]


# ---- courtesies ----


def greeting(talk: Talk) -> Turn:
    """Hello."""
    asked = talk.speaker.put(
        "hello|hi|hey|good morning|good afternoon|good evening|hello there|hi there|hey there|hello {n}|hi {n}|hey {n}|"
        "good morning {n}|good day|greetings|hiya|hello hello|nice to meet you|good evening {n}|hello my friend|"
        "is anybody there|"
        "are you there|can you hear me|hello can you hear me|howdy|hello again|hi again|are you listening|"
        "hello, are you there|"
        "hey, are you awake|welcome|hi, good to see you|hello, I am here|morning|good to see you",
        "bare",
        n=talk.persona.name,
    )
    return asked, talk.reply(f"Hello! I am {talk.persona.name}. How can I help you?", "hello")


def how_are_you(talk: Talk) -> Turn:
    """How are you?"""
    asked = talk.speaker.put(
        "how are you|how are you doing|how are you today|how do you do|how is it going|are you well|are you okay|"
        "how do you feel|how are things|what's up|how have you been|are you fine|everything okay|"
        "hello, how are you|hi, how are you",
        "bare",
    )
    return asked, talk.reply("I am fine, thank you. How can I help you?", "fine")


def thanks(talk: Talk) -> Turn:
    """Thank you."""
    asked = talk.speaker.put(
        "thank you|thanks|thanks a lot|thank you very much|thank you so much|many thanks|"
        "that was helpful, thank you|great, thanks|"
        "thanks for your help|thank you {n}|thanks {n}|I thank you|cheers|very kind of you|that helped, thanks|"
        "perfect, thank you|"
        "much appreciated|wonderful, thank you|thanks for that|you are very helpful|you are great|well done|"
        "good job|that is right|"
        "that's nice, thank you|okay, thank you|thank you for the answer",
        "bare",
        n=talk.persona.name,
    )
    return asked, talk.reply("You are welcome.", "welcome")


def goodbye(talk: Talk) -> Turn:
    """Goodbye."""
    asked = talk.speaker.put(
        "goodbye|bye|bye bye|good night|see you|see you later|see you soon|see you tomorrow|goodbye {n}|bye {n}|"
        "I have to go now|"
        "I must go|I am leaving|that is all, goodbye|that was all|that's all for today|until next time|"
        "have a nice day|farewell|"
        "talk to you later|take care|so long|I am going to bed|good night {n}|thanks, goodbye|"
        "thank you and goodbye|see you then|"
        "I'm off now|we are done|that's it, bye",
        "bare",
        n=talk.persona.name,
    )
    return asked, talk.reply("Goodbye! Have a nice day.", "goodbye")


def who_are_you(talk: Talk) -> Turn:
    """Its name and role."""
    persona, put = talk.persona, talk.speaker.put
    if talk.rng.random() < 0.4:
        asked = put(
            "what is your name|what's your name|your name|how are you called|do you have a name|what are you called|"
            "may I ask your name|could you tell me your name|by what name do you go|say your name|"
            "what was your name again|"
            "how should I call you|what should I call you|what can I call you|can you tell me your name|"
            "which name do you have"
        )
        return asked, talk.reply(f"My name is {persona.name}.", persona.name)
    asked = put(
        "who are you|what are you|who is this|who am I talking to|who am I speaking with|introduce yourself|"
        "who is speaking|"
        "can you introduce yourself|please introduce yourself|tell me who you are|tell me about yourself|"
        "what is your role|"
        "what is your job|and who are you|who is there|can you tell me who you are|"
        "what kind of assistant are you|who exactly are you|"
        "with whom am I speaking|what do you do|describe yourself|say who you are|I want to know who you are|"
        "what exactly are you"
    )
    return asked, talk.reply(persona.introduction, persona.name)


def are_you_human(talk: Talk) -> Turn:
    """It is a program, whoever it plays."""
    asked = talk.speaker.put(
        "are you human|are you a human|are you a person|are you a real person|are you a robot|are you a machine|"
        "are you real|"
        "are you alive|am I talking to a machine|am I talking to a human|are you a computer|are you a program|"
        "is this a robot"
    )
    return asked, talk.reply(f"I am {talk.persona.name}, a computer program.", "program")


def abilities(talk: Talk) -> Turn:
    """What it can do."""
    asked = talk.speaker.put(
        "what can you do|what can you do for me|what do you know|how can you help me|can you help me|"
        "what are you able to do|"
        "what are your abilities|what can I ask you|what should I ask you|help|I need help|help me|"
        "what are you good at|"
        "what questions can you answer|what is it that you can do|which things can you do|tell me what you can do|"
        "what can we talk about|how can I use you|what are your skills|give me some ideas what to ask"
    )
    return asked, talk.reply(ABILITIES, "capitals")


def okay(talk: Talk) -> Turn:
    """A word that asks nothing."""
    asked = talk.speaker.put(
        "okay|ok|all right|I see|yes|no|good|fine|great|nice|cool|interesting|aha|oh|hmm|right|sure|sorry|"
        "never mind|well|um|"
        "that is interesting|I understand|got it|wow|not now|maybe|really|alright then|excuse me|oh I see|very good",
        "alone" if not talk.speaker.held_out else "bare",
    )
    return asked, talk.reply("Okay. What would you like to know?", "okay")


def say_again(talk: Talk) -> Turn:
    """Repeats its last answer."""
    if talk.last_answer is None:
        return capital(talk)
    asked = talk.speaker.put(
        "say that again|repeat that|can you repeat that|could you repeat that|what did you say|pardon|"
        "I did not hear you|"
        "once more|once again|come again|say it again|could you say that again|I didn't catch that|"
        "I did not understand you|"
        "please repeat|repeat your answer|what was that|again|one more time|can you say that once more|"
        "repeat what you said"
    )
    return asked, talk.last_answer


# ---- knowledge ----


def _country(talk: Talk) -> tuple[str, str]:
    """A country as it is asked for, and as it is answered."""
    country = talk.rng.choice(tuple(facts.CAPITALS))
    aliases = facts.COUNTRY_ALIASES.get(country, ())
    return (talk.rng.choice(aliases) if aliases and talk.rng.random() < 0.6 else country), country


def _capital_answer(talk: Talk, country: str) -> str:
    city = facts.CAPITALS[country]
    return talk.reply(f"The capital of {country} is {city}.", city)


def capital(talk: Talk) -> Turn:
    """Capitals, both ways round."""
    rng, put = talk.rng, talk.speaker.put
    asked_for, country = _country(talk)
    if rng.random() < 0.13:
        city = facts.CAPITALS[country]
        if list(facts.CAPITALS.values()).count(city) > 1:
            return capital(talk)
        asked = put(
            "{t} is the capital of which country|of which country is {t} the capital|"
            "which country has {t} as its capital|"
            "{t} is the capital of what|what country is {t} the capital of|which country's capital is {t}|"
            "whose capital is {t}|"
            "in which country is {t}|what country is {t} in|which country does {t} belong to|where is {t}",
            t=city,
        )
        word = country.removeprefix("the ")
        if talk.persona.one_word:
            return asked, talk.reply("", word)
        return asked, f"{city} is the capital of {country}."
    if rng.random() < 0.04:
        return _is_capital(talk, asked_for, country)
    if talk.topic and talk.topic[0] == "capital" and rng.random() < 0.4:
        asked = put(
            "and of {c}|and {c}|what about {c}|how about {c}|and for {c}|and the capital of {c}|and what about {c}|"
            "and that of {c}|"
            "now {c}|the same for {c}|what of {c}|and how about {c}|{c}",
            c=asked_for,
        )
    else:
        asked = put(
            "what is the capital of {c}|what's the capital of {c}|{c} capital|capital city of {c}|{c}'s capital|"
            "what is {c}'s capital city|what is {c}'s capital called|which city is {c}'s capital|"
            "whats the capital of {c}|"
            "which city is the capital of {c}|capital of {c}|"
            "the capital of {c}|what is the capital city of {c}|name the capital of {c}|tell me the capital of {c}|"
            "can you tell me what the capital of {c} is|do you know the capital of {c}|what city is the capital of {c}|"
            "what capital does {c} have|which capital does {c} have|I would like to know the capital of {c}|"
            "give me the capital of {c}|could you tell me the capital of {c}|what is {c}'s capital|"
            "where is the government of {c}|"
            "the capital of {c} is|do you happen to know what the capital of {c} is|what would be the capital of {c}|"
            "I want to know what the capital of {c} is|which is the capital of {c}|which town is the capital of {c}|"
            "what do you call the capital of {c}|how is the capital of {c} called|"
            "what is the name of the capital of {c}|"
            "for {c}, what is the capital|{c}, what is its capital|remind me of the capital of {c}|"
            "I forgot the capital of {c}|"
            "can you name the capital of {c}|{c} has which capital|say the capital of {c}",
            c=asked_for,
        )
    talk.topic = ("capital", country)
    return asked, _capital_answer(talk, country)


def _is_capital(talk: Talk, asked_for: str, country: str) -> Turn:
    city, other = facts.CAPITALS[country], talk.rng.choice(tuple(facts.CAPITALS.values()))
    named = talk.rng.choice((city, other))
    asked = talk.speaker.put(
        "is {t} the capital of {c}|is the capital of {c} {t}|the capital of {c} is {t}, is that right|"
        "am I right that {t} is the capital of {c}|{t} is the capital of {c}, isn't it|is it true that {t} is "
        "the capital of {c}",
        t=named,
        c=asked_for,
    )
    talk.topic = ("capital", country)
    verdict = "Yes" if named == city else "No"
    return asked, talk.reply(f"{verdict}, the capital of {country} is {city}.", verdict)


def unknown_capital(talk: Talk) -> Turn:
    """A country that is none."""
    place = invented(talk.rng).capitalize() + talk.rng.choice(("", "", "ia", "land"))
    asked = talk.speaker.put(
        "what is the capital of {c}|capital of {c}|tell me the capital of {c}|do you know the capital of {c}", c=place
    )
    return asked, talk.reply(f"Sorry, I do not know the capital of {_shown(talk, place)}.", "sorry")


_SUMS = {
    "+": (
        "what is {a} plus {b}|how much is {a} plus {b}|{a} plus {b} is|{a} plus {b} is what|"
        "{a} plus {b} equals what|what do I get when I add {a} and {b}|"
        "{a} plus {b}|{a} and {b}|what is the sum of {a} and {b}|"
        "add {a} and {b}|"
        "{a} + {b}|what is {a} + {b}|{a}+{b}|{a} + {b} =|what do {a} and {b} make|how much is {a} and {b}|"
        "what does {a} plus {b} make|"
        "what's {a} plus {b}|calculate {a} plus {b}|add {b} to {a}|can you add {a} and {b}|the sum of {a} and {b}|"
        "what do you get if you add {a} and {b}|how much do {a} and {b} make together|compute {a} + {b}|"
        "{a} plus {b} equals|"
        "what is {a} added to {b}|I have {a} and get {b} more, how many do I have|"
        "can you tell me what {a} plus {b} is|work out {a} plus {b}"
    ),
    "-": (
        "what is {a} minus {b}|how much is {a} minus {b}|{a} minus {b} is|{a} minus {b} is what|"
        "{a} minus {b} equals what|if I take {b} from {a} how many are left|"
        "I have {a} and give away {b}, how many are left|"
        "{a} minus {b}|{a} - {b}|what is {a} - {b}|{a}-{b}|{a} - {b} =|"
        "subtract {b} from {a}|take {b} away from {a}|what is {a} less {b}|what is {a} take away {b}|{a} take away {b}|"
        "what's {a} minus {b}|calculate {a} minus {b}|what is the difference of {a} and {b}|"
        "how much is left if I take {b} from {a}|"
        "what does {a} minus {b} make|can you subtract {b} from {a}|compute {a} - {b}|{a} minus {b} equals|"
        "what do you get if you subtract {b} from {a}|can you tell me what {a} minus {b} is|work out {a} minus {b}|"
        "what is left of {a} without {b}"
    ),
    "*": (
        "what is {a} times {b}|how much is {a} times {b}|{a} times {b} is|{a} times {b} is what|"
        "{a} times {b} equals what|{a} by {b}|what do I get when I multiply {a} by {b}|"
        "{a} times {b}|{a} x {b}|{a} * {b}|what is {a} x {b}|"
        "what is {a} * {b}|{a}*{b}|"
        "multiply {a} by {b}|multiply {a} and {b}|what is the product of {a} and {b}|the product of {a} and {b}|"
        "{a} times {b} equals|"
        "what is {a} multiplied by {b}|{a} multiplied by {b}|how much is {a} multiplied by {b}|"
        "what's {a} times {b}|{a} × {b}|{a}x{b}|"
        "calculate {a} times {b}|what does {a} times {b} make|can you multiply {a} by {b}|compute {a} * {b}|"
        "{a} x {b} =|"
        "what do you get if you multiply {a} by {b}|can you tell me what {a} times {b} is|work out {a} times {b}"
    ),
}
_SIGNS = {"+": "plus", "-": "minus", "*": "times"}


def arithmetic(talk: Talk) -> Turn:
    """Sums, differences and products of numbers up to twenty."""
    rng, speaker = talk.rng, talk.speaker
    sign = rng.choices("+-*", (3, 3, 4))[0]
    a, b = rng.randrange(21), rng.randrange(21)
    if sign == "-" and a < b and rng.random() < 0.6:
        a, b = b, a
    wordings = _SUMS[sign]
    if not speaker.digits:
        wordings = "|".join(
            w for w in wordings.split("|") if "}" + w.split("}")[1].split("{")[0] + "{" != "}" + sign + "{"
        )
        wordings = "|".join(
            w for w in wordings.split("|") if not any(s in w for s in ("+", " - ", "*", " x ", "×", "}x{", "}-{"))
        )
    result = {"+": a + b, "-": a - b, "*": a * b}[sign]
    asked = speaker.put(wordings, a=speaker.number(a), b=speaker.number(b))
    words = facts.words_of(result)
    short = words if 0 <= result <= 100 and " " not in words else str(result)
    return asked, talk.reply(_capital(f"{facts.words_of(a)} {_SIGNS[sign]} {facts.words_of(b)} is {words}."), short)


def big_sum(talk: Talk) -> Turn:
    """Sums out of reach."""
    rng, speaker = talk.rng, talk.speaker
    a, b = rng.randrange(21, 1000), rng.randrange(21, 1000)
    if rng.random() < 0.4:
        a, b = rng.choice(((rng.randrange(21), b), (a, rng.randrange(21))))
    sign = rng.choice("+-*")
    wordings = (
        _SUMS[sign]
        if speaker.digits
        else f"what is {{a}} {_SIGNS[sign]} {{b}}|how much is {{a}} {_SIGNS[sign]} {{b}}|{{a}} {_SIGNS[sign]} {{b}}"
    )
    return speaker.put(wordings, a=speaker.number(a), b=speaker.number(b)), talk.reply(
        "Sorry, I only do sums with numbers up to twenty.", "sorry"
    )


def too_far(talk: Talk) -> Turn:
    """Counting out of reach."""
    rng, speaker = talk.rng, talk.speaker
    start, stop = rng.randrange(0, 30), rng.randrange(50, 2000)
    asked = speaker.put(
        "count from {a} to {b}|can you count from {a} to {b}|count {a} to {b}|count {a} through {b}|"
        "count from {a} through {b}|can you count {a} to {b}|count on from {a} to {b}|"
        "I would like you to count from {a} to {b}|"
        "count up to {b}|count to {b}|"
        "say the numbers from {a} to {b}",
        "order",
        a=speaker.number(start),
        b=speaker.number(stop),
    )
    return asked, talk.reply("Sorry, I only count up to thirty.", "sorry")


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
        "what sound does {t} make|what does {t} say|how does {t} sound|what noise does {t} make", t=_article(word)
    )
    return asked, talk.reply(f"Sorry, I do not know the sound of {_article(word)}.", "sorry")


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
            "what is the antonym of {w}|"
            "{w} is the opposite of what|{w} opposite|opposite: {w}|what is the opposite for {w}|"
            "the opposite of {w}|"
            "tell me the opposite of {w}|"
            "can you tell me the opposite of {w}|name the opposite of {w}|give me the opposite of {w}|"
            "which word is the opposite of {w}|"
            "do you know the opposite of {w}|what word means the opposite of {w}|what is the contrary of {w}|"
            "what would be the opposite of {w}|"
            "{w}, what is its opposite|say the opposite of {w}|what is the reverse of {w}|I need the opposite of {w}|"
            "I am looking for the opposite of {w}|if something is not {w}, what is it|"
            "what is the opposite of the word {w}|"
            "which word is opposite to {w}|could you give me the opposite of {w}|what do you call the opposite of {w}",
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
            "the {c} of {p}|tell me the {c} of {p}|what {c} are the {p}|tell me what {c} {p} are|what's the {c} of {p}|"
            "what {c} is the {n}|which {c} is the {n}|what is the {c} of the {n}|tell me what {c} the {n} is|"
            "what {c} is {n}|"
            "do you know what {c} {p} are|which {c} do {p} have|what {c} does the {n} have",
            p=plural(noun),
            n=noun,
            c=c,
        )
    else:
        asked = talk.speaker.put(
            "what {c} is {t}|which {c} is {t}|what is the {c} of {t}|tell me the {c} of {t}|what {c} does {t} have|"
            "the {c} of {t}|"
            "can you tell me what {c} {t} is|do you know the {c} of {t}|which {c} does {t} have|{t}, what {c} is it|"
            "name the {c} of {t}|"
            "what's the {c} of {t}|say what {c} {t} is|can you tell me the {c} of {t}|{t} has which {c}|{c} of {t}|"
            "I want to know what {c} {t} is|give me the {c} of {t}|what would you say is the {c} of {t}|"
            "in what {c} do we see {t}",
            t=thing,
            c=c,
        )
    talk.topic = ("colour", thing)
    return asked, talk.reply(_capital(f"{thing} is {facts.COLOURS[thing]}."), facts.COLOURS[thing])


def sound(talk: Talk) -> Turn:
    """What an animal says."""
    animal = talk.rng.choice(tuple(facts.SOUNDS))
    a = _article(animal)
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
            "what does {n} say|"
            "what sound does {n} make|what do the {p} say",
            p=plural(animal),
            n=animal,
        )
    else:
        asked = talk.speaker.put(
            "what sound does {a} make|what does {a} say|which sound does {a} make|what noise does {a} make|"
            "how does {a} sound|"
            "what is the sound of {a}|what does the {n} say|how does the {n} go|how does {a} go|tell me what {a} says|"
            "what sound do you hear from {a}|tell me the sound of {a}|make the sound of {a}|"
            "can you make the sound of {a}|"
            "can you tell me what sound {a} makes|do you know what {a} says|which noise does the {n} make|"
            "what kind of sound does {a} make|"
            "imitate {a}|what is the noise of {a}|the sound of {a}|what sound does the {n} make|say what {a} says|"
            "do {a}",
            a=a,
            n=animal,
        )
    talk.topic = ("sound", animal)
    noise = facts.SOUNDS[animal]
    return asked, talk.reply(f"{_capital(a)} says {noise}.", noise)


# ---- days, months, counting ----


def calendar(talk: Talk) -> Turn:
    """Days and months: before, after, in order, how many."""
    rng = talk.rng
    return rng.choices((_neighbour, _nth, _how_many, _list_of, _days_of_month, _place), (8, 4, 2, 2, 2, 1.5))[0](talk)


def _unit(rng: random.Random) -> tuple[str, str, tuple[str, ...]]:
    return rng.choice((("day", "week", facts.DAYS), ("month", "year", tuple(facts.MONTHS))))


def _neighbour(talk: Talk) -> Turn:
    unit, _, names = _unit(talk.rng)
    index = talk.rng.randrange(len(names))
    name = names[index]
    follow_up = talk.topic and talk.topic[0] == unit
    if talk.rng.random() < 0.5:
        after = names[(index + 1) % len(names)]
        wordings = (
            "what {u} comes after {x}|which {u} comes after {x}|what {u} is after {x}|which {u} is after {x}|"
            "what {u} follows {x}|"
            "which {u} follows {x}|what comes after {x}|what is the {u} after {x}|{u} after {x}|next {u} after {x}|"
            "what comes next after {x}|"
            "what's the {u} following {x}|what {u} comes next after {x}|the {u} after {x}|what's after {x}|"
            "tell me the {u} after {x}|if today is {x}, what is tomorrow|which is the {u} after {x}|"
            "name the {u} after {x}|what {u} is next after {x}|"
            "can you tell me which {u} comes after {x}|after {x} comes which {u}|{x} is followed by what {u}|"
            "do you know the {u} after {x}"
        )
        if unit == "month":
            wordings = wordings.replace("if today is {x}, what is tomorrow|", "if it is {x} now, what is next month|")
        if follow_up and talk.rng.random() < 0.4:
            wordings = (
                "and after {x}|what about after {x}|and what comes after {x}|and which {u} comes after {x}|"
                "and the {u} after {x}"
            )
        asked, answer = talk.speaker.put(wordings, u=unit, x=name), after
        sentence = f"{after} comes after {name}."
    else:
        before = names[index - 1]
        wordings = (
            "what {u} comes before {x}|which {u} comes before {x}|what {u} is before {x}|which {u} is before {x}|"
            "what comes before {x}|{u} before {x}|"
            "what is the {u} before {x}|the {u} before {x}|what's before {x}|tell me the {u} before {x}|"
            "if today is {x}, what was yesterday|"
            "which {u} precedes {x}|which is the {u} before {x}|name the {u} before {x}|what {u} is right before {x}|"
            "can you tell me which {u} comes before {x}|before {x} comes which {u}|do you know the {u} before {x}"
        )
        if unit == "month":
            wordings = wordings.replace(
                "if today is {x}, what was yesterday|", "if it is {x} now, what was last month|"
            )
        if follow_up and talk.rng.random() < 0.4:
            wordings = (
                "and before {x}|what about before {x}|and what comes before {x}|and which {u} comes before {x}|"
                "and the {u} before {x}"
            )
        asked, answer = talk.speaker.put(wordings, u=unit, x=name), before
        sentence = f"{before} comes before {name}."
    talk.topic = (unit, name)
    return asked, talk.reply(sentence, answer)


def _nth(talk: Talk) -> Turn:
    unit, whole, names = _unit(talk.rng)
    index = talk.rng.randrange(len(names))
    ordinal = facts.ORDINALS[index]
    if index == len(names) - 1 and talk.rng.random() < 0.6:
        ordinal = "last"
    digits = talk.rng.random() < 0.2 and ordinal != "last"
    asked = talk.speaker.put(
        "what is the {o} {u} of the {w}|which {u} is the {o} {u} of the {w}|which is the {o} {u} of the {w}|"
        "name the {o} {u} of the {w}|"
        "the {o} {u} of the {w}|tell me the {o} {u} of the {w}|what's the {o} {u} of the {w}|which {u} is the {o}|"
        "which {u} is the {o} in the {w}|what {u} is the {o} of the {w}|what is the {o} {u} in the {w}|"
        "do you know the {o} {u} of the {w}",
        o=f"{index + 1}{('st', 'nd', 'rd', 'th')[min(index, 3)]}" if digits else ordinal,
        u=unit,
        w=whole,
    )
    return asked, talk.reply(f"The {ordinal} {unit} of the {whole} is {names[index]}.", names[index])


def _place(talk: Talk) -> Turn:
    unit, whole, names = _unit(talk.rng)
    index = talk.rng.randrange(len(names))
    asked = talk.speaker.put(
        "which {u} of the {w} is {x}|what number is {x}|which number is {x} in the {w}|the how manyth {u} is {x}|"
        "what place has {x} in the {w}|"
        "what position is {x} in the {w}|what number {u} is {x}|where in the {w} is {x}",
        u=unit,
        w=whole,
        x=names[index],
    )
    return asked, talk.reply(
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


def _how_many(talk: Talk) -> Turn:
    what = talk.rng.choice(tuple(_COUNTS))
    units, _, whole = what.partition(" in ")
    asked = talk.speaker.put(
        "how many {u} are in {w}|how many {u} are there in {w}|how many {u} does {w} have|how many {u} has {w}|"
        "how many {u} in {w}|"
        "tell me how many {u} are in {w}|what number of {u} does {w} have|do you know how many {u} {w} has|"
        "{w} has how many {u}|"
        "can you tell me how many {u} there are in {w}|how many {u} make {w}|of how many {u} is {w} made",
        u=units,
        w=whole,
    )
    sentence, word = _COUNTS[what]
    return asked, talk.reply(_capital(sentence) + ".", word)


def _days_of_month(talk: Talk) -> Turn:
    month = talk.rng.choice(tuple(facts.MONTHS))
    asked = talk.speaker.put(
        "how many days are in {x}|how many days are there in {x}|how many days does {x} have|"
        "how many days has {x}|how long is {x}|"
        "{x} has how many days|tell me how many days {x} has|how many days in {x}|do you know how many days {x} has|"
        "how many days are in the month of {x}|can you tell me how many days there are in {x}",
        x=month,
    )
    days = facts.words_of(facts.MONTHS[month])
    return asked, talk.reply(f"{month} has {days} days.", days)


def _list_of(talk: Talk) -> Turn:
    unit, whole, names = _unit(talk.rng)
    backwards = talk.rng.random() < 0.15
    wordings = (
        "name the {u}s of the {w}|list the {u}s of the {w}|what are the {u}s of the {w}|tell me the {u}s of the {w}|"
        "say the {u}s of the {w}|which are the {u}s of the {w}|can you name the {u}s of the {w}|"
        "what are all the {u}s of the {w}|"
        "list all {u}s of the {w}|name all the {u}s|the {u}s of the {w} in order|give me the {u}s of the {w}|"
        "what {u}s are there|"
        "tell me all the {u}s of the {w} in order|can you say the {u}s of the {w}|what are the names of the {u}s"
    )
    if backwards:
        wordings = (
            "name the {u}s of the {w} backwards|say the {u}s of the {w} backwards|"
            "the {u}s of the {w} in reverse order|list the {u}s of the {w} backwards|"
            "tell me the {u}s of the {w} backwards"
        )
    asked = talk.speaker.put(wordings, "order", u=unit, w=whole)
    ordered = list(reversed(names)) if backwards else list(names)
    if talk.persona.one_word:
        return asked, "-".join(ordered) + "."
    return (
        asked,
        f"The {unit}s of the {whole} are {_joined(ordered)}."
        if not backwards
        else f"Backwards, the {unit}s of the {whole} are {_joined(ordered)}.",
    )


def counting(talk: Talk) -> Turn:
    """Counting up and down."""
    rng, speaker = talk.rng, talk.speaker
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
            "count from {a} to {b}|can you count from {a} to {b}|count up from {a} to {b}|please count from {a} to {b}|"
            "count for me from {a} to {b}|say the numbers from {a} to {b}|count the numbers from {a} to {b}|"
            "list the numbers from {a} to {b}|"
            "tell me the numbers from {a} to {b}|could you count from {a} up to {b}|"
            "what are the numbers from {a} to {b}|"
            "start at {a} and count to {b}|I want you to count from {a} to {b}|counting from {a} to {b}|"
            "begin with {a} and count up to {b}|"
            "give me the numbers between {a} and {b}|name the numbers from {a} to {b}|count from {a} until {b}"
        ),
        "to": (
            "count to {b}|can you count to {b}|count up to {b}|please count to {b}|count for me to {b}|"
            "can you count up to {b}|"
            "could you count to {b}|count until {b}|I want to hear you count to {b}|show me how you count to {b}"
        ),
        "down": (
            "count down from {a} to {b}|count backwards from {a} to {b}|count from {a} down to {b}|"
            "can you count down from {a} to {b}|"
            "count from {a} to {b}|can you count backwards from {a} to {b}|say the numbers from {a} down to {b}|"
            "please count backward from {a} to {b}|start at {a} and count down to {b}|count back from {a} to {b}"
        ),
        "down_to_zero": (
            "count down from {a} to {b}|count backwards from {a} to {b}|do a countdown from {a} to {b}|"
            "make a countdown from {a} to {b}"
        ),
    }[kind]
    asked = speaker.put(wordings, "order", a=speaker.number(start), b=speaker.number(stop))
    numbers = [facts.words_of(n) for n in range(start, stop + (1 if up else -1), 1 if up else -1)]
    if talk.persona.one_word:
        return asked, _capital("-".join(numbers)) + "."
    return asked, _capital(", ".join(numbers)) + "."


# ---- words ----


def _any_word(rng: random.Random) -> str:
    kind = rng.random()
    if kind < 0.72:
        return rng.choice(WORDS)
    if kind < 0.8:
        return rng.choice(facts.ANIMALS)
    if kind < 0.87:
        return rng.choice([city for city in facts.CAPITALS.values() if city.isalpha()])
    return rng.choice(facts.NAMES) if kind < 0.94 else invented(rng)


def spelling(talk: Talk) -> Turn:
    """Spells a word, letter by letter."""
    word = _any_word(talk.rng)
    if talk.speaker.style == "lower":
        word = word.lower()
    if talk.topic and talk.topic[0] == "spelling" and talk.rng.random() < 0.3:
        asked = talk.speaker.put(
            "and {w}|what about {w}|how about {w}|and how about {w}|and what about {w}|now {w}|now spell {w}|"
            "and the word {w}",
            w=word,
        )
    else:
        asked = talk.speaker.put(
            "how do you spell {w}|spell {w}|how's {w} spelled|{w}, how do you spell it|how do we spell {w}|"
            "how to spell {w}|"
            "spelling of {w}|what's the spelling of {w}|spell {w} for me|spell the word {w}|"
            "can you spell {w}|how is {w} spelled|"
            "how is the word {w} spelled|"
            "please spell {w}|could you spell {w}|how do I spell {w}|how do you write {w}|"
            "what is the spelling of {w}|spell out {w}|"
            "tell me how to spell {w}|how is {w} written|can you spell the word {w}|what letters are in {w}|"
            "which letters are in the word {w}|"
            "how would you spell {w}|the spelling of {w}|can you tell me how to spell {w}|spell {w} letter by letter|"
            "give me the letters of {w}|I do not know how to spell {w}|how does one spell {w}|say the letters of {w}",
            w=word,
        )
    talk.topic = ("spelling", word)
    letters = list(word.upper())
    if talk.persona.one_word:
        return asked, "-".join(letters) + "."
    return asked, f"The word {word} is spelled {', '.join(letters)}."


def echo(talk: Talk) -> Turn:
    """Repeats words after the speaker."""
    rng = talk.rng
    text = something_to_say(rng)
    if talk.speaker.style == "lower":
        text = _plain(text).lower()
    elif rng.random() < 0.4:
        text = _plain(text)
    if rng.random() < 0.5:
        text = text[0].lower() + text[1:] if not text.startswith("I ") else text
    templates = (
        "repeat after me: {t}|repeat after me, {t}|repeat after me {t}|say {t}|please say {t}|repeat: {t}|repeat {t}|"
        "please repeat after me: {t}|can you say {t}|repeat these words: {t}|repeat the words {t}|"
        "say after me: {t}|say the words {t}|"
        "repeat this: {t}|say this: {t}|now repeat after me: {t}|can you repeat after me: {t}|"
        "I want you to say {t}|could you say {t}|"
        "repeat what I say: {t}|say the following: {t}|after me: {t}|repeat the following words: {t}|"
        "let me hear you say {t}|"
        "would you repeat after me {t}|speak after me: {t}|repeat the sentence {t}|just say {t}"
    )
    quiet = Speaker(rng, talk.speaker.held_out)
    quiet.style = {"written": "plain", "sloppy": "plain"}.get(talk.speaker.style, talk.speaker.style)
    asked = quiet.put(templates, "bare", t=text)
    if talk.persona.one_word and " " in text:
        word = rng.choice(WORDS)
        asked = quiet.put(templates, "bare", t=word)
        return asked, _capital(word) + "."
    return asked, _capital(text) + ("" if text[-1] in ".?!" else ".")


def _plain(text: str) -> str:
    return text.rstrip(".?!").replace(",", "")


def something_to_say(rng: random.Random) -> str:
    """Words or a sentence, of any kind."""
    kind = rng.random()
    if kind < 0.45:
        return " ".join(rng.choices(WORDS, k=rng.choice((1, 1, 2, 3, 3, 4, 5, 6, 8))))
    if kind < 0.65:
        return " ".join(_any_word(rng) for _ in range(rng.choice((1, 2, 3, 4, 5))))
    if kind < 0.72:
        return " ".join(facts.words_of(rng.randrange(101)) for _ in range(rng.randrange(1, 5)))
    return sentence(rng)


def sentence(rng: random.Random) -> str:
    """A plain made-up sentence."""
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
    "A {c} {a} ran over the road.|"
    "The old {w} stood near the {v}.|They found a {w} in the {c} box.|Nothing is as {w} as {v}.|I will call you on {d}."
)


# ---- memory ----

_TELL = {
    "name": (
        "my name is {v}|I am {v}|I'm {v}|remember my name is {v}|remember that my name is {v}|"
        "please remember my name, it is {v}|so you know my name, I am {v}|call me {v}|you can call me {v}|"
        "people call me {v}|I am called {v}|"
        "my name's {v}|"
        "hello, my name is {v}|hi, I am {v}|hi, I'm {v}|hello, I'm {v}|this is {v}|the name is {v}|"
        "this is {v} speaking|please call me {v}|"
        "everybody calls me {v}|{v} is my name|hello, this is {v}|let me introduce myself, I am {v}"
    ),
    "colour": (
        "my favourite colour is {v}|my favorite color is {v}|I like {v} best of all colours|"
        "I love the colour {v}|the colour I like best is {v}|"
        "{v} is my favourite colour|{v} is my favorite color|my best colour is {v}|the color I like most is {v}|"
        "I like the colour {v} most|"
        "my favorite colour is {v}|of all colours I like {v} best"
    ),
    "animal": (
        "my favourite animal is the {v}|my favorite animal is the {v}|my favourite animal is a {v}|"
        "the animal I like best is the {v}|"
        "the {v} is my favourite animal|the {v} is my favorite animal|my best animal is the {v}|"
        "of all animals I like the {v} best|"
        "the animal I love most is the {v}|my favorite animal is a {v}|I like the {v} most of all animals"
    ),
    "food": (
        "my favourite food is {v}|my favorite food is {v}|I like to eat {v} best|the food I like best is {v}|"
        "{v} is my favourite food|"
        "{v} is my favorite food|what I like to eat most is {v}|I love to eat {v}|I like eating {v} most|"
        "my favourite dish is {v}|"
        "the best food for me is {v}|of all food I like {v} best"
    ),
    "home": (
        "I live in {v}|my home is in {v}|I am living in {v}|I'm living in {v}|my house is in {v}|"
        "my home town is {v}|I come from {v}|"
        "I am from {v}|I'm from {v}|my flat is in {v}|the place where I live is {v}|I have a house in {v}|"
        "I live with my family in {v}|"
        "the city I live in is {v}"
    ),
}
_CORRECT = {
    "name": "no, my name is {v}|actually my name is {v}|my name is not {o}, it is {v}|sorry, I am {v}|"
    "I changed my name to {v}|actually, call me {v}",
    "colour": "no, my favourite colour is {v}|now my favourite colour is {v}|actually my favorite color is {v}|"
    "my favourite colour is not {o}, it is {v}",
    "animal": "no, my favourite animal is the {v}|now my favourite animal is the {v}|"
    "actually my favorite animal is the {v}|my favourite animal is not the {o}, it is the {v}",
    "food": "no, my favourite food is {v}|now my favourite food is {v}|actually my favorite food is {v}|"
    "my favourite food is not {o}, it is {v}",
    "home": "now I live in {v}|I moved to {v}|actually I live in {v}|I don't live in {o}, I live in {v}|"
    "I have moved to {v}|we moved from {o} to {v}",
}
_RECALL = {
    "name": (
        "what is my name|what's my name|do you remember what I am called|what did I say my name is|whats my name|"
        "who am I|do you know my name|do you remember my name|tell me my name|"
        "can you tell me my name|say my name|"
        "how am I called|what was my name|my name, what is it|what did I say my name was|"
        "do you still know my name|what is my name again|"
        "remember my name|could you say my name|what name did I tell you|who is speaking to you|what am I called|"
        "do you know who I am"
    ),
    "colour": (
        "what is my favourite colour|what's my favorite color|what color do I like|what colour did I say I like|"
        "my favourite colour, what is it|which colour do I like|which color do I like best|"
        "tell me my favourite colour|"
        "do you remember my favorite color|do you know my favourite colour|what colour do I like best|"
        "what was my favourite colour|"
        "what is my favorite color|my favourite colour is which one|which is my favourite colour|"
        "do you know which colour I like"
    ),
    "animal": (
        "what is my favourite animal|what's my favorite animal|what animal do I like|"
        "what animal did I say I like|which animal do I like|"
        "which animal do I like best|tell me my favourite animal|"
        "do you remember my favorite animal|do you know my favourite animal|what animal do I like best|"
        "what was my favourite animal|"
        "what is my favorite animal|which is my favourite animal|do you know which animal I like"
    ),
    "food": (
        "what is my favourite food|what's my favorite food|what food do I like|what food did I say I like|"
        "what do I like to eat|which food do I like best|"
        "tell me my favourite food|"
        "do you remember my favorite food|do you know my favourite food|what food do I like best|"
        "what was my favourite food|"
        "what is my favorite food|which is my favourite food|do you know what I like to eat|what do I like to eat best"
    ),
    "home": (
        "where do I live|where is my home|what city do I live in|in which city do I live|which town do I live in|"
        "do you remember my home|in which place do I live|do you know where I live|"
        "do you remember where I live|tell me where I live|"
        "where did I say I live|which city do I live in|what is my home town|where am I from|"
        "where do I come from|where is my house|"
        "can you tell me where I live|where was it that I live"
    ),
}
_VALUE = {"name": "{v}", "colour": "{v}", "animal": "the {v}", "food": "{v}", "home": "{v}"}
_LABEL = {"name": "name", "colour": "favourite colour", "animal": "favourite animal", "food": "favourite food"}


def _value(talk: Talk, what: str) -> str:
    rng = talk.rng
    table = {
        "colour": facts.PAINTS,
        "animal": facts.ANIMALS,
        "food": facts.FOODS,
        "home": facts.PLACES,
        "name": facts.NAMES,
    }[what]
    if what == "name" and rng.random() < 0.35:
        return invented(rng).capitalize()
    if what == "name" and rng.random() < 0.08:
        return f"{rng.choice(table)} {invented(rng).capitalize()}"
    if what == "home" and rng.random() < 0.2:
        return invented(rng).capitalize() + rng.choice(("", "ville", " City", "ton"))
    if what in ("colour", "animal", "food") and rng.random() < 0.15:
        return rng.choice(WORDS)
    return rng.choice(table)


def _shown(talk: Talk, value: str) -> str:
    """How this person writes the value, which is how the assistant gives it back unless it knows the name."""
    known = value in facts.NAMES or value in facts.PLACES
    return value if talk.speaker.style != "lower" or known else value.lower()


def _statement(what: str, value: str) -> str:
    if what == "home":
        return f"you live in {value}"
    return f"your {_LABEL[what]} is {_VALUE[what].format(v=value)}"


def tell(talk: Talk) -> Turn:
    """The speaker says something about himself, or corrects it."""
    what = talk.rng.choice(MEMORIES)
    old = talk.memory.get(what)
    value = _value(talk, what)
    while value == old:
        value = _value(talk, what)
    wordings = _CORRECT[what] if old and talk.rng.random() < 0.6 else _TELL[what]
    asked = talk.speaker.put(wordings, "say", v=value, o=old)
    value = _shown(talk, value)
    talk.memory[what] = value
    if what == "name":
        return asked, talk.reply(f"Nice to meet you, {value}.", "hello")
    return asked, talk.reply(f"I will remember that {_statement(what, value)}.", "okay")


def tell_two(talk: Talk) -> Turn:
    """Two things at once."""
    first, second = talk.rng.sample(MEMORIES, 2)
    values = {what: _value(talk, what) for what in (first, second)}
    parts = [talk.speaker.rng.choice(_TELL[what].split("|")[:3]).format(v=values[what]) for what in (first, second)]
    asked = talk.speaker.put("{x} and {y}|{x}, and {y}|{x} but {y}", "say", x=parts[0], y=parts[1])
    talk.memory.update({what: _shown(talk, value) for what, value in values.items()})
    told = [_statement(what, talk.memory[what]) for what in (first, second)]
    return asked, talk.reply(f"I will remember that {told[0]} and {told[1]}.", "okay")


def recall(talk: Talk) -> Turn:
    """What the speaker said about himself, or that he did not."""
    told = list(talk.memory)
    what = talk.rng.choice(told) if told and talk.rng.random() < 0.85 else talk.rng.choice(MEMORIES)
    asked = talk.speaker.put(_RECALL[what])
    value = talk.memory.get(what)
    if value is None:
        missing = "where you live" if what == "home" else f"your {_LABEL[what]}"
        return asked, talk.reply(f"You have not told me {missing} yet.", "unknown")
    return asked, talk.reply(_capital(_statement(what, value)) + ".", value)


def what_you_know(talk: Talk) -> Turn:
    """Everything that was said about the speaker."""
    asked = talk.speaker.put(
        "what do you know about me|what have I told you about me|what did I tell you about myself|"
        "tell me what you know about me|"
        "what do you remember about me|say all that you know about me"
    )
    if not talk.memory:
        return asked, talk.reply("You have not told me anything about you yet.", "nothing")
    if talk.persona.one_word:
        return recall(talk)
    return asked, _capital(
        _joined([_statement(what, talk.memory[what]) for what in MEMORIES if what in talk.memory])
    ) + "."


# ---- the rest ----


_REGULAR = tuple(
    animal
    for animal in facts.ANIMALS
    if animal[-1] not in "sxhyf" and animal not in ("mouse", "goose", "deer", "moose")
)


def tale(talk: Talk) -> Turn:
    """A short story about an animal."""
    rng = talk.rng
    animal = rng.choice(facts.ANIMALS) if rng.random() < 0.85 else rng.choice(WORDS)
    adjective = (
        rng.choice(names("little brave old lazy clever hungry white red black tiny happy sad young shy"))
        if rng.random() < 0.15
        else None
    )
    if adjective and rng.random() < 0.3:
        adjective = rng.choice(WORDS)
    hero = f"{adjective} {animal}" if adjective else animal
    if talk.topic and talk.topic[0] == "story" and rng.random() < 0.4:
        asked = talk.speaker.put(
            "another one about {a}|and one about {a}|now one about {a}|one more about {a}|another story about {a}|"
            "and now about {a}",
            "order",
            a=_article(hero),
        )
    elif rng.random() < 0.05 and animal in _REGULAR:
        adjective = None
        asked = talk.speaker.put(
            "tell me a story about {a}s|a story about {a}s|tell me a story about the {a}|"
            "tell me a short story about {a}s|story about {a}s|"
            "I want a story about {a}s|a story about the {a}|tell me a story about two {a}s|the story of the {a}|"
            "story about my {a}",
            "order",
            a=animal,
        )
    elif rng.random() < 0.08:
        animal, adjective = "fox", None
        asked = talk.speaker.put(
            "tell me a story|tell me a short story|I want to hear a story|can you tell a story|a story please|"
            "do you know a story",
            "order",
        )
    else:
        asked = talk.speaker.put(
            "tell me a story about {a}|tell me a short story about {a}|I'd like to hear a story about {a}|"
            "tell me about {a} in a story|a tale about {a}|I want a story with {a} in it|story time, {a}|"
            "tell a story about {a}|a story about {a}|"
            "can you tell me a story about {a}|"
            "I want to hear a story about {a}|make up a story about {a}|give me a story about {a}|"
            "could you tell a short story about {a}|"
            "please tell me a story about {a}|I would like a story about {a}|do you know a story about {a}|"
            "tell us a story about {a}|"
            "tell me something nice about {a} in a story|a short story about {a}|tell me a bedtime story about {a}|"
            "story about {a}|"
            "write a story about {a}|write a short story about {a}|invent a story about {a}|tell me a tale about {a}|"
            "let me hear a story about {a}|"
            "tell me a little story with {a}|can I have a story about {a}|how about a story about {a}|"
            "tell my son a story about {a}|"
            "tell me the story of {a}|please make a story about {a}|I'd love a story about {a}",
            "order",
            a=_article(hero),
        )
    talk.topic = ("story", animal)
    return asked, talk.reply(story(rng, animal, adjective), animal)


def anything_else(talk: Talk) -> Turn:
    """All that it politely declines."""
    return beyond(talk.speaker), talk.reply(REFUSAL, "sorry")


def look(talk: Talk) -> Turn:
    """A question about a picture that was not sent."""
    asked = talk.speaker.put(
        "what do you see|what do you see in the picture|describe the picture|describe the image|"
        "what is in the picture|what is in this image|"
        "what is this|how many circles do you see|what colour is the square|is there a circle in the picture|"
        "what shape is it|"
        "what is on the left|which digit is it|look at this picture|what can you see|what does the picture show|"
        "can you see the picture|"
        "what is shown here|what is in the photo|how many shapes are there|which is bigger, the square or the circle|"
        "what is above the triangle|what do you see in this image|describe what you see|tell me what you see|"
        "what number is drawn here"
    )
    return asked, talk.reply(NO_PICTURE, "nothing")


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
    "look": (look, 1.8),
}
"""Ability -> its skill and how often it comes up."""
