"""The eight rows of the graph: what comes in and what is wanted; and a few requests for each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from bench.client import Output, Request
from bench.pictures import draw

CLIPS = Path(__file__).parent.parent / "tests" / "data"
SAID = {
    "What is the capital of France?": "question.wav",
    "What is seven plus five?": "seven_plus_five.wav",
    "What is your name?": "what_is_your_name.wav",
}
SEEN = {"What do you see?": "what_do_you_see.wav"}
DRAWN = ([("red", "circle")] * 2, [("blue", "square")], [("green", "star")] * 3, [("black", "triangle")])


@dataclass(frozen=True, slots=True)
class Row:
    picture: bool
    speech: bool
    output: Output

    def __str__(self) -> str:
        return f"{'picture+' if self.picture else ''}{'speech' if self.speech else 'text'}->{self.output}"


ROWS = tuple(
    Row(picture, speech, output) for picture in (False, True) for speech in (False, True) for output in get_args(Output)
)


def requests_of(row: Row) -> list[Request]:
    """The requests that take turns in a row."""
    asked = [(text, (CLIPS / clip).read_bytes()) for text, clip in (SEEN if row.picture else SAID).items()]
    drawn = [draw(things) for things in DRAWN] if row.picture else [None]
    return [
        Request(row.output, None if row.speech else text, clip if row.speech else None, picture)
        for picture in drawn
        for text, clip in asked
    ]
