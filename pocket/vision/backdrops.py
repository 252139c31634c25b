"""Backgrounds of the pictures (flat colours, gradients, noise, clouds), and pictures without shapes and digits."""

import random
import string
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pocket.vision.drawing import RGB, shade
from pocket.vision.things import COLOURS


@dataclass(frozen=True)
class Backdrop:
    """A style, the colours between which it varies, and the name of its colour, if it has one."""

    style: str
    ends: tuple[RGB, ...]
    name: str | None

    def paint(self, width: int, height: int, rng: random.Random) -> Image.Image:
        """Return an RGB picture of this backdrop."""
        if self.style == "gradient":
            mask = Image.linear_gradient("L").rotate(rng.choice((0, 90, 180, 270)))
        elif self.style == "noise":
            mask = _noise(min(width, 256), min(height, 256), rng)
        elif self.style == "clouds":
            mask = _noise(rng.randint(2, 6), rng.randint(2, 6), rng)
        else:
            return Image.new("RGB", (width, height), self.ends[0])
        mask = mask.resize((width, height), Image.Resampling.BILINEAR)
        one, other = (Image.new("RGB", (width, height), end) for end in self.ends)
        return Image.composite(one, other, mask)


def backdrop(rng: random.Random) -> Backdrop:
    """Return a random backdrop; a fifth of them are not flat."""
    choice = rng.random()
    if choice < 0.36:
        return Backdrop("flat", ((255, 255, 255),), "white")
    if choice < 0.48:
        return Backdrop("flat", ((0, 0, 0),), "black")
    if choice < 0.57:
        grey = rng.randint(60, 215)
        return Backdrop("flat", ((grey, grey, grey),), "grey")
    if choice < 0.67:
        name = rng.choice(COLOURS[:6])
        return Backdrop("flat", (shade(name, rng),), name)
    low, high = (0, 90) if rng.random() < 0.2 else (185, 255)
    if choice < 0.8:
        return Backdrop("flat", (_random_colour(low, high, rng),), None)
    style = "gradient" if choice < 0.9 else "noise" if choice < 0.96 else "clouds"
    return Backdrop(style, (_random_colour(low, high, rng), _random_colour(low, high, rng)), None)


def texture(width: int, height: int, rng: random.Random) -> Image.Image:
    """Return a picture without a shape or digit of KINDS: noise, clouds, thin lines or text."""
    choice = rng.random()
    if choice < 0.3:
        return _coloured_noise(min(width, 200), min(height, 200), rng).resize((width, height))
    if choice < 0.6:
        clouds = _coloured_noise(rng.randint(2, 12), rng.randint(2, 12), rng)
        return clouds.resize((width, height), Image.Resampling.BICUBIC)
    background = _random_colour(0, 255, rng)
    image = Image.new("RGB", (width, height), background)
    draw = ImageDraw.Draw(image)
    if choice < 0.8:
        for _ in range(rng.randint(2, 12)):
            ends = [(rng.uniform(0, width), rng.uniform(0, height)) for _ in range(rng.randint(2, 4))]
            draw.line(
                ends, fill=_random_colour(0, 255, rng), width=max(1, round(min(width, height) * rng.uniform(0, 0.02)))
            )
        return image
    ink = (0, 0, 0) if sum(background) > 380 else (255, 255, 255)
    for _ in range(rng.randint(1, 5)):
        word = "".join(rng.choices(string.ascii_letters, k=rng.randint(3, 9)))
        font = ImageFont.load_default(size=max(9, min(width, height) * rng.uniform(0.1, 0.25)))
        draw.text((rng.uniform(0, 0.5) * width, rng.uniform(0, 0.85) * height), word, fill=ink, font=font)
    return image


def _random_colour(low: int, high: int, rng: random.Random) -> RGB:
    return rng.randint(low, high), rng.randint(low, high), rng.randint(low, high)


def _noise(width: int, height: int, rng: random.Random) -> Image.Image:
    values = np.frombuffer(rng.randbytes(width * height), np.uint8)
    return Image.fromarray(values.reshape(height, width))


def _coloured_noise(width: int, height: int, rng: random.Random) -> Image.Image:
    values = np.frombuffer(rng.randbytes(width * height * 3), np.uint8)
    return Image.fromarray(values.reshape(height, width, 3))
