"""Training sentences of the voice: English text, cleaned by Coqui's `english_cleaners`.

Teacher and model both get the cleaned text, so they agree about "Mr." and "1999". A fiftieth of all texts, chosen by
checksum, is held out.
"""

import random
import re
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

from pocket.llm import dialogues, facts

ALPHABET = "abcdefghijklmnopqrstuvwxyz"
PUNCTUATION = "!',.? "
BEGIN, END = "<BOS>", "<EOS>"
DICTIONARY = Path("/usr/share/dict/words")
COMMON = Path(__file__).parents[1] / "llm" / "words.txt"
MAX_CHARACTERS = 150
Maker = Callable[[random.Random], str]


def _words(line: str) -> list[str]:
    return line.split()


def _lines(text: str) -> list[str]:
    return text.split("|")


SHAPES = _words("circle square triangle star rectangle diamond heart cross oval hexagon ring")
SIZES = _words("small large big tiny huge little")
SIDES = ["to the left of", "to the right of", "above", "below", "next to", "smaller than", "larger than", "bigger than"]
SHORT_ANSWERS = (
    "Yes. No. Maybe. Hello! Hi! Hello there! Goodbye! Bye! Thanks. Thank you. Sure. Okay. Of course. Please. Sorry. "
    "Right. Wrong. True. False. Good morning! Good evening! Good night! Good afternoon! Well done! Welcome! Wow! "
    "Never. Always. Nothing. Everything. Left. Right. None. Both. Here. There. Now. Stop. Go. I see. Me too. Why not? "
    "Really? What? Who? Where? When? How?"
)
PHRASES = _lines(
    "Hello! How can I help you today?|Hi there! What can I do for you?|Good morning! How can I help?|"
    "You are very welcome.|You're welcome!|My pleasure.|Glad to help!|Happy to help.|Goodbye! Have a nice day.|"
    "Goodbye! Take care.|See you soon!|See you later!|I am fine, thank you. How are you?|I am doing well, thank you.|"
    "I'm very well, thanks for asking.|I am sorry, I cannot help with that.|I'm sorry, I don't know that.|"
    "Sorry, that is beyond me. I can name capitals, do small sums, spell words and tell short stories.|"
    "I can tell you about capitals, sums, days, months, opposites, colours and animals.|"
    "I can only help with simple things, like counting, spelling and telling stories.|I don't know your name yet.|"
    "Please tell me more.|Could you say that again, please?|I did not hear anything.|"
    "I don't know, you have not told me.|You have not told me where you live.|Nice to meet you!|"
    "It is nice to meet you.|That is a good question.|"
    "I will remember that.|Thank you for telling me.|What would you like to know?|Is there anything else?|"
    "There is nothing in this picture.|I do not see any shapes.|I am not sure what you mean."
)
STORY_SENTENCES = _lines(
    "Once upon a time there was a {adj} {animal} named {name}.|One day, {name} the {animal} walked into the forest.|"
    "The {animal} wanted to find a {adj} {noun}.|On the way it met a {adj} {animal2}.|"
    "Together they looked for the {noun} until the sun went down.|The {animal} was very {adj}, but it did not give up.|"
    "At last they found the {noun} under a {adj} tree.|They shared it and became good friends.|"
    "From that day on, the {animal} was never {adj} again.|{name} smiled and went home to sleep.|"
    "The {animal2} laughed and said, thank you, {name}.|Every morning the {animal} went to the {noun} to drink.|"
    "In a small {noun} by the river lived a {animal} and a {animal2}.|And so the {animal} went home, tired but happy."
)
FRAMES = _lines(
    "The {w} {w} of the {w} is {w}.|I think that {w} and {w} are {w}.|They {w} the {w} with a {w} {w}.|"
    "She said it was {w}, {w} and {w}.|He can {w} a {w} in the {w}.|We have never {w} such a {w} {w}.|"
    "Is the {w} {w} or {w}?|Do you {w} the {w}?|Why did the {w} {w} the {w}?|What a {w} {w}!|"
    "{w}, {w}, {w} and {w}.|{w} {w} {w} {w} {w}.|{w} {w} {w} {w} {w} {w} {w}.|{w} {w} {w}.|My {w} likes to {w} {w}.|"
    "There are many {w} in our {w}.|If it is {w}, you should {w} before the {w}.|Please {w} the {w} for me.|"
    "After the {w}, everyone was {w}.|You said {w} {w}.|The word is {w}.|{w} and {w}.|{w} or {w}?|It was about {w} {w}."
)
TITLES = _words("Mr. Mrs. Dr. Capt. Gen. Col. Sgt. Lt. Rev. St.")
THINGS = _words("river house cave garden bridge hill stone berry feather lake star ball hat cake bell")
UNITS = _words("apples cats dogs people books miles days hours minutes years degrees meters pounds shapes words")
MONTHS = tuple(facts.MONTHS)


@cache
def common_words() -> tuple[str, ...]:
    """Return a few thousand common words."""
    return tuple(COMMON.read_text().split())


@cache
def all_words() -> tuple[str, ...]:
    """Return the words of the system's dictionary without possessives and abbreviations (Debian's `wamerican`)."""
    return tuple(w for w in DICTIONARY.read_text().split() if re.fullmatch("[A-Z]?[a-z]{1,12}", w) and len(w) > 2)


def capital(rng: random.Random) -> str:
    country = rng.choice(list(facts.CAPITALS))
    return rng.choice(
        [
            f"The capital of {country} is {facts.CAPITALS[country]}.",
            f"{facts.CAPITALS[country]} is the capital of {country}.",
            f"What is the capital of {country}?",
            f"{facts.CAPITALS[country]}.",
            f"It is {facts.CAPITALS[country]}.",
        ]
    )


def number(rng: random.Random, below: int = 21) -> str:
    value = rng.randrange(below)
    return rng.choice([str(value), facts.words_of(value)])


def arithmetic(rng: random.Random) -> str:
    sign = rng.choice(["plus", "minus", "times"])
    return rng.choice(
        [
            f"{number(rng)} {sign} {number(rng)} is {number(rng, 400)}.",
            f"{number(rng)} {sign} {number(rng)} equals {number(rng, 400)}.",
            f"What is {number(rng)} {sign} {number(rng)}?",
            f"The answer is {number(rng, 400)}.",
            f"That makes {number(rng, 400)}.",
            f"{number(rng, 400)}.".capitalize(),
        ]
    )


def counting(rng: random.Random) -> str:
    start, length = rng.randrange(30), rng.randint(2, 10)
    run = range(start, start + length)
    return ", ".join(rng.choice([str, facts.words_of])(n) for n in run).capitalize() + "."


def calendar(rng: random.Random) -> str:
    day, other = rng.sample(facts.DAYS, 2)
    month, later = rng.sample(MONTHS, 2)
    return rng.choice(
        [
            f"The day after {day} is {other}.",
            f"{day} comes before {other}.",
            f"{month} has {facts.MONTHS[month]} days.",
            f"{month} is the {rng.choice(facts.ORDINALS)} month of the year.",
            f"After {month} comes {later}.",
            f"It was {day}, the {rng.randint(1, 31)}{rng.choice(['th', 'th of'])} {month}.",
            f"{day}.",
            f"{month}.",
            ", ".join(rng.sample(facts.DAYS, rng.randint(2, 7))) + ".",
        ]
    )


def knowledge(rng: random.Random) -> str:
    word, opposite = rng.choice(list(facts.OPPOSITES.items()))
    thing, colour = rng.choice(list(facts.COLOURS.items()))
    animal, sound = rng.choice(list(facts.SOUNDS.items()))
    return rng.choice(
        [
            f"The opposite of {word} is {opposite}.",
            f"{opposite} is the opposite of {word}.".capitalize(),
            f"{thing} is {colour}.".capitalize(),
            f"What colour is {thing}?",
            f"A {animal} says {sound}.",
            f"The {animal} goes {sound}.",
            f"{opposite}.".capitalize(),
        ]
    )


def memory(rng: random.Random) -> str:
    name, place = rng.choice(facts.NAMES), rng.choice(facts.PLACES)
    return rng.choice(
        [
            f"Your name is {name}.",
            f"Nice to meet you, {name}!",
            f"Hello {name}, how are you?",
            f"My name is {name}.",
            f"I am {name}, your assistant.",
            f"I'm {name}. What is your name?",
            f"You live in {place}.",
            f"I will remember that you live in {place}.",
            f"Your favourite colour is {rng.choice(facts.PAINTS)}.",
            f"Your favorite food is {rng.choice(facts.FOODS)}.",
            f"You like {rng.choice(facts.FOODS)}, {name}.",
            f"Your favourite animal is the {rng.choice(facts.ANIMALS)}.",
            f"{name}.",
            f"{place}.".capitalize(),
        ]
    )


def spelling(rng: random.Random) -> str:
    word = rng.choice(common_words() + facts.NAMES)
    characters = [character.upper() for character in word]
    spelled = rng.choice([", ", ", ", " "]).join(characters)
    return rng.choice([f"{spelled}.", f"{word} is spelled {spelled}.", f"{rng.choice(ALPHABET).upper()}."])


def shape(rng: random.Random, plural: bool = False) -> str:
    size = rng.choice(["", "", rng.choice(SIZES) + " "])
    return f"{size}{rng.choice(facts.PAINTS)} {rng.choice(SHAPES)}{'s' if plural else ''}"


def picture(rng: random.Random) -> str:
    count = rng.choice(["two", "three", "four", "five", "six"])
    return rng.choice(
        [
            f"I see a {shape(rng)}.",
            f"I see {count} {shape(rng, plural=True)}.",
            f"There is a {shape(rng)} and a {shape(rng)}.",
            f"I see a {shape(rng)} and {count} {shape(rng, plural=True)}.",
            f"There are {count} {shape(rng, plural=True)}.",
            f"The {shape(rng)} is {rng.choice(SIDES)} the {shape(rng)}.",
            f"The picture shows a {shape(rng)} {rng.choice(SIDES)} a {shape(rng)}.",
            f"I see the digit {number(rng, 10)}.",
            f"It is a {rng.choice(facts.PAINTS)} {number(rng, 10)} on a {rng.choice(facts.PAINTS)} background.",
            f"A {shape(rng)}.",
        ]
    )


def story(rng: random.Random) -> str:
    animal, other = rng.sample(facts.ANIMALS, 2)
    adjective = rng.choice(list(facts.OPPOSITES))
    noun, name = rng.choice(THINGS), rng.choice(facts.NAMES)
    return rng.choice(STORY_SENTENCES).format(animal=animal, animal2=other, adj=adjective, noun=noun, name=name)


def random_words(words: Callable[[], tuple[str, ...]]) -> Maker:
    def make(rng: random.Random) -> str:
        frame = rng.choice(FRAMES)
        text = re.sub(r"\{w\}", lambda _: rng.choice(words()), frame)
        return text[0].upper() + text[1:]

    return make


def one_word(rng: random.Random) -> str:
    if rng.random() < 0.3:
        return rng.choice(re.findall(r"[^.!?]+[.!?]", SHORT_ANSWERS)).strip()
    word = rng.choice(rng.choice([common_words(), facts.NAMES, facts.ANIMALS, facts.PAINTS, facts.FOODS]))
    return word.capitalize() + rng.choice(["", ".", ".", ".", "!", "?"])


def figures(rng: random.Random) -> str:
    title, name = rng.choice(TITLES), rng.choice(facts.NAMES)
    value = rng.choice([rng.randrange(100), rng.randrange(1000), rng.randrange(10_000), rng.randint(1900, 2030)])
    decimal = f"{rng.randrange(100)}.{rng.randrange(1, 100)}"
    return rng.choice(
        [
            f"{title} {name} has {value} {rng.choice(UNITS)}.",
            f"{title} {name} lives in {rng.choice(facts.PLACES)}.",
            f"It costs ${rng.randrange(1, 200)}.",
            f"That is ${rng.randrange(1, 100)}.{rng.randrange(10, 100)}.",
            f"About {decimal} {rng.choice(UNITS)}.",
            f"{decimal}.",
            f"It happened in {value}.",
            f"In {rng.randint(1100, 2030)}, {name} was {rng.randrange(100)} years old.",
            f"{value}.",
            f"It is {rng.randint(1, 12)}:{rng.randrange(60):02d}.",
            f"We met {title} {name} at {rng.randint(1, 12)}:{rng.randrange(60):02d} pm.",
            f"He came {rng.randint(1, 40)}th of {rng.randint(2, 99)}.",
            f"{rng.randint(1, 99):,},{rng.randrange(1000):03d} {rng.choice(UNITS)}.",
        ]
    )


def answer(rng: random.Random) -> str:
    """Return a sentence of an answer of the pocket language model."""
    return rng.choice(re.split(r"(?<=[.!?]) ", dialogues.assistant_line(rng)))


KINDS: dict[Maker, float] = {
    answer: 20,
    capital: 4,
    arithmetic: 4,
    counting: 3,
    calendar: 3,
    knowledge: 3,
    memory: 5,
    spelling: 5,
    picture: 6,
    story: 3,
    lambda rng: rng.choice(PHRASES): 2,
    random_words(common_words): 24,
    random_words(all_words): 18,
    one_word: 8,
    figures: 6,
}


def held_out(text: str) -> bool:
    """Return whether `text` (before cleaning) is reserved for evaluation."""
    return zlib.crc32(text.encode()) % 50 == 0


def sentences(seed: int) -> Iterator[str]:
    """Yield random sentences without end, including held-out ones."""
    rng = random.Random(seed)
    kinds, weights = list(KINDS), list(KINDS.values())
    while True:
        text = rng.choices(kinds, weights)[0](rng)
        if rng.random() < 0.05:
            text = f"{text} {rng.choices(kinds, weights)[0](rng)}"
        if len(text) <= MAX_CHARACTERS:
            yield text


def clean(text: str) -> str:
    """Return the input of the model's tokenizer: Coqui's cleaner, then only characters of its alphabet."""
    from TTS.tts.utils.text.cleaners import english_cleaners

    known = set(ALPHABET + PUNCTUATION)
    return "".join(character for character in english_cleaners(text) if character in known)


def symbols(cleaned: str) -> list[str]:
    """Return the begin symbol, the characters of a cleaned text and the end symbol."""
    return [BEGIN, *cleaned, END]
