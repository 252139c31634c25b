"""Preprocessing of pictures, and the labels of their patches."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pocket.vision.preprocess import GRID, LABELS, PAD_COLOUR, PATCH, SIZE, inner_size, patch_labels, preprocess
from pocket.vision.things import COLOURS, KINDS, Thing

sides = st.integers(1, 700)


@settings(max_examples=60, deadline=None)
@given(sides, sides)
def test_any_size_fits_the_square_and_keeps_its_aspect_ratio(width: int, height: int):
    inner = inner_size(width, height)
    assert max(inner) == SIZE
    assert min(inner) >= 1
    # The side is rounded up to whole pixels.
    assert inner[0] - SIZE * width / max(width, height) <= 1.001
    square = preprocess(Image.new("RGB", (width, height), (255, 0, 0)))
    assert square.shape == (SIZE, SIZE, 3)
    assert square.dtype == np.uint8
    red = (square == (255, 0, 0)).all(-1)
    padded = (square == PAD_COLOUR).all(-1)
    assert red.sum() == inner[0] * inner[1]
    assert (red | padded).all()


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(["L", "RGBA", "P", "1", "LA", "CMYK"]), sides, sides)
def test_accepts_any_mode(mode: str, width: int, height: int):
    assert preprocess(Image.new(mode, (width, height))).shape == (SIZE, SIZE, 3)


def test_does_not_change_a_picture_of_the_right_size():
    pixels = np.random.default_rng(1).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
    assert np.array_equal(preprocess(Image.fromarray(pixels)), pixels)


@settings(max_examples=100, deadline=None)
@given(st.integers(30, 1600), st.integers(30, 1600), st.floats(0, 0.999), st.floats(0, 0.999), st.floats(0.02, 0.5))
def test_labels_the_centre_of_a_thing(width: int, height: int, x: float, y: float, size: float):
    half = size * min(width, height) / 2
    thing = Thing("star", "purple", x * width, y * height, half, half)
    labels = patch_labels((width, height), [thing])
    assert labels.shape == (len(LABELS), GRID, GRID)
    inner = inner_size(width, height)
    column = int(((SIZE - inner[0]) // 2 + thing.x * (inner[0] / width)) / PATCH)
    row = int(((SIZE - inner[1]) // 2 + thing.y * (inner[1] / height)) / PATCH)
    assert labels[0, row, column] == 1 + KINDS.index("star")
    assert labels[1, row, column] == 1 + COLOURS.index("purple")
    assert ((labels[0] > 0) == (labels[1] > 0)).all()
    assert labels[2].sum() == 1


def test_no_things_give_no_labels():
    assert not patch_labels((300, 200), []).any()
