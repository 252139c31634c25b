"""Convert a picture of any size to the square input of the tower, exactly like llama.cpp for LLaVA 1.5."""

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image

from pocket.vision.things import COLOURS, KINDS, Thing

SIZE = 160
PATCH = 16
GRID = SIZE // PATCH
N_TOKENS = GRID * GRID
PAD_COLOUR = (122, 116, 104)
"""CLIP's mean colour, which pads a picture to a square."""


def inner_size(width: int, height: int) -> tuple[int, int]:
    """Return the size of a picture of `width` x `height` within the square, computed in float32 like llama.cpp."""
    scale = min(np.float32(SIZE) / np.float32(width), np.float32(SIZE) / np.float32(height))
    return (
        min(math.ceil(np.float32(width) * scale), SIZE),
        min(math.ceil(np.float32(height) * scale), SIZE),
    )


def preprocess(image: Image.Image) -> np.ndarray:
    """Return uint8 (SIZE, SIZE, 3): the picture scaled to fit, centred and padded. The tower normalises it."""
    image = image.convert("RGB")
    width, height = inner_size(*image.size)
    square = Image.new("RGB", (SIZE, SIZE), PAD_COLOUR)
    # First horizontally, then vertically, with rounding to bytes between, like llama.cpp; one call may do the reverse.
    scaled = image.resize((width, image.height), Image.Resampling.BICUBIC)
    scaled = scaled.resize((width, height), Image.Resampling.BICUBIC)
    square.paste(scaled, ((SIZE - width) // 2, (SIZE - height) // 2))
    return np.array(square)


LABELS = ("kind", "colour", "centre", "x", "y", "half_width", "half_height")
"""The channels of `patch_labels`."""


def patch_labels(size: tuple[int, int], things: Sequence[Thing]) -> np.ndarray:
    """Return uint8 (len(LABELS), GRID, GRID), the labels of each patch.

    Kind: 0 for none, else 1 + index in KINDS; colour likewise. In the patch of the centre of a thing: 1, its centre and
    its half extents in pixels of the square.
    """
    inner = inner_size(*size)
    scale = inner[0] / size[0], inner[1] / size[1]
    left, top = (SIZE - inner[0]) // 2, (SIZE - inner[1]) // 2
    labels = np.zeros((len(LABELS), GRID, GRID), np.uint8)
    for thing in things:
        x, y = left + thing.x * scale[0], top + thing.y * scale[1]
        half_width, half_height = thing.half_width * scale[0], thing.half_height * scale[1]
        # A patch belongs to a thing if its middle is within the thing's box, or if it contains the thing's centre.
        columns, rows = _covered(x, half_width), _covered(y, half_height)
        labels[0, rows, columns] = 1 + KINDS.index(thing.kind)
        labels[1, rows, columns] = 1 + COLOURS.index(thing.colour)
        labels[2:, _patch_index(y), _patch_index(x)] = 1, x, y, half_width, half_height
    return labels


def _covered(centre: float, half: float) -> slice:
    first = math.ceil((centre - half) / PATCH - 0.5)
    last = math.floor((centre + half) / PATCH - 0.5)
    centre_index = _patch_index(centre)
    return slice(max(0, min(first, centre_index)), min(GRID - 1, max(last, centre_index)) + 1)


def _patch_index(centre: float) -> int:
    return min(max(int(centre / PATCH), 0), GRID - 1)
