"""Draw shapes and digits with Pillow, in unambiguous colours."""

import colorsys
import functools
import math
import random

from PIL import Image, ImageDraw, ImageFont

from pocket.vision.things import DIGITS

RGB = tuple[int, int, int]
Point = tuple[float, float]

_PURE: dict[str, tuple[RGB, ...]] = {
    "red": ((255, 0, 0), (220, 20, 60), (200, 0, 0)),
    "orange": ((255, 165, 0), (255, 140, 0), (255, 128, 0)),
    "yellow": ((255, 255, 0), (255, 230, 0), (255, 215, 0)),
    "green": ((0, 128, 0), (0, 255, 0), (0, 200, 0), (34, 139, 34)),
    "blue": ((0, 0, 255), (30, 144, 255), (0, 0, 128), (65, 105, 225)),
    "purple": ((128, 0, 128), (160, 32, 240), (138, 43, 226), (148, 0, 211)),
    "black": ((0, 0, 0),),
    "white": ((255, 255, 255),),
}
# Ranges of hue in degrees, saturation and value in which a colour clearly has this name.
_RANGES: dict[str, tuple[tuple[float, float], ...]] = {
    "red": ((-10, 8), (0.75, 1.0), (0.6, 1.0)),
    "orange": ((22, 39), (0.85, 1.0), (0.88, 1.0)),
    "yellow": ((50, 62), (0.6, 1.0), (0.85, 1.0)),
    "green": ((90, 150), (0.5, 1.0), (0.35, 1.0)),
    "blue": ((205, 242), (0.6, 1.0), (0.45, 1.0)),
    "purple": ((270, 298), (0.5, 1.0), (0.4, 0.88)),
    "black": ((0, 360), (0.0, 0.3), (0.0, 0.12)),
    "white": ((0, 360), (0.0, 0.04), (0.94, 1.0)),
}


def shade(colour: str, rng: random.Random) -> RGB:
    """Return a random value of `colour`; in 40 % of the cases a value that programs commonly use for it."""
    if rng.random() < 0.4:
        return rng.choice(_PURE[colour])
    hue, saturation, value = (rng.uniform(*limits) for limits in _RANGES[colour])
    red, green, blue = colorsys.hsv_to_rgb(hue / 360 % 1.0, saturation, value)
    return round(255 * red), round(255 * green), round(255 * blue)


def contrast(one: RGB, other: RGB) -> float:
    """Return the perceptual distance of two colours, 0..~765 (the "redmean" approximation)."""
    mean = (one[0] + other[0]) / 2
    red, green, blue = (a - b for a, b in zip(one, other, strict=True))
    return math.sqrt((2 + mean / 256) * red**2 + 4 * green**2 + (2 + (255 - mean) / 256) * blue**2)


def outline(shape: str, rng: random.Random) -> list[Point]:
    """Return the corners of a shape (not a circle), rotated and centred, with a larger half extent of exactly 1."""
    angle = math.radians(rng.uniform(-12, 12)) if rng.random() < 0.35 else 0.0
    if rng.random() < 0.12:
        angle = rng.uniform(0, 2 * math.pi)
    corners = [_rotated(point, angle) for point in _CORNERS[shape](rng)]
    xs, ys = zip(*corners, strict=True)
    x, y = (max(xs) + min(xs)) / 2, (max(ys) + min(ys)) / 2
    size = max(max(xs) - x, max(ys) - y)
    return [((px - x) / size, (py - y) / size) for px, py in corners]


def _rotated(point: Point, angle: float) -> Point:
    cos, sin = math.cos(angle), math.sin(angle)
    return point[0] * cos - point[1] * sin, point[0] * sin + point[1] * cos


def _box(half_width: float, half_height: float) -> list[Point]:
    return [
        (-half_width, -half_height),
        (half_width, -half_height),
        (half_width, half_height),
        (-half_width, half_height),
    ]


def _rectangle(rng: random.Random) -> list[Point]:
    side = 1 / rng.uniform(1.5, 2.8)
    return _box(1, side) if rng.random() < 0.65 else _box(side, 1)


def _triangle(rng: random.Random) -> list[Point]:
    choice = rng.random()
    if choice < 0.4:
        return [(0, -1), (0.866, 0.5), (-0.866, 0.5)]
    if choice < 0.85:
        return [(0, -1), (rng.uniform(0.6, 1.2), 1), (-rng.uniform(0.6, 1.2), 1)]
    return [(-1, -1), (1, 1), (-1, 1)]


def _star(rng: random.Random) -> list[Point]:
    inner = rng.uniform(0.36, 0.5)
    radii = (1.0, inner)
    return [(radii[i % 2] * math.sin(i * math.pi / 5), -radii[i % 2] * math.cos(i * math.pi / 5)) for i in range(10)]


def _cross(rng: random.Random) -> list[Point]:
    arm = rng.uniform(0.2, 0.4)
    quarter = [(-arm, -1.0), (arm, -1.0), (arm, -arm)]
    return [_rotated(point, k * math.pi / 2) for k in range(4) for point in quarter]


_CORNERS = {
    "square": lambda rng: _box(1, 1),
    "rectangle": _rectangle,
    "triangle": _triangle,
    "star": _star,
    "cross": _cross,
}


def draw_shape(
    draw: ImageDraw.ImageDraw, shape: str, centre: Point, radius: float, fill: RGB, rng: random.Random
) -> Point:
    """Draw `shape` around `centre` with a larger half extent of `radius`; return its half width and height."""
    x, y = centre
    hollow = rng.random() < 0.1 and shape not in ("star", "cross") and radius > 12
    bordered = not hollow and rng.random() < 0.1
    line = max(1, round(radius * rng.uniform(0.14, 0.24))) if hollow else max(1, round(radius * 0.06))
    edge = fill if hollow else tuple(c // 3 for c in fill)
    inside = None if hollow else fill
    if shape == "circle":
        box = (x - radius, y - radius, x + radius, y + radius)
        draw.ellipse(box, fill=inside, outline=edge if hollow or bordered else None, width=line)
        return radius, radius
    unit = outline(shape, rng)
    corners = [(x + radius * px, y + radius * py) for px, py in unit]
    draw.polygon(corners, fill=inside, outline=edge if hollow or bordered else None, width=line)
    return radius * max(px for px, _ in unit), radius * max(py for _, py in unit)


def _arc(x: float, y: float, rx: float, ry: float, start: float, stop: float) -> list[Point]:
    """Return points of an arc of an ellipse; angles in degrees, 0 to the right and 90 downwards."""
    steps = 14
    angles = (math.radians(start + (stop - start) * i / steps) for i in range(steps + 1))
    return [(x + rx * math.cos(a), y + ry * math.sin(a)) for a in angles]


# Handwritten digits, as strokes in a box of 0..1 by 0..1.
_STROKES: dict[str, tuple[list[list[Point]], ...]] = {
    "zero": ([_arc(0.5, 0.5, 0.4, 0.5, -90, 270)],),
    "one": (
        [[(0.5, 0.0), (0.5, 1.0)]],
        [[(0.28, 0.22), (0.52, 0.0), (0.52, 1.0)]],
        [[(0.28, 0.22), (0.52, 0.0), (0.52, 1.0)], [(0.28, 1.0), (0.76, 1.0)]],
    ),
    "two": (
        [[*_arc(0.5, 0.28, 0.38, 0.28, 190, 370), (0.82, 0.45), (0.1, 1.0), (0.92, 1.0)]],
        [[*_arc(0.5, 0.25, 0.38, 0.25, 200, 395), (0.12, 1.0), (0.92, 1.0)]],
    ),
    "three": (
        [_arc(0.47, 0.26, 0.36, 0.26, 200, 450) + _arc(0.45, 0.75, 0.42, 0.25, 270, 520)],
        [[(0.1, 0.0), (0.85, 0.0), (0.45, 0.42), *_arc(0.45, 0.71, 0.42, 0.29, -80, 160)]],
    ),
    "four": (
        [[(0.68, 1.0), (0.68, 0.0), (0.05, 0.68), (0.95, 0.68)]],
        [[(0.18, 0.0), (0.12, 0.52), (0.88, 0.52)], [(0.76, 0.0), (0.72, 1.0)]],
    ),
    "five": (
        [[(0.88, 0.0), (0.2, 0.0), (0.15, 0.44), *_arc(0.45, 0.68, 0.42, 0.32, -125, 150)]],
        [[(0.85, 0.0), (0.18, 0.0), (0.18, 0.42), (0.4, 0.38), *_arc(0.45, 0.69, 0.4, 0.31, -90, 155)]],
    ),
    "six": (
        [[(0.78, 0.02), (0.45, 0.15), (0.18, 0.45), *_arc(0.5, 0.7, 0.37, 0.3, 190, 560)]],
        [_arc(0.85, 0.65, 0.75, 0.63, 270, 180) + _arc(0.5, 0.7, 0.39, 0.3, 180, -190)],
    ),
    "seven": (
        [[(0.08, 0.0), (0.92, 0.0), (0.35, 1.0)]],
        [[(0.08, 0.0), (0.92, 0.0), (0.35, 1.0)], [(0.3, 0.5), (0.8, 0.5)]],
        [[(0.08, 0.14), (0.08, 0.0), (0.92, 0.0), (0.5, 0.5), (0.4, 1.0)]],
    ),
    "eight": (
        [_arc(0.5, 0.24, 0.32, 0.24, 90, 450), _arc(0.5, 0.74, 0.4, 0.26, -90, 270)],
        [_arc(0.5, 0.25, 0.36, 0.25, 60, 400) + _arc(0.5, 0.76, 0.38, 0.25, -50, 300)],
    ),
    "nine": (
        [[*_arc(0.48, 0.3, 0.37, 0.3, 0, -370), (0.82, 0.6), (0.72, 1.0)]],
        [[*_arc(0.48, 0.29, 0.38, 0.29, 0, -360), (0.84, 0.6), *_arc(0.45, 0.68, 0.39, 0.32, 0, 140)]],
    ),
}
_SEGMENTS: dict[str, list[Point]] = {
    "a": [(0.0, 0.0), (0.6, 0.0)],
    "b": [(0.6, 0.0), (0.6, 0.5)],
    "c": [(0.6, 0.5), (0.6, 1.0)],
    "d": [(0.0, 1.0), (0.6, 1.0)],
    "e": [(0.0, 0.5), (0.0, 1.0)],
    "f": [(0.0, 0.0), (0.0, 0.5)],
    "g": [(0.0, 0.5), (0.6, 0.5)],
}
_DIGIT_SEGMENTS = ("abcdef", "bc", "abged", "abgcd", "fgbc", "afgcd", "afgedc", "abc", "abcdefg", "abcdfg")
_MASK = 96
"""Height of a digit's mask in pixels, before it is scaled."""


def digit_mask(digit: str, rng: random.Random) -> Image.Image:
    """Return a cropped "L" mask of a digit, about 96 pixels high: printed, handwritten, or of seven segments."""
    choice = rng.random()
    if choice < 0.45:
        mask = _printed(DIGITS.index(digit), rng.choice((0, 0, 1, 2, 4, 6)))
    elif choice < 0.93:
        mask = _draw_strokes(_distorted(rng.choice(_STROKES[digit]), rng), _MASK * rng.uniform(0.06, 0.2))
    else:
        strokes = [_SEGMENTS[name] for name in _DIGIT_SEGMENTS[DIGITS.index(digit)]]
        mask = _draw_strokes(strokes, _MASK * rng.uniform(0.07, 0.16))
    if rng.random() < 0.6:
        slant = rng.uniform(-0.25, 0.25)
        size = (mask.width + round(abs(slant) * mask.height), mask.height)
        mask = mask.transform(
            size, Image.Transform.AFFINE, (1, slant, -max(slant, 0.0) * mask.height, 0, 1, 0), Image.Resampling.BILINEAR
        )
        mask = mask.rotate(rng.uniform(-14, 14), Image.Resampling.BILINEAR, expand=True)
    return mask.crop(mask.getbbox())


@functools.cache
def _printed(digit: int, bold: int) -> Image.Image:
    font = ImageFont.load_default(size=round(_MASK * 1.3))
    mask = Image.new("L", (2 * _MASK, 2 * _MASK))
    ImageDraw.Draw(mask).text((_MASK // 2, 10), str(digit), fill=255, font=font, stroke_width=bold)
    return mask.crop(mask.getbbox())


def _distorted(strokes: list[list[Point]], rng: random.Random) -> list[list[Point]]:
    """Return the strokes with random distortions: stretched, bent, and with jitter."""
    stretch = rng.uniform(0.5, 1.0)
    amount, phases = rng.uniform(0.0, 0.05), [rng.uniform(0, 2 * math.pi) for _ in range(4)]

    def bend(x: float, y: float) -> Point:
        dx = math.sin(5 * y + phases[0]) + math.sin(9 * x + phases[1]) / 2
        dy = math.sin(5 * x + phases[2]) + math.sin(9 * y + phases[3]) / 2
        return stretch * (x + amount * dx), y + amount * dy

    jitter = rng.uniform(0.0, 0.012)
    return [[bend(x + rng.gauss(0, jitter), y + rng.gauss(0, jitter)) for x, y in stroke] for stroke in strokes]


def _draw_strokes(strokes: list[list[Point]], width: float) -> Image.Image:
    margin = _MASK // 4
    mask = Image.new("L", (_MASK + 2 * margin, _MASK + 2 * margin))
    draw, radius = ImageDraw.Draw(mask), width / 2
    for stroke in strokes:
        points = [(margin + x * _MASK, margin + y * _MASK) for x, y in stroke]
        draw.line(points, fill=255, width=round(width), joint="curve")
        for x, y in (points[0], points[-1]):
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    return mask
