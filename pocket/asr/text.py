"""Training sentences of the recognizer: the language model's domain, questions about pictures, and common words.

Transcripts have capitals and punctuation. Numbers are always words, as "12" and "twelve" sound the same.
"""

import random
import re
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from pocket.llm import dialogues
from pocket.tts.text import held_out as held_out_by_tts

WORDS = tuple(Path(__file__).with_name("words.txt").read_text().split())

_ONES = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS = ["_", "_", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_HELD_OUT_ONE_IN = 40

_SHAPES = ["circle", "square", "triangle", "star", "cross", "diamond", "rectangle", "heart", "ring"]
_COLOURS = ["red", "green", "blue", "yellow", "orange", "purple", "black", "white", "pink", "brown", "gray"]
_POSITIONS = [
    "left",
    "right",
    "top",
    "bottom",
    "middle",
    "center",
    "corner",
    "left|side",
    "right|side",
    "top|left|corner",
    "top|right|corner",
    "bottom|left|corner",
    "bottom|right|corner",
    "upper|half",
    "lower|half",
]


def spell_number(number: int) -> str:
    """Return an integer as English words (21 -> "twenty one", -3 -> "minus three"); digit by digit from a million."""
    if number < 0:
        return f"minus {spell_number(-number)}"
    if number < 20:
        return _ONES[number]
    if number < 100:
        return _TENS[number // 10] + (f" {_ONES[number % 10]}" if number % 10 else "")
    for size, name in ((1000, "thousand"), (100, "hundred")):
        if size <= number < 1000 * size:
            rest = f" {spell_number(number % size)}" if number % size else ""
            return f"{spell_number(number // size)} {name}{rest}"
    return " ".join(_ONES[int(digit)] for digit in str(number))


def transcript(text: str) -> str:
    """Return `text` in the form of a transcript: digits and signs as words, and no punctuation except `',.?!`."""
    text = text.replace("’", "'").replace("×", " times ").replace("÷", " divided by ").replace("&", " and ")
    text = re.sub(r"(?<=[\d ])\*(?=[\d ])", " times ", text)
    text = re.sub(r"(?<=[\d ])\+(?=[\d ])|^\+(?=\d)", " plus ", text)
    text = re.sub(r"(?<=\d)\s*[-–]\s*(?=\d)", " minus ", text)
    text = re.sub(r"(?<=[\d ])=(?=[\d ?])", " equals ", text).replace("%", " percent ")
    text = re.sub(r"\d+", lambda m: f" {spell_number(int(m.group()))} ", text)
    text = re.sub(r"(?<=\w)-(?=\w)", " ", text)
    text = re.sub(r"[^A-Za-z',.?! ]+", " ", text)
    text = re.sub(r"\s+([,.?!])", r"\1", text)
    return " ".join(text.split())


def words(text: str) -> list[str]:
    """Return the words for the comparison of two transcripts: lower case, no punctuation, numbers as words."""
    return re.findall(r"[a-z]+(?:'[a-z]+)*", transcript(text).lower())


def held_out(text: str) -> bool:
    """Return whether a sentence is reserved for evaluation; False for three words or fewer."""
    normalized = words(text)
    return len(normalized) > 3 and zlib.crc32(" ".join(normalized).encode()) % _HELD_OUT_ONE_IN == 0


def domain(rng: random.Random) -> str:
    """Return a random sentence of a conversation, about a picture, or about a sum; may be empty."""
    kind = rng.choices((_conversation, _picture_line, _picture_answer, _sum), weights=(12, 4, 3, 2))[0]
    return kind(rng)


def sentence(rng: random.Random) -> str:
    """Return a random training sentence: of the domain, or arbitrary words, spelled words and numbers.

    It is neither held out here nor by the pocket voice, which this recognizer evaluates.
    """
    kinds = (domain, _random_words, _repeat, _numbers, _spelled_word, _word)
    while True:
        text = rng.choices(kinds, weights=(60, 20, 8, 5, 3, 4))[0](rng)
        if text and not held_out(text) and not held_out_by_tts(text):
            return text


def held_out_sentences(rng: random.Random) -> Iterator[str]:
    """Yield distinct held-out sentences of the domain, without end."""
    seen: set[str] = set()
    while True:
        text = domain(rng)
        if text and held_out(text) and text not in seen:
            seen.add(text)
            yield text


def _conversation(rng: random.Random) -> str:
    return rng.choice(_sentences(dialogues.speech_lines(rng)[0]) or [""])


def _sentences(text: str) -> list[str]:
    """Return the sentences of a text, up to about fifteen seconds of speech each; drop longer ones."""
    parts = re.split(r"(?<=[.?!])\s+", transcript(text))
    return [part for part in parts if 1 <= len(part) <= 220 and re.search("[a-zA-Z]", part)]


def _picture_line(rng: random.Random) -> str:
    shape, other = rng.sample(_SHAPES, 2)
    colour, second = rng.sample(_COLOURS, 2)
    position = rng.choice(_POSITIONS).replace("|", " ")
    count, figure = rng.choice(_ONES[1:9]), rng.choice(("digit", "number"))
    relation = rng.choice(("left of", "right of", "above", "below", "bigger than", "smaller than", "next to", "inside"))
    subject = rng.choice(("picture", "image", "photo", "drawing"))
    forms: tuple[Callable[[], str], ...] = (
        lambda: rng.choice(("What do you see", "What can you see")) + rng.choice(("", f" in the {subject}", " here")),
        lambda: f"What is {rng.choice(('in', 'on', 'shown in'))} {rng.choice(('the', 'this'))} {subject}",
        lambda: f"Describe {rng.choice(('the', 'this'))} {subject}{rng.choice(('', ' please', ' in one sentence'))}",
        lambda: f"How many {rng.choice((colour + ' ', ''))}{_plural(shape)} {rng.choice(('are there', 'do you see'))}",
        lambda: (
            f"How many {rng.choice(('shapes', 'objects', 'things'))} are {rng.choice(('there', 'in the ' + subject))}"
        ),
        lambda: f"What {rng.choice(('color', 'colour'))} is the {shape}",
        lambda: f"What shape is {rng.choice(('it', 'this', 'the ' + colour + ' one', 'on the ' + position))}",
        lambda: f"Where is the {rng.choice((colour + ' ', ''))}{shape}",
        lambda: f"Is there a {rng.choice((colour + ' ', ''))}{shape}{rng.choice(('', ' in the ' + subject))}",
        lambda: f"Is the {shape} {relation} the {other}",
        lambda: f"Is the {colour} {shape} {relation} the {second} {other}",
        lambda: (
            f"Which {rng.choice(('digit', 'number'))} {rng.choice(('is this', 'is it', 'do you see', 'is written'))}"
        ),
        lambda: (
            f"What {rng.choice(('digit', 'number'))} is {rng.choice(('this', 'it', 'drawn here', 'in the ' + subject))}"
        ),
        lambda: f"What is {rng.choice(('on', 'at', 'in'))} the {position}",
        lambda: f"Which one is {rng.choice(('bigger', 'smaller', 'larger'))}, the {shape} or the {other}",
        lambda: f"The {subject} shows {count} {colour} {_plural(shape)}",
        lambda: f"I see a {colour} {shape} {relation} a {second} {other}",
        lambda: f"The {colour} {shape} is {relation} the {second} {other}",
        lambda: f"There {rng.choice(('are', 'were'))} {count} {colour} {_plural(shape)} and a {second} {other}",
        lambda: f"A {rng.choice(('big', 'small', 'large'))} {colour} {shape} is on the {position}",
        lambda: f"The {figure} is {rng.choice(_ONES[:10])}",
    )
    text = rng.choice(forms)()
    question = text.split()[0] in ("What", "How", "Where", "Is", "Which")
    return text + ("?" if question else ".")


def _picture_answer(rng: random.Random) -> str:
    """Return an answer of the vision model about a picture."""
    shape, other = rng.sample(_SHAPES, 2)
    colour, second = rng.sample(_COLOURS, 2)
    number = rng.randint(1, 4)
    some = f"{_ONES[number]} {colour} {_plural(shape)}" if number > 1 else f"{_article(colour)} {shape}"
    one, another = f"{_article(colour)} {shape}", f"{_article(second)} {other}"
    relation = rng.choice(("to the left of", "to the right of", "above", "below"))
    forms = (
        f"I see {some}",
        f"I see {some}",
        f"I see {some} and {another}",
        f"I see {some}, {another} and {_article(rng.choice(_COLOURS))} {rng.choice(_SHAPES)}",
        f"I see {one} {relation} {another}",
        f"There {'are' if number > 1 else 'is'} {some}",
        f"{rng.choice(('Yes, I see', 'Yes, there is'))} {one}",
        f"No, I see no {colour} {shape}",
        f"I see the {rng.choice(('digit', 'number'))} {rng.choice(_ONES[:10])}",
        f"The {shape} is {colour}",
        f"It is {rng.choice((one, _article(rng.choice(_ONES[:10]))))}",
    )
    return rng.choice(forms) + "."


def _plural(shape: str) -> str:
    return shape + ("es" if shape.endswith("s") else "s")


def _article(word: str) -> str:
    return f"{'an' if word[0] in 'aeio' and word != 'one' else 'a'} {word}"


def _sum(rng: random.Random) -> str:
    left, right = spell_number(rng.randint(0, 20)), spell_number(rng.randint(0, 20))
    sign = rng.choice(("plus", "minus", "times", "and", "divided by"))
    start = rng.choice(("What is", "What's", "How much is", "Tell me", "Calculate", "Please add", "Can you tell me"))
    if rng.random() < 0.4:
        return f"{left} {sign} {right} is {spell_number(rng.randint(0, 400))}.".capitalize()
    return f"{start} {left} {sign} {right}" + ("?" if start.startswith(("W", "H", "Can")) else ".")


def _random_words(rng: random.Random) -> str:
    """Return random words, which the decoder cannot predict from context."""
    chosen = [rng.choice(WORDS) for _ in range(rng.randint(2, 10))]
    if rng.random() < 0.5:
        fillers = ("the", "a", "and", "of", "to", "in", "is", "my", "your", "with", "for", "on", "not", "that")
        chosen = [w for word in chosen for w in ((rng.choice(fillers), word) if rng.random() < 0.5 else (word,))]
    return " ".join(chosen).capitalize() + rng.choice(".....?!")


def _repeat(rng: random.Random) -> str:
    phrase = " ".join(rng.choice(WORDS) for _ in range(rng.randint(1, 5)))
    start = rng.choice(
        ("Repeat after me,", "Say", "Please repeat", "Please say", "Say after me,", "Can you say", "Repeat", "Spell")
    )
    return f"{start} {phrase}."


def _numbers(rng: random.Random) -> str:
    if rng.random() < 0.4:
        first = rng.randint(0, 30)
        return ", ".join(spell_number(n) for n in range(first, first + rng.randint(2, 9))).capitalize() + "."
    top = rng.choice((20, 100, 1000, 10_000))
    return ", ".join(spell_number(rng.randint(0, top)) for _ in range(rng.randint(1, 5))).capitalize() + "."


def _spelled_word(rng: random.Random) -> str:
    word = rng.choice(WORDS)[:8].upper()
    separator = rng.choice((", ", ". ", " "))
    return separator.join(word) + "."


def _word(rng: random.Random) -> str:
    return rng.choice(WORDS).capitalize() + rng.choice((".", "?", ""))
