"""The contents of a picture: coloured shapes and digits."""

from dataclasses import dataclass

SHAPES = ("circle", "square", "triangle", "rectangle", "star", "cross")
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "black", "white")
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
KINDS = SHAPES + DIGITS
"""All kinds of things."""


@dataclass(frozen=True)
class Thing:
    """One shape or digit: `kind` of KINDS, `colour` of COLOURS; centre and half extents in pixels of the picture."""

    kind: str
    colour: str
    x: float
    y: float
    half_width: float
    half_height: float

    @property
    def is_digit(self) -> bool:
        return self.kind in DIGITS

    @property
    def name(self) -> tuple[str, str]:
        return self.colour, self.kind


@dataclass(frozen=True)
class Scene:
    """The things in a picture of `width` x `height` pixels, and the colour name of its background, if it has one."""

    width: int
    height: int
    background: str | None
    things: tuple[Thing, ...]

    def groups(self) -> list[tuple[int, str, str]]:
        """Return (count, colour, kind) of each group of equal things, from left to right."""
        members: dict[tuple[str, str], list[Thing]] = {}
        for thing in self.things:
            members.setdefault(thing.name, []).append(thing)
        by_position = sorted(members.items(), key=lambda item: sum(t.x for t in item[1]) / len(item[1]))
        return [(len(things), *name) for name, things in by_position]
