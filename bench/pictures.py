"""Drawings of coloured shapes in a row, as pictures for test questions."""

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

_SIDE = 120  # pixels per shape
_Points = list[tuple[float, float]]

Thing = tuple[str, str]
"""A key of COLOURS and a member of SHAPES."""


def draw(things: Sequence[Thing]) -> bytes:
    """Return a PNG of the things, from left to right on white."""
    picture = Pillow.new("RGB", (_SIDE * max(len(things), 2), 2 * _SIDE), "white")
    pen = ImageDraw.Draw(picture)
    for index, (colour, shape) in enumerate(things):
        x, y, size = (index + 0.5) * picture.width / len(things), _SIDE, 0.36 * _SIDE
        if shape == "circle":
            pen.ellipse((x - size, y - size, x + size, y + size), COLOURS[colour])
        else:
            pen.polygon([(x + size * px, y + size * py) for px, py in _corners(shape)], COLOURS[colour])
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def pixels(png: bytes) -> Image:
    """Decode a PNG to the input of the engines."""
    with Pillow.open(io.BytesIO(png)) as picture:
        return Image(np.asarray(picture.convert("RGB")))


def _corners(shape: str) -> _Points:
    """Return the corners of a shape, within -1..1, y down."""
    match shape:
        case "square":
            return [(-1, -1), (1, -1), (1, 1), (-1, 1)]
        case "rectangle":
            return [(-1, -0.5), (1, -0.5), (1, 0.5), (-1, 0.5)]
        case "triangle":
            return [(0, -1), (1, 0.8), (-1, 0.8)]
        case "star":
            polar = [(i * math.pi / 5, 1.0 if i % 2 == 0 else 0.4) for i in range(10)]
            return [(radius * math.sin(angle), -radius * math.cos(angle)) for angle, radius in polar]
        case "cross":
            arm = 0.35
            quarter: _Points = [(arm, -1), (arm, -arm), (1, -arm)]
            corners: _Points = []
            for _ in range(4):
                corners += quarter
                quarter = [(-y, x) for x, y in quarter]
            return corners
    raise ValueError(f"unknown shape {shape!r}; valid: {', '.join(SHAPES)}")
