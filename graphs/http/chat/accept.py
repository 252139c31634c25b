"""Which form an answer takes: the ``output`` that was asked for, else what ``Accept`` prefers. Pure."""

from __future__ import annotations

from enum import StrEnum
from fnmatch import fnmatchcase

from graphs.pipeline.turn import Output


class Form(StrEnum):
    """The media type of an answer."""

    JSON = "application/json"
    TEXT = "text/plain"
    EVENTS = "text/event-stream"
    WAV = "audio/wav"


FORMS: dict[Output, tuple[Form, ...]] = {
    Output.TEXT: (Form.JSON, Form.TEXT, Form.EVENTS),
    Output.VOICE: (Form.WAV, Form.JSON, Form.EVENTS),
}


def negotiate(accept: str, output: Output | None) -> tuple[Output, Form]:
    """What to answer with and how. What cannot be had is answered in the first form of its output."""
    wanted = _preferred(accept)
    if output is None:
        output = Output.VOICE if wanted and wanted[0].startswith("audio/") else Output.TEXT
    forms = FORMS[output]
    return output, next((form for range_ in wanted for form in forms if fnmatchcase(form, range_)), forms[0])


def _preferred(accept: str) -> list[str]:
    """The media ranges of an Accept header, best first; refused ones (``q=0``) left out."""
    weighed = []
    for part in accept.lower().split(","):
        media_range, *parameters = (piece.strip() for piece in part.split(";"))
        weight = next((_number(p[2:]) for p in parameters if p.startswith("q=")), 1.0)
        if media_range and weight > 0:
            weighed.append((weight, media_range))
    return [media_range for _, media_range in sorted(weighed, key=lambda pair: -pair[0])]


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
