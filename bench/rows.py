"""The eight combinations of input and output of POST /chat (rows of GET /graph), with a few requests for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from bench.audio import CLIPS
from bench.client import Output, Request
from bench.pictures import draw

QUESTIONS = {  # and the recording of each in CLIPS
    "What is the capital of France?": "question.wav",
    "What is seven plus five?": "seven_plus_five.wav",
    "What is your name?": "what_is_your_name.wav",
}
PICTURE_QUESTIONS = {"What do you see?": "what_do_you_see.wav"}
PICTURES = ([("red", "circle")] * 2, [("blue", "square")], [("green", "star")] * 3, [("black", "triangle")])


@dataclass(frozen=True, slots=True)
class Row:
    """Text or speech, with or without a picture, to text or voice."""

    picture: bool
    speech: bool
    output: Output

    def __str__(self) -> str:
        return f"{'picture+' if self.picture else ''}{'speech' if self.speech else 'text'}->{self.output}"


ROWS = tuple(
    Row(picture, speech, output) for picture in (False, True) for speech in (False, True) for output in get_args(Output)
)


def requests_of(row: Row) -> list[Request]:
    """Return the different requests of a row."""
    questions = PICTURE_QUESTIONS if row.picture else QUESTIONS
    recordings = [(text, (CLIPS / clip).read_bytes()) for text, clip in questions.items()]
    pictures = [draw(things) for things in PICTURES] if row.picture else [None]
    return [
        Request(row.output, None if row.speech else text, clip if row.speech else None, picture)
        for picture in pictures
        for text, clip in recordings
    ]
