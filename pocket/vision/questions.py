"""Questions about a scene in many phrasings, with the right answers.

Every ability has training phrasings, and held-out ones for the evaluation.
"""

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pocket.vision.things import COLOURS, DIGITS, SHAPES, Scene, Thing

NOTHING = "I see no shapes that I know."
_NUMBERS = ("no", "one", "two", "three", "four")
_PLURALS = {"cross": "crosses"}


@dataclass(frozen=True)
class Exchange:
    """A question about a scene and its answer; `short` is the answer in one word."""

    ability: str
    question: str
    answer: str
    short: str


@dataclass(frozen=True)
class Phrasings:
    """Templates of one question: for training, and held-out ones for the evaluation."""

    training: tuple[str, ...]
    held_out: tuple[str, ...]

    def choose(self, rng: random.Random, held_out: bool, **slots: str) -> str:
        template = rng.choice(self.held_out if held_out else self.training)
        return template.format(pic=rng.choice(_PICTURE), **slots)


def _lines(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in text.strip().splitlines())


_PICTURE = ("picture", "picture", "image", "photo", "drawing")

_DESCRIBE = Phrasings(
    _lines("""what do you see
        what do you see
        what do you see in the {pic}
        what do you see here
        what can you see
        what can you see in the {pic}
        what is in the {pic}
        what is in this {pic}
        what's in the {pic}
        what is this
        what's this
        what is it
        what is on the {pic}
        what is shown in the {pic}
        what is shown here
        what does the {pic} show
        what does this {pic} show
        describe the {pic}
        describe this {pic}
        describe the {pic} in a sentence
        describe what you see
        describe it
        can you describe the {pic}
        could you describe what you see
        please describe this {pic}
        tell me what you see
        tell me what is in the {pic}
        tell me what this is
        look at this
        look at the {pic} and tell me what you see
        what have i drawn
        what did i draw
        what am i looking at
        what am i showing you
        give me a description of the {pic}
        write a caption for this {pic}
        caption this
        explain the {pic}
        say what you see
        what is there
        what's there
        what objects are in the {pic}
        what shapes do you see
        which shapes are in the {pic}
        what kind of {pic} is this
        do you see anything
        can you see the {pic}
        what about this one
        and this one
        what do you recognise in the {pic}
        what do you make out in the {pic}
        what do you find in the {pic}
        what do you spot here
        what do you observe in this {pic}
        what do you think this is
        what would you say this is
        what have we got here
        what do we see in the {pic}
        what do we see here
        what does this show
        what can one see in the {pic}
        what is to be seen here
        what is depicted in the {pic}
        what is drawn here
        what is drawn in the {pic}
        what is painted in this {pic}
        what has been drawn here
        what is the {pic} of
        what is the {pic} about
        what is this a {pic} of
        what are these
        what are you looking at
        what is going on in the {pic}
        which things do you see
        which objects can you see in the {pic}
        i want to know what is in the {pic}
        i would like to know what you see
        please look at the {pic}
        please describe what you see
        please describe the {pic} for me
        would you describe the {pic}
        could you describe it
        can you describe this for me
        can you tell me what you see
        could you tell me what is in the {pic}
        could you say what this is
        do you know what this is
        do you know what is in the {pic}
        talk about the {pic}
        say something about the {pic}
        tell me something about the {pic}
        tell me about it
        tell me about what you see
        tell me what is drawn here
        tell me everything that you see
        let me know what you see
        i cannot see the {pic} what does it show
        sum up the {pic}
        name what you see
        name the shapes in the {pic}
        list what you see
        list the shapes
        here is a {pic} what do you see
        this is my {pic} what is in it
        i drew this what is it"""),
    _lines("""please tell me what the {pic} shows
        could you describe this {pic} for me
        what do we have in this {pic}
        describe what is in the {pic}
        what can be seen in this {pic}
        what is visible in the {pic}
        tell me about this {pic}
        what do you notice in the {pic}
        hey what's in this {pic}
        what are you seeing"""),
)
_GREETING = Phrasings(
    (
        "hi",
        "hello",
        "hey",
        "hi there",
        "good morning",
        "hello there",
        "good evening",
        "hey there",
        "hello friend",
        "hi again",
    ),
    ("hey you", "hello again", "hi friend"),
)
_SHAPE = Phrasings(
    _lines("""what shape is {it}
        which shape is {it}
        what shape do you see
        what shape is in the {pic}
        what is the shape of {it}
        what form does {it} have
        what kind of shape is {it}
        what shape does {it} have
        tell me the shape of {it}
        name the shape
        can you tell me what shape {it} is
        what is the shape called
        name the shape of {it}
        please tell me the shape of {it}
        which kind of shape is {it}
        do you know what shape {it} is"""),
    _lines("""which shape does {it} have
        could you tell me what shape {it} is
        what type of shape is {it}
        please name the shape of {it}"""),
)
_COLOUR = Phrasings(
    _lines("""what colour {is} {it}
        what colour {is} {it}
        which colour {is} {it}
        what {is} the colour of {it}
        what colour {has} {it} have
        what's the colour of {it}
        tell me the colour of {it}
        can you tell me what colour {it} {is}
        do you know the colour of {it}
        in which colour {is} {it} drawn
        name the colour of {it}
        {it} {is} what colour
        and what colour {is} {it}"""),
    _lines("""could you tell me the colour of {it}
        which colour {has} {it} have
        tell me what colour {it} {is}
        please name the colour of {it}"""),
)
_COUNT = Phrasings(
    _lines("""how many {them} are there
        how many {them} are there
        how many {them} do you see
        how many {them} can you see
        how many {them} are in the {pic}
        how many {them} are there in the {pic}
        how many {them} does the {pic} show
        how many {them} have i drawn
        how many {them}
        count the {them}
        count the {them} in the {pic}
        can you count the {them}
        tell me how many {them} there are
        what is the number of {them}
        and how many {them} are there"""),
    _lines("""could you count the {them} for me
        how many {them} are shown
        tell me the number of {them}
        how many {them} can be seen in the {pic}"""),
)
_EXISTS = Phrasings(
    _lines("""is there {a}
        is there {a}
        is there {a} in the {pic}
        do you see {a}
        can you see {a}
        can you see {a} in the {pic}
        does the {pic} show {a}
        does the {pic} have {a} in it
        is there {a} here
        is {a} in the {pic}
        tell me if there is {a}
        and is there {a}
        is there {a} somewhere
        is there {a} at all
        is there any sign of {a}
        can you find {a}
        do you find {a} in the {pic}
        do you spot {a} somewhere in the {pic}
        does it contain {a}
        does the {pic} include {a}
        does this {pic} include {a} somewhere
        could you check if there is {a}"""),
    _lines("""do you see {a} in the {pic}
        could you tell me if there is {a}
        is there {a} anywhere
        does this {pic} contain {a}"""),
)
_WHERE = Phrasings(
    _lines("""where is {it}
        where is {it}
        where is {it} in the {pic}
        where's {it}
        where do you see {it}
        in which part of the {pic} is {it}
        what is the position of {it}
        tell me where {it} is
        can you tell me where {it} is
        at which place is {it}
        where about is {it}
        where do you find {it}
        on which part of the {pic} is {it}
        please tell me where {it} is
        and where is {it}"""),
    _lines("""could you tell me where {it} is
        where can you see {it}
        whereabouts is {it}
        in what part of the {pic} is {it}"""),
)
_WHAT_IS_NEXT_TO = Phrasings(
    _lines("""what is {side} {it}
        what is {side} {it}
        what's {side} {it}
        what do you see {side} {it}
        which shape is {side} {it}
        what shape is {side} {it}
        tell me what is {side} {it}
        what can you see {side} {it}
        is there anything {side} {it}
        and what is {side} {it}"""),
    _lines("""which thing is {side} {it}
        could you tell me what is {side} {it}
        what stands {side} {it}"""),
)
_WHICH_SIDE = Phrasings(
    _lines("""is {it} {side} or {other} {that}
        is {it} {side} or {other} {that}
        tell me is {it} {side} or {other} {that}
        do you see {it} {side} or {other} {that}
        where is {it} {side} or {other} {that}"""),
    _lines("""would you say {it} is {side} or {other} {that}
        which is right is {it} {side} or {other} {that}"""),
)
_IS_NEXT_TO = Phrasings(
    _lines("""is {it} {side} {that}
        is {it} {side} {that}
        can you see if {it} is {side} {that}
        would you call {it} {side} {that}
        tell me if {it} is {side} {that}
        is it true that {it} is {side} {that}
        do you see {it} {side} {that}"""),
    _lines("""would you say {it} is {side} {that}
        could you tell me if {it} is {side} {that}"""),
)
_RELATIVE_POSITION = Phrasings(
    _lines("""where is {it} seen from {that}
        where is {it} relative to {that}
        where is {it} compared to {that}
        on which side of {that} is {it}
        how do {it} and {that} stand to each other"""),
    _lines("""where is {it} in relation to {that}
        on what side of {that} is {it}"""),
)
_EDGE = Phrasings(
    _lines("""what is {edge}
        what is {edge}
        what's {edge}
        what do you see {edge}
        which shape is {edge}
        tell me what is {edge}
        what is {edge} of the {pic}
        and what is {edge}"""),
    _lines("""what shape is {edge}
        what can you see {edge}"""),
)
_EXTREME = Phrasings(
    _lines("""which one is {most}
        which one is {most}
        which is {most}
        which shape is {most}
        what is {most} shape
        which of them is {most}
        what is {most} thing in the {pic}
        which thing is {most}
        tell me which one is {most}
        what's {most} one
        and which one is {most}"""),
    _lines("""which of the shapes is {most}
        could you tell me which one is {most}
        what is {most} object"""),
)
_COMPARE = Phrasings(
    _lines("""is {it} {more} than {that}
        is {it} {more} than {that}
        tell me if {it} is {more} than {that}
        do you think {it} is {more} than {that}
        would you call {it} {more} than {that}
        can you see if {it} is {more} than {that}"""),
    _lines("""would you say {it} is {more} than {that}
        could you tell me if {it} is {more} than {that}"""),
)
_DIGIT = Phrasings(
    _lines("""what digit is this
        what digit is it
        which digit is this
        what number is this
        what number is it
        which number is this
        which digit do you see
        what number do you see
        what digit is in the {pic}
        what number is in the {pic}
        which number is shown
        which digit is shown in the {pic}
        what number is written here
        what digit is drawn here
        what does it say
        read the number
        read the digit
        tell me the number
        can you read this number
        can you read the digit
        what number did i write
        which number have i drawn
        what is the digit
        what's the number
        and what digit is it"""),
    _lines("""could you tell me which digit this is
        what number is shown in the {pic}
        which digit did i draw
        please read this digit
        what number can you see"""),
)
_IS_DIGIT = Phrasings(
    _lines("""is this {a}
        is it {a}
        is that {a}
        is this digit {a}
        is the number {a}
        do you see {a}
        do you think this is {a}
        would you call this {a}
        would you say that it is {a}
        can it be {a}
        is there {a} in the {pic}"""),
    _lines("""would you say this is {a}
        could this be {a}"""),
)
_BACKGROUND = Phrasings(
    _lines("""what colour is the background
        what is the colour of the background
        which colour is the background
        what colour is behind it
        what background do you see
        tell me the colour of the background
        and what colour is the background"""),
    _lines("""could you tell me the background colour
        which colour does the background have"""),
)
_SAME = Phrasings(
    _lines("""are they the same {what}
        do they have the same {what}
        are both the same {what}
        are all of them the same {what}
        would you call the {what} the same
        is the {what} the same"""),
    _lines("""do all of them have the same {what}
        would you say they have the same {what}"""),
)

_SIDES = {"left of": "to the left of", "right of": "to the right of", "above": "above", "below": "below"}
_SIDE_WORDS = {
    "left of": ("left of", "to the left of", "on the left of"),
    "right of": ("right of", "to the right of", "on the right of"),
    "above": ("above", "over", "on top of"),
    "below": ("below", "under", "beneath"),
}
_OPPOSITE = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}
_EDGES = {
    "left of": ("on the left", "at the left", "on the left side"),
    "right of": ("on the right", "at the right", "on the right side"),
    "above": ("at the top", "on top", "at the top"),
    "below": ("at the bottom", "at the bottom", "at the lower end"),
}
_EDGE_ANSWERS = {"left of": "on the left", "right of": "on the right", "above": "at the top", "below": "at the bottom"}


def plural(kind: str) -> str:
    return _PLURALS.get(kind, kind + "s")


def a(phrase: str) -> str:
    """Return the phrase with its indefinite article."""
    return ("an " if phrase[0] in "aeio" and phrase != "one" else "a ") + phrase


def counted(count: int, colour: str, kind: str) -> str:
    """Return e.g. "a red circle", "three red circles" or "the digit seven in red"."""
    if kind in DIGITS:
        return f"the digit {kind} in {colour}"
    return a(f"{colour} {kind}") if count == 1 else f"{_NUMBERS[count]} {colour} {plural(kind)}"


def listed(phrases: Sequence[str]) -> str:
    return phrases[0] if len(phrases) == 1 else ", ".join(phrases[:-1]) + " and " + phrases[-1]


def side(one: Thing, other: Thing) -> str | None:
    """Return on which side of `other` `one` is; None if it is too diagonal."""
    dx, dy = one.x - other.x, one.y - other.y
    if abs(dx) > 1.5 * abs(dy):
        return "left of" if dx < 0 else "right of"
    if abs(dy) > 1.5 * abs(dx):
        return "above" if dy < 0 else "below"
    return None


_FILLED = {"circle": 0.79, "triangle": 0.5, "star": 0.35, "cross": 0.5}
"""The approximate share of its box that a shape covers; 1 for other shapes."""


def size(thing: Thing) -> float:
    """Return a quarter of the area of the box around a thing."""
    return thing.half_width * thing.half_height


def clearly_bigger(one: Thing, other: Thing) -> bool:
    """Return whether both the box and the covered area of `one` are clearly larger than those of `other`."""
    covered = size(one) * _FILLED.get(one.kind, 1.0), size(other) * _FILLED.get(other.kind, 1.0)
    return size(one) > 1.6 * size(other) and covered[0] > 1.4 * covered[1]


def position(thing: Thing, scene: Scene) -> str | None:
    """Return the position of a thing in the picture, in words; None near a border between two positions."""
    across, down = (_third(thing.x / scene.width), _third(thing.y / scene.height))
    if across is None or down is None:
        return None
    if across == down == 1:
        return "in the middle"
    if down == 1:
        return ("on the left", "", "on the right")[across]
    row = "at the top" if down == 0 else "at the bottom"
    return row + (" left", "", " right")[across]


def _third(share: float) -> int | None:
    if min(abs(share - 0.36), abs(share - 0.64)) < 0.04:
        return None
    return 0 if share < 0.36 else 1 if share < 0.64 else 2


def description(scene: Scene) -> str:
    """Return a description of the scene in one sentence."""
    if not scene.things:
        return NOTHING
    if len(scene.things) == 2 and scene.things[0].name != scene.things[1].name:
        first, second = sorted(scene.things, key=lambda t: (t.x, t.y))
        relation = side(first, second)
        if relation in ("below", "right of"):
            first, second, relation = second, first, _OPPOSITE[relation]
        if relation:
            return f"I see {a(' '.join(first.name))} {_SIDES[relation]} {a(' '.join(second.name))}."
    return f"I see {listed([counted(*group) for group in scene.groups()])}."


def _unique_name(scene: Scene, rng: random.Random, thing: Thing, avoid: str = "") -> str | None:
    """Return a name that fits only this thing, or None; it does not contain the attribute `avoid` (colour or kind)."""
    same_kind = [t for t in scene.things if t.kind == thing.kind]
    same_colour = [t for t in scene.things if t.colour == thing.colour]
    names = []
    if avoid != "kind" and len(same_kind) == 1:
        names.append(f"the {thing.kind}")
    if avoid != "colour" and len(same_colour) == 1:
        names += [f"the {thing.colour} {word}" for word in ("one", "shape")]
    if not avoid and sum(t.name == thing.name for t in scene.things) == 1:
        names += [f"the {thing.colour} {thing.kind}"] * 2
    return rng.choice(names) if names else None


def _answer_name(scene: Scene, thing: Thing) -> str:
    """Return the name of a thing in answers: its kind, with the colour if the kind is ambiguous."""
    alone = sum(t.kind == thing.kind for t in scene.things) == 1
    return f"the {thing.kind}" if alone else f"the {thing.colour} {thing.kind}"


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _named_pair(scene: Scene, rng: random.Random) -> tuple[Thing, Thing, str, str] | None:
    """Return two random things with unambiguous names, and the names."""
    named = [(t, _unique_name(scene, rng, t)) for t in scene.things]
    named = [(t, name) for t, name in named if name]
    if len(named) < 2:
        return None
    (one, it), (other, that) = rng.sample(named, 2)
    return one, other, str(it), str(that)


def _describe(scene: Scene, rng: random.Random, held_out: bool) -> Exchange:
    kinds = {t.kind for t in scene.things}
    if not kinds:
        short = "nothing"
    elif len(kinds) > 1:
        short = "shapes"
    else:
        short = kinds.pop() if len(scene.things) == 1 else plural(scene.things[0].kind)
    question = _DESCRIBE.choose(rng, held_out)
    if not held_out and rng.random() < 0.02:
        question = ""
    return Exchange("describe", question, description(scene), short)


def _greet(scene: Scene, rng: random.Random, held_out: bool) -> Exchange:
    return Exchange("describe", _GREETING.choose(rng, held_out), "Hello! " + description(scene), "hello")


def _shape(scene: Scene, rng: random.Random, held_out: bool) -> Exchange | None:
    if not scene.things:
        return Exchange("shape", _SHAPE.choose(rng, held_out, it="it"), NOTHING, "nothing")
    thing = rng.choice(scene.things)
    if len(scene.things) == 1:
        it = rng.choice(("this", "it", "the object", "the thing", "that", f"the {thing.colour} shape"))
        answer = f"It is the digit {thing.kind}." if thing.is_digit else f"It is {a(thing.kind)}."
        return Exchange("shape", _SHAPE.choose(rng, held_out, it=it), answer, thing.kind)
    if len({t.kind for t in scene.things}) == 1 and rng.random() < 0.5:
        question = rng.choice(
            ("what shapes do they have", "what shape are they", "what shapes are these", "what shape do they have")
        )
        return Exchange("shape", question, f"They are {plural(thing.kind)}.", plural(thing.kind))
    name = _unique_name(scene, rng, thing, avoid="kind")
    if name is None:
        return None
    template = rng.choice([w for w in (_SHAPE.held_out if held_out else _SHAPE.training) if "{it}" in w])
    answer = f"The {thing.colour} shape is {a(thing.kind)}."
    return Exchange("shape", template.format(it=name, pic=""), answer, thing.kind)


def _colour(scene: Scene, rng: random.Random, held_out: bool) -> Exchange | None:
    if not scene.things or (rng.random() < 0.08 and not scene.things[0].is_digit):
        return _missing(scene, rng, held_out)
    thing = rng.choice(scene.things)
    if thing.is_digit:
        it = rng.choice(("it", "this", "the digit", "the number", f"the {thing.kind}"))
        answer = f"The digit is {thing.colour}." if "digit" in it or "number" in it else f"It is {thing.colour}."
        return Exchange("colour", _COLOUR.choose(rng, held_out, it=it, **_VERBS[1]), answer, thing.colour)
    if len(scene.things) == 1:
        it = rng.choice(("it", "this", f"the {thing.kind}", f"the {thing.kind}", "the shape", "the object"))
        answer = f"The {thing.kind} is {thing.colour}." if thing.kind in it else f"It is {thing.colour}."
        return Exchange("colour", _COLOUR.choose(rng, held_out, it=it, **_VERBS[1]), answer, thing.colour)
    same_kind = [t for t in scene.things if t.kind == thing.kind]
    if len(same_kind) == 1:
        answer = f"The {thing.kind} is {thing.colour}."
        return Exchange(
            "colour", _COLOUR.choose(rng, held_out, it=f"the {thing.kind}", **_VERBS[1]), answer, thing.colour
        )
    if len({t.colour for t in same_kind}) > 1:
        return None
    them = f"the {plural(thing.kind)}"
    if len(same_kind) == len(scene.things) and rng.random() < 0.4:
        them = rng.choice(("they", "these", "the shapes"))
    answer = f"{'They are' if thing.kind not in them else _capital(them) + ' are'} {thing.colour}."
    return Exchange("colour", _COLOUR.choose(rng, held_out, it=them, **_VERBS[2]), answer, thing.colour)


_VERBS = {1: {"is": "is", "has": "does"}, 2: {"is": "are", "has": "do"}}


def _missing(scene: Scene, rng: random.Random, held_out: bool) -> Exchange:
    """Return a question about the colour or position of a shape that is not in the scene."""
    kind = rng.choice([k for k in SHAPES if all(t.kind != k for t in scene.things)])
    phrasings = _WHERE if rng.random() < 0.3 else _COLOUR
    question = phrasings.choose(rng, held_out, it=f"the {kind}", **(_VERBS[1] if phrasings is _COLOUR else {}))
    return Exchange("missing", question, f"There is no {kind}.", "none")


def _count(scene: Scene, rng: random.Random, held_out: bool) -> Exchange:
    choice = rng.random()
    colour = rng.choice([t.colour for t in scene.things] * 4 + list(COLOURS[:6]))
    kind = rng.choice([t.kind for t in scene.things if not t.is_digit] * 4 + list(SHAPES))
    if choice < 0.4:
        chosen, one, more = list(scene.things), "shape", rng.choice(("shapes", "objects", "things", "figures", "items"))
    elif choice < 0.65:
        chosen = [t for t in scene.things if t.kind == kind]
        one, more = kind, plural(kind)
    elif choice < 0.8:
        chosen = [t for t in scene.things if t.colour == colour]
        one, more = f"{colour} shape", f"{colour} {rng.choice(('shapes', 'objects', 'things'))}"
    else:
        chosen = [t for t in scene.things if t.name == (colour, kind)]
        one, more = f"{colour} {kind}", f"{colour} {plural(kind)}"
    if scene.things and scene.things[0].is_digit:
        chosen, one, more = list(scene.things), "digit", rng.choice(("digits", "numbers"))
    many = one + "s" if one not in SHAPES and one.split()[-1] not in SHAPES else _plural_of(one)
    number = len(chosen)
    answer = f"There is one {one}." if number == 1 else f"There are {_NUMBERS[number]} {many}."
    return Exchange(
        "count", _COUNT.choose(rng, held_out, them=more), answer, "none" if not number else _NUMBERS[number]
    )


def _plural_of(phrase: str) -> str:
    *colour, kind = phrase.split()
    return " ".join([*colour, plural(kind)])


def _exists(scene: Scene, rng: random.Random, held_out: bool) -> Exchange:
    thing = rng.choice(scene.things) if scene.things and rng.random() < 0.6 else None
    colour = thing.colour if thing and rng.random() < 0.8 else rng.choice(COLOURS)
    kind = thing.kind if thing and not thing.is_digit and rng.random() < 0.8 else rng.choice(SHAPES)
    choice = rng.random()
    if choice < 0.5:
        phrase, found = f"{colour} {kind}", [t for t in scene.things if t.name == (colour, kind)]
    elif choice < 0.85:
        phrase, found = kind, [t for t in scene.things if t.kind == kind]
    else:
        phrase, found = f"{colour} shape", [t for t in scene.things if t.colour == colour and not t.is_digit]
    question = _EXISTS.choose(rng, held_out, a=a(phrase))
    if not found:
        return Exchange("exists", question, f"No, there is no {phrase}.", "no")
    many = _plural_of(phrase) if kind in phrase else phrase + "s"
    there = f"there is {a(phrase)}" if len(found) == 1 else f"there are {_NUMBERS[len(found)]} {many}"
    return Exchange("exists", question, f"Yes, {there}.", "yes")


def _where(scene: Scene, rng: random.Random, held_out: bool) -> Exchange | None:
    if not scene.things:
        return None
    thing = rng.choice(scene.things)
    where, name = position(thing, scene), _unique_name(scene, rng, thing)
    if where is None or name is None:
        return None
    if thing.is_digit:
        name, answer = "the digit", "The digit"
    elif len(scene.things) == 1 and rng.random() < 0.3:
        name, answer = rng.choice(("it", "this")), "It"
    else:
        answer = _capital(_answer_name(scene, thing))
    return Exchange("where", _WHERE.choose(rng, held_out, it=name), f"{answer} is {where}.", where.split()[-1])


def _relation(scene: Scene, rng: random.Random, held_out: bool) -> Exchange | None:
    pair = _named_pair(scene, rng)
    if pair is None:
        return None
    one, other, it, that = pair
    relation = side(one, other)
    if relation is None:
        return None
    choice = rng.random()
    facts = f"{_answer_name(scene, one)} is {_SIDES[relation]} {_answer_name(scene, other)}"
    word, queried = rng.choice(_SIDE_WORDS[relation]), relation
    short = relation.split()[0]
    if choice < 0.3 and len(scene.things) == 2:
        if rng.random() < 0.2:
            queried = rng.choice(sorted(_SIDES.keys() - {relation}))
            word = rng.choice(_SIDE_WORDS[queried])
        question = _WHAT_IS_NEXT_TO.choose(rng, held_out, side=word, it=that)
        if queried != relation:
            return Exchange(
                "relation", question, f"Nothing is {_SIDES[queried]} {_answer_name(scene, other)}.", "nothing"
            )
        answer = f"{_capital(a(' '.join(one.name)))} is {_SIDES[relation]} {_answer_name(scene, other)}."
        return Exchange("relation", question, answer, one.kind)
    if choice < 0.5:
        words = [word, rng.choice(_SIDE_WORDS[_OPPOSITE[relation]])]
        if relation in ("left of", "right of"):
            words = ["left", "right of"] if relation == "left of" else ["right", "left of"]
        if rng.random() < 0.5:
            words = [words[1].split(" of")[0], words[0] + (" of" if words[0] in ("left", "right", "on top") else "")]
        question = _WHICH_SIDE.choose(rng, held_out, it=it, that=that, side=words[0], other=words[1])
        return Exchange("relation", question, f"{_capital(facts)}.", short)
    if choice < 0.75:
        if rng.random() < 0.5:
            queried = _OPPOSITE[relation] if rng.random() < 0.7 else rng.choice(sorted(_SIDES.keys() - {relation}))
        question = _IS_NEXT_TO.choose(rng, held_out, it=it, that=that, side=rng.choice(_SIDE_WORDS[queried]))
        yes = "Yes" if queried == relation else "No"
        return Exchange("relation", question, f"{yes}, {facts}.", yes.lower())
    if choice < 0.88 or len(scene.things) > 2:
        return Exchange(
            "relation", _RELATIVE_POSITION.choose(rng, held_out, it=it, that=that), f"{_capital(facts)}.", short
        )
    question = _EDGE.choose(rng, held_out, edge=rng.choice(_EDGES[relation]))
    return Exchange("relation", question, f"{_capital(a(' '.join(one.name)))} is {_EDGE_ANSWERS[relation]}.", one.kind)


def _sizes(scene: Scene, rng: random.Random, held_out: bool) -> Exchange | None:
    pair = _named_pair(scene, rng)
    if pair is None:
        return None
    one, other, it, that = pair
    if rng.random() < 0.35:
        bigger = clearly_bigger(one, other)
        if not bigger and not clearly_bigger(other, one):
            return None
        more, less = rng.choice((("bigger", "smaller"), ("larger", "smaller")))
        queried = rng.choice((more, less))
        holds = (queried == more) == bigger
        word = queried if holds else ("smaller" if queried == more else "bigger")
        word = "bigger" if word == "larger" else word
        answer = f"{_answer_name(scene, one)} is {word} than {_answer_name(scene, other)}."
        question = _COMPARE.choose(rng, held_out, it=it, that=that, more=queried)
        return Exchange("size", question, f"{'Yes' if holds else 'No'}, {answer}", "yes" if holds else "no")
    ordered = sorted(scene.things, key=size)
    biggest = rng.random() < 0.5
    first, second = (ordered[-1], ordered[-2]) if biggest else (ordered[0], ordered[1])
    clear = clearly_bigger(first, second) if biggest else clearly_bigger(second, first)
    if not clear or sum(t.name == first.name for t in scene.things) > 1:
        return None
    words: tuple[str, ...]
    if len(scene.things) == 2:
        words = ("bigger", "larger", "the bigger one", "the biggest") if biggest else ("smaller", "the smallest")
        comparison = "bigger" if biggest else "smaller"
    else:
        words = ("the biggest", "the largest") if biggest else ("the smallest",)
        comparison = "the biggest" if biggest else "the smallest"
    most = rng.choice(words)
    question = _EXTREME.choose(rng, held_out, most=most)
    question = re.sub(r"\bthe bigger one (shape|thing|object|one)", r"the bigger \1", question)
    if "what" in question.split()[:3] and not most.startswith("the"):
        question = question.replace(f" {most}", f" the {most}")
    return Exchange("size", question, f"The {' '.join(first.name)} is {comparison}.", first.kind)


def _digit(scene: Scene, rng: random.Random, held_out: bool) -> Exchange | None:
    if not scene.things or not scene.things[0].is_digit:
        if rng.random() < 0.9:
            return None
        return Exchange("digit", _DIGIT.choose(rng, held_out), "I see no digit.", "none")
    kind = scene.things[0].kind
    if rng.random() < 0.75:
        return Exchange("digit", _DIGIT.choose(rng, held_out), f"It is {a(kind)}.", kind)
    queried = kind if rng.random() < 0.5 else rng.choice([d for d in DIGITS if d != kind])
    name = queried if rng.random() < 0.7 else str(DIGITS.index(queried))
    question = _IS_DIGIT.choose(rng, held_out, a=("an " if queried == "eight" else "a ") + name)
    yes = "Yes" if queried == kind else "No"
    return Exchange("digit", question, f"{yes}, it is {a(kind)}.", yes.lower())


def _background(scene: Scene, rng: random.Random, held_out: bool) -> Exchange | None:
    if scene.background is None:
        return None
    answer = f"The background is {scene.background}."
    return Exchange("background", _BACKGROUND.choose(rng, held_out), answer, scene.background)


def _same(scene: Scene, rng: random.Random, held_out: bool) -> Exchange | None:
    if len(scene.things) < 2:
        return None
    what = rng.choice(("colour", "shape"))
    values = {t.colour if what == "colour" else t.kind for t in scene.things}
    both = "both" if len(scene.things) == 2 else "all"
    question = _SAME.choose(rng, held_out, what=what)
    if len(values) > 1:
        return Exchange("same", question, f"No, they do not have the same {what}.", "no")
    value = values.pop() if what == "colour" else plural(scene.things[0].kind)
    return Exchange("same", question, f"Yes, {both} are {value}.", "yes")


ExchangeMaker = Callable[[Scene, random.Random, bool], Exchange | None]
_ABOUT_SHAPES: tuple[tuple[float, ExchangeMaker], ...] = (
    (3, _describe),
    (0.15, _greet),
    (2, _shape),
    (2, _colour),
    (2.5, _count),
    (1.5, _exists),
    (2, _where),
    (7, _relation),
    (6, _sizes),
    (0.4, _background),
    (0.5, _same),
    (0.3, _digit),
)
_ABOUT_DIGITS: tuple[tuple[float, ExchangeMaker], ...] = (
    (2, _describe),
    (0.15, _greet),
    (5, _digit),
    (1, _colour),
    (0.5, _exists),
    (0.4, _count),
    (0.5, _shape),
    (0.5, _where),
    (0.3, _background),
)


def random_exchange(scene: Scene, rng: random.Random, held_out: bool = False) -> Exchange:
    """Return a random exchange about the scene, with a held-out phrasing if `held_out`."""
    digits = bool(scene.things) and scene.things[0].is_digit
    table = _ABOUT_DIGITS if digits else _ABOUT_SHAPES
    weights = [weight for weight, _ in table]
    while True:
        _, make = rng.choices(table, weights)[0]
        for _ in range(4):
            exchange = make(scene, rng, held_out)
            if exchange is not None:
                return exchange


_BEFORE = ("please ", "hey ", "so ", "okay ", "now ", "well ", "parley ", "tell me, ", "and ", "um ", "next ")
_AFTER = (" please", " now", " then", " for me", " thanks", " here")


def with_variation(question: str, rng: random.Random) -> str:
    """Return the question with random fillers, capitals, punctuation and spelling of "colour"."""
    if question and rng.random() < 0.15:
        question = rng.choice(_BEFORE) + question
    elif question and rng.random() < 0.08:
        question += rng.choice(_AFTER)
    if rng.random() < 0.4:
        question = question.replace("colour", "color")
    if rng.random() < 0.2:
        question = question.replace("what is", "what's").replace("where is", "where's")
    choice = rng.random()
    if choice < 0.4 or not question:
        return question
    asking = question.split()[0].lower() in _ASKING
    if choice < 0.85:
        question = _capital(re.sub(r"\bi\b", "I", question)) + ("?" if asking else ".")
    elif choice < 0.93:
        question = _capital(question)
    else:
        question += "?" if asking else ""
    return question


_ASKING = (
    *("what", "what's", "which", "where", "where's", "is", "are", "how", "do", "does", "can", "could", "would"),
    *("in", "on", "at", "and", "whereabouts", "hey"),
)


def equivalent(answer: str, expected: str) -> bool:
    """Return whether two answers have the same words, with the parts of a list in any order."""
    return _parts(answer) == _parts(expected)


def _parts(answer: str) -> list[str]:
    words = re.sub(r"[^a-z, ]", "", answer.lower()).strip().removeprefix("i see ")
    return sorted(part.strip() for part in re.split(r", | and ", words))
