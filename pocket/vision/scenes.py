"""Generate pictures with conversations about them.

The random source determines the example. The sides of a picture have 28 to 1600 pixels and an aspect ratio up to 4.
"""

import io
import math
import random
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from pocket.llm.dialogues import dialogue
from pocket.llm.persona import ONE_WORD, Persona, random_persona
from pocket.llm.skills import NO_PICTURE
from pocket.vision import drawing, questions
from pocket.vision.backdrops import Backdrop, backdrop, texture
from pocket.vision.drawing import RGB
from pocket.vision.things import COLOURS, DIGITS, SHAPES, Scene, Thing

Message = dict[str, str]

_COMMON_SIZES = (
    *((200, 200), (256, 256), (224, 224), (100, 100), (64, 64), (128, 128), (300, 300), (400, 400)),
    *((640, 480), (400, 300), (300, 200), (320, 240), (200, 100), (100, 200)),
)
_LARGE_SIZES = ((512, 512), (800, 600), (600, 400), (1024, 768), (1280, 720), (500, 500), (720, 1280), (1000, 1000))


@dataclass(frozen=True)
class Example:
    """A picture and a conversation; `messages[image_turn]` is the user message with the picture."""

    image: Image.Image
    messages: tuple[Message, ...]
    scene: Scene
    image_turn: int = 0
    abilities: tuple[str, ...] = ()

    @property
    def things(self) -> tuple[Thing, ...]:
        return self.scene.things


def sample(rng: random.Random) -> Example:
    """Return a training example: a picture with one to four questions and answers about it."""
    image, scene = picture(rng)
    if rng.random() < 0.08:
        return _within_dialogue(image, scene, rng)
    return _conversation(image, scene, rng, count=rng.choices((1, 2, 3, 4), (5, 3, 2, 1))[0])


def held_out(seed: int, count: int) -> list[Example]:
    """Return `count` pictures with one question each, in held-out phrasings, which `sample` never uses."""
    rng = random.Random(f"held out {seed}")
    return [_conversation(*picture(rng), rng, count=1, held_out=True) for _ in range(count)]


def _conversation(image: Image.Image, scene: Scene, rng: random.Random, count: int, held_out: bool = False) -> Example:
    """Return questions about one picture, sometimes after a system message."""
    persona = random_persona(rng) if rng.random() < 0.45 else Persona(None)
    messages = [{"role": "system", "content": persona.prompt}] if persona.prompt else []
    exchanges = [questions.random_exchange(scene, rng, held_out) for _ in range(count)]
    for exchange in exchanges:
        messages += _messages(exchange, persona.one_word, rng)
    first = 1 if persona.prompt else 0
    return Example(image, tuple(messages), scene, first, tuple(exchange.ability for exchange in exchanges))


def _within_dialogue(image: Image.Image, scene: Scene, rng: random.Random) -> Example:
    """Return a picture after a conversation about other topics, or with a message that is not about it."""
    chat = dialogue(rng)
    while sum(len(m["content"]) for m in chat) > 450 or any(m["content"] in (NO_PICTURE, "Nothing.") for m in chat):
        chat = dialogue(rng)
    system = chat[0]["content"] if chat[0]["role"] == "system" else ""
    exchange = questions.random_exchange(scene, rng)
    exchange_messages = _messages(exchange, any(phrase in system for phrase in ONE_WORD), rng)
    if rng.random() < 0.5:
        return Example(image, (*chat, *exchange_messages), scene, len(chat), (exchange.ability,))
    return Example(image, (*chat, *exchange_messages), scene, 1 if system else 0, ("unrelated", exchange.ability))


def _messages(exchange: questions.Exchange, one_word: bool, rng: random.Random) -> list[Message]:
    answer = exchange.short.capitalize() + "." if one_word else exchange.answer
    return [
        {"role": "user", "content": questions.with_variation(exchange.question, rng)},
        {"role": "assistant", "content": answer},
    ]


def picture(rng: random.Random) -> tuple[Image.Image, Scene]:
    """Return a random RGB picture and its contents."""
    while True:
        kind = rng.choices(("shapes", "digit", "plain", "texture"), (76, 19, 2, 3))[0]
        width, height = _size(rng, smallest=28 if kind == "digit" else 32)
        if kind == "texture":
            return _degraded(texture(width, height, rng), rng), Scene(width, height, None, ())
        background = backdrop(rng)
        things: list[Thing] | None = []
        if kind == "digit":
            things = _digit(width, height, rng)
        elif kind == "shapes":
            things = _layout(width, height, _random_names(rng), rng)
        shades = None if things is None else _shades(things, background, rng)
        if things is not None and shades is not None:
            image, drawn = _render(width, height, background, things, shades, rng)
            return _degraded(image, rng), Scene(width, height, background.name, drawn)


def _size(rng: random.Random, smallest: int) -> tuple[int, int]:
    if rng.random() < 0.3:
        return rng.choice(_COMMON_SIZES if rng.random() < 0.85 else _LARGE_SIZES)
    # After preprocessing, large pictures are like small ones, but cost more to draw: they are rare.
    largest = 1600 if rng.random() < 0.03 else 400
    long = smallest * math.exp(math.log(largest / smallest) * rng.random() ** 0.7)
    aspect = 1.0 if rng.random() < 0.35 else math.exp(rng.uniform(0, math.log(4)) * rng.random())
    short = max(smallest, round(long / aspect))
    long = max(round(long), short)
    return (long, short) if rng.random() < 0.6 else (short, long)


def _random_names(rng: random.Random) -> list[tuple[str, str]]:
    """Return colours and shapes of one to four things: all equal, all different or in groups."""
    count = rng.choices((1, 2, 3, 4), (25, 38, 20, 17))[0]
    names = [(rng.choice(COLOURS), rng.choice(SHAPES)) for _ in range(count)]
    choice = rng.random()
    if count > 1 and choice < (0.25 if count == 2 else 0.45):
        return names[:1] * count
    if count > 2 and choice < 0.7:
        return sorted(names[:1] * (count - 1) + names[1:2])
    if count > 1 and choice < 0.8:
        shared = rng.randrange(2)
        return [(names[0][0], name[1]) if shared else (name[0], names[0][1]) for name in names]
    return names


def _layout(width: int, height: int, names: list[tuple[str, str]], rng: random.Random) -> list[Thing] | None:
    """Return things with these names at random positions without overlap; None if the picture is too small."""
    names = rng.sample(names, len(names))
    short, long, count = min(width, height), max(width, height), len(names)
    # The minimum radius: 9 % of the short side, 9 of the 160 pixels after scaling, and 4.5 pixels of the picture.
    smallest = max(0.09 * short, 9 * long / 160, 4.5)
    largest = 0.47 * short if count == 1 else 0.36 * short
    if smallest >= largest:
        return None
    if count > 1 and rng.random() < 0.3:
        return _row(width, height, names, smallest, rng)
    same_size = rng.random() < 0.35
    radius = rng.uniform(smallest, largest)
    things: list[Thing] = []
    for colour, shape in names:
        for _ in range(25):
            if not same_size:
                radius = smallest + (largest - smallest) * rng.random() ** 1.3
            x, y = rng.uniform(radius, width - radius), rng.uniform(radius, height - radius)
            if all(max(abs(x - t.x), abs(y - t.y)) > 1.12 * (radius + t.half_width) for t in things):
                break
        else:
            return None
        things.append(Thing(shape, colour, x, y, radius, radius))
    if count == 1 and rng.random() < 0.4:
        things = [replace(things[0], x=width / 2, y=height / 2)]
    # The description of two things states their relation, which must be unambiguous.
    if count == 2 and names[0] != names[1] and questions.side(*things) is None:
        return None
    return things


def _row(
    width: int, height: int, names: list[tuple[str, str]], smallest: float, rng: random.Random
) -> list[Thing] | None:
    """Return things in a row or column at equal distances."""
    count, across = len(names), width >= height if rng.random() < 0.8 else width < height
    along, other = (width, height) if across else (height, width)
    step = along / count
    largest = min(0.45 * step, 0.45 * other)
    if smallest >= largest:
        return None
    radius, line = rng.uniform(smallest, largest), other * rng.choice((0.5, 0.5, rng.uniform(0.3, 0.7)))
    line = min(max(line, radius), other - radius)
    centres = [((i + 0.5) * step, line) for i in range(count)]
    return [
        Thing(shape, colour, *(centre if across else centre[::-1]), radius, radius)
        for (colour, shape), centre in zip(names, centres, strict=True)
    ]


def _digit(width: int, height: int, rng: random.Random) -> list[Thing] | None:
    short, long = min(width, height), max(width, height)
    smallest, largest = max(0.15 * short, 11 * long / 160, 7), 0.46 * short
    if smallest >= largest:
        return None
    radius = rng.uniform(smallest, largest)
    x, y = rng.uniform(radius, width - radius), rng.uniform(radius, height - radius)
    if rng.random() < 0.5:
        x, y = width / 2, height / 2
    colour = rng.choice(COLOURS) if rng.random() < 0.6 else rng.choice(("black", "white"))
    return [Thing(rng.choice(DIGITS), colour, x, y, radius, radius)]


def _shades(things: list[Thing], background: Backdrop, rng: random.Random) -> dict[str, RGB] | None:
    """Return a value for each colour with enough contrast to the background; None if one has too little."""
    shades = {thing.colour: drawing.shade(thing.colour, rng) for thing in things}
    visible = all(drawing.contrast(shade, end) > 210 for shade in shades.values() for end in background.ends)
    return shades if visible else None


def _render(
    width: int, height: int, background: Backdrop, things: list[Thing], shades: dict[str, RGB], rng: random.Random
) -> tuple[Image.Image, tuple[Thing, ...]]:
    """Return the picture, and the things with their exact extents."""
    small = max(width, height) <= 320
    finest = min((thing.half_width for thing in things), default=10.0)
    # A reduced drawing has smooth edges; an enlarged one is a picture of low resolution.
    scale = 2.0 if small and rng.random() < 0.6 else 1.0
    if finest > 30 and rng.random() < 0.1:
        scale = max(10 / finest, rng.uniform(0.15, 0.6))
    image = background.paint(round(width * scale), round(height * scale), rng)
    draw = ImageDraw.Draw(image)
    drawn = []
    for thing in things:
        centre, radius = (thing.x * scale, thing.y * scale), thing.half_width * scale
        if thing.is_digit:
            half_width, half_height = _paste_digit(image, thing.kind, centre, radius, shades[thing.colour], rng)
        else:
            half_width, half_height = drawing.draw_shape(draw, thing.kind, centre, radius, shades[thing.colour], rng)
        drawn.append(replace(thing, half_width=half_width / scale, half_height=half_height / scale))
    if image.size != (width, height):
        resampling = rng.choice((Image.Resampling.NEAREST, Image.Resampling.BILINEAR))
        image = image.reduce(2) if scale == 2 else image.resize((width, height), resampling)
    return image, tuple(drawn)


def _paste_digit(
    image: Image.Image, digit: str, centre: tuple[float, float], radius: float, ink: RGB, rng: random.Random
) -> tuple[float, float]:
    mask = drawing.digit_mask(digit, rng)
    scale = 2 * radius / max(mask.size)
    mask = mask.resize((max(2, round(mask.width * scale)), max(2, round(mask.height * scale))))
    image.paste(ink, (round(centre[0] - mask.width / 2), round(centre[1] - mask.height / 2)), mask)
    return mask.width / 2, mask.height / 2


def _degraded(image: Image.Image, rng: random.Random) -> Image.Image:
    """Return the picture, sometimes with blur, noise or JPEG artefacts."""
    choice = rng.random()
    if choice < 0.06:
        image = image.filter(ImageFilter.GaussianBlur(min(image.size) * rng.uniform(0.002, 0.012)))
    elif choice < 0.12 and image.width * image.height < 200_000:
        grain = np.frombuffer(rng.randbytes(image.width * image.height), np.int8).reshape(image.height, image.width, 1)
        noisy = np.asarray(image, np.int16) + grain // rng.choice((8, 5, 12))
        image = Image.fromarray(noisy.clip(0, 255).astype(np.uint8))
    if rng.random() < 0.12:
        stored = io.BytesIO()
        image.save(stored, "JPEG", quality=rng.randint(35, 92))
        image = Image.open(stored).convert("RGB")
    return image
