"""Plain drawings to ask about: coloured shapes in a row."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw

from deployments.messages import Image

COLOURS = {
    "red": (220, 20, 20),
    "orange": (255, 140, 0),
    "yellow": (250, 215, 0),
    "green": (0, 140, 0),
    "blue": (20, 40, 230),
    "purple": (128, 0, 128),
    "black": (0, 0, 0),
}
SHAPES = ("circle", "square", "triangle", "rectangle", "star", "cross")

_SIDE = 120  # pixels given to each shape
_Points = list[tuple[float, float]]

Thing = tuple[str, str]
"""A colour of COLOURS and a shape of SHAPES."""


def draw(things: Sequence[Thing]) -> bytes:
    """A PNG of the things from left to right on white."""
    picture = Pillow.new("RGB", (_SIDE * max(len(things), 2), 2 * _SIDE), "white")
    pen = ImageDraw.Draw(picture)
    for place, (colour, shape) in enumerate(things):
        x, y, size = (place + 0.5) * picture.width / len(things), _SIDE, 0.36 * _SIDE
        if shape == "circle":
            pen.ellipse((x - size, y - size, x + size, y + size), COLOURS[colour])
        else:
            pen.polygon([(x + size * px, y + size * py) for px, py in _corners(shape)], COLOURS[colour])
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def pixels(png: bytes) -> Image:
    """The picture as the engines take it."""
    with Pillow.open(io.BytesIO(png)) as picture:
        return Image(np.asarray(picture.convert("RGB")))


def _corners(shape: str) -> _Points:
    """Corners within -1..1, y down."""
    match shape:
        case "square":
            return [(-1, -1), (1, -1), (1, 1), (-1, 1)]
        case "rectangle":
            return [(-1, -0.5), (1, -0.5), (1, 0.5), (-1, 0.5)]
        case "triangle":
            return [(0, -1), (1, 0.8), (-1, 0.8)]
        case "star":
            turns = [(i * math.pi / 5, 1.0 if i % 2 == 0 else 0.4) for i in range(10)]
            return [(far * math.sin(turn), -far * math.cos(turn)) for turn, far in turns]
        case "cross":
            arm = 0.35
            quarter: _Points = [(arm, -1), (arm, -arm), (1, -arm)]
            turned: _Points = []
            for _ in range(4):
                turned += quarter
                quarter = [(-y, x) for x, y in quarter]
            return turned
    raise ValueError(f"no shape {shape!r}; there are {', '.join(SHAPES)}")
