"""The framing of server-sent events."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from graphs.http import sse


def test_a_message_has_its_data_as_json() -> None:
    assert sse.message({"text": "Hi"}) == 'data: {"text": "Hi"}\n\n'


def test_a_message_with_an_event_names_it_first() -> None:
    assert sse.message({"text": "Hi"}, "transcript") == 'event: transcript\ndata: {"text": "Hi"}\n\n'


def test_text_outside_ascii_is_not_escaped() -> None:
    assert sse.message({"text": "Grüße"}) == 'data: {"text": "Grüße"}\n\n'


@given(st.text(st.characters(codec="utf-8")))
def test_a_line_break_in_the_data_does_not_end_the_message(text: str) -> None:
    message = sse.message({"text": text})
    line, end, rest = message.partition("\n\n")
    assert (end, rest) == ("\n\n", "")
    assert "\n" not in line
    assert "\r" not in line
    assert json.loads(line.removeprefix("data: ")) == {"text": text}
