"""Ids of spoken answers, which contain the transcript."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.errors import InvalidRequest
from graphs.http.openai.chat.audio_id import MAX_CHARS, audio_id, transcript


@given(st.text(st.characters(codec="utf-8"), max_size=500))
def test_an_id_contains_its_transcript_until_it_expires(text: str) -> None:
    name = audio_id(text, 100)
    assert transcript(name, 99.0, "p") == text
    with pytest.raises(InvalidRequest, match="expired"):
        transcript(name, 100.0, "p")


@given(st.text(max_size=50) | st.binary(max_size=50).map(lambda data: "audio_" + data.hex()))
def test_rejects_any_other_id(name: str) -> None:
    with pytest.raises(InvalidRequest):
        transcript(name, 0, "p")


def test_rejects_an_id_that_decompresses_to_more_than_the_limit() -> None:
    with pytest.raises(InvalidRequest, match="not one of"):
        transcript(audio_id("a" * 2 * MAX_CHARS, 100), 0, "p")


def test_the_error_names_the_field() -> None:
    with pytest.raises(InvalidRequest) as caught:
        transcript("audio_", 0, "messages.1.audio.id")
    assert caught.value.param == "messages.1.audio.id"
