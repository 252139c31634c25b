"""The form of a response to POST /chat: by the field ``output``, else by the header ``Accept`` (RFC 9110). Pure."""

from __future__ import annotations

from enum import StrEnum
from fnmatch import fnmatchcase

from graphs.http import sse
from graphs.pipeline.turn import Output


class Form(StrEnum):
    """The media type of a response."""

    JSON = "application/json"
    TEXT = "text/plain"
    EVENTS = sse.MEDIA_TYPE
    WAV = "audio/wav"


FORMS: dict[Output, tuple[Form, ...]] = {
    Output.TEXT: (Form.JSON, Form.TEXT, Form.EVENTS),
    Output.VOICE: (Form.WAV, Form.JSON, Form.EVENTS),
}


def negotiate(accept: str, output: Output | None) -> tuple[Output, Form]:
    """Return the output and its form: the first form that ``accept`` prefers, else the default form of the output."""
    preferred = _preferred(accept)
    if output is None:
        output = Output.VOICE if preferred and preferred[0].startswith("audio/") else Output.TEXT
    forms = FORMS[output]
    return output, next((form for range_ in preferred for form in forms if fnmatchcase(form, range_)), forms[0])


def _preferred(accept: str) -> list[str]:
    """Return the media ranges of an Accept header in order of preference, without those of ``q=0``."""
    weighted = []
    for part in accept.lower().split(","):
        media_range, *parameters = (piece.strip() for piece in part.split(";"))
        weight = next((_number(p[2:]) for p in parameters if p.startswith("q=")), 1.0)
        if media_range and weight > 0:
            weighted.append((weight, media_range))
    return [media_range for _, media_range in sorted(weighted, key=lambda pair: -pair[0])]


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
