"""The form of a response by ``output`` and ``Accept``; without either it is text in JSON."""

from __future__ import annotations

import pytest

from graphs.http.chat.accept import Form, negotiate
from graphs.pipeline.turn import Output


@pytest.mark.parametrize(
    ("accept", "output", "form"),
    [
        ("*/*", Output.TEXT, Form.JSON),
        ("", Output.TEXT, Form.JSON),
        ("text/plain", Output.TEXT, Form.TEXT),
        ("text/*", Output.TEXT, Form.TEXT),
        ("text/event-stream", Output.TEXT, Form.EVENTS),
        ("audio/wav", Output.VOICE, Form.WAV),
        ("audio/*", Output.VOICE, Form.WAV),
        ("audio/mpeg", Output.VOICE, Form.WAV),
        ("application/json, audio/wav;q=0.5", Output.TEXT, Form.JSON),
        ("application/json;q=0.1, audio/wav", Output.VOICE, Form.WAV),
        ("text/plain;q=0, application/json", Output.TEXT, Form.JSON),
        ("text/html,application/xhtml+xml,*/*;q=0.8", Output.TEXT, Form.JSON),
        (";;q=x,,", Output.TEXT, Form.JSON),
    ],
)
def test_accept_decides_without_the_field_output(accept: str, output: Output, form: Form) -> None:
    assert negotiate(accept, None) == (output, form)


@pytest.mark.parametrize(
    ("accept", "output", "form"),
    [
        ("audio/wav", Output.TEXT, Form.JSON),
        ("text/plain", Output.VOICE, Form.WAV),
        ("application/json", Output.VOICE, Form.JSON),
        ("text/event-stream", Output.VOICE, Form.EVENTS),
        ("image/png", Output.TEXT, Form.JSON),
        ("*/*", Output.VOICE, Form.WAV),
    ],
)
def test_the_field_output_overrides_accept(accept: str, output: Output, form: Form) -> None:
    assert negotiate(accept, output) == (output, form)
