"""A transcription in each of its forms, from segments and words with their times."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from starlette.datastructures import FormData
from starlette.responses import Response

from deployments.errors import InvalidRequest
from deployments.messages import Segment, Word
from graphs.http.executor import Lanes
from graphs.http.openai.transcription import TranscriptionAnswer, TranscriptionAsked, TranscriptionRequest
from graphs.pipeline.events import Done, Event, SegmentHeard

LANES = Lanes(1)
HEARD = [
    Segment("Good day.", 0.25, 1.0, (Word("Good", 0.25, 0.5), Word("day.", 0.5, 1.0))),
    Segment("It is late.", 3661.5, 3662.75, (Word("It", 3661.5, 3661.75), Word("is", 3661.75, 3662.0),
                                             Word("late.", 3662.0, 3662.75))),
]  # fmt: skip


async def told(segments: list[Segment]) -> AsyncGenerator[Event, None]:
    for segment in segments:
        yield SegmentHeard(segment)
    yield Done("stop", 0, 0)


def answer(segments: list[Segment], **fields: Any) -> Response:
    request = TranscriptionRequest.model_validate(fields)
    asked = TranscriptionAsked(request, FormData(), io.BytesIO(), 10_000, LANES, heard_samples=[16_000 * 3663])
    return asyncio.run(TranscriptionAnswer(asked, told(segments)).respond())


def text(segments: list[Segment], **fields: Any) -> str:
    return bytes(answer(segments, **fields).body).decode()


def test_words_have_their_times() -> None:
    body = json.loads(text(HEARD, response_format="verbose_json", **{"timestamp_granularities[]": ["word"]}))
    assert [word["word"] for word in body["words"]] == ["Good", "day.", "It", "is", "late."]
    assert body["words"][2] == {"word": "It", "start": 3661.5, "end": 3661.75}
    assert "segments" not in body
    assert body["text"] == "Good day. It is late."
    assert body["duration"] == 3663


def test_words_and_segments_go_together() -> None:
    body = json.loads(text(HEARD, response_format="verbose_json", **{"timestamp_granularities[]": ["word", "segment"]}))
    assert [(s["id"], s["start"], s["end"]) for s in body["segments"]] == [(0, 0.25, 1.0), (1, 3661.5, 3662.75)]
    assert len(body["words"]) == 5


def test_a_segment_says_how_sure_the_recognizer_was() -> None:
    sure = Segment(
        "Good day.", 0, 1, tokens=(7, 9), avg_logprob=-0.25, compression_ratio=0.5, no_speech_prob=0.0, temperature=0.2
    )
    told, untold = json.loads(text([sure, Segment("Hm.", 1, 2)], response_format="verbose_json"))["segments"]
    names = ("tokens", "avg_logprob", "compression_ratio", "no_speech_prob", "temperature")
    assert [told[name] for name in names] == [[7, 9], -0.25, 0.5, 0.0, 0.2]
    assert [untold[name] for name in names] == [[], None, None, None, None]


def test_a_recognizer_that_tells_no_words_is_said_so() -> None:
    with pytest.raises(InvalidRequest, match="does not tell") as caught:
        text([Segment("Hm.", 0, 1)], response_format="verbose_json", **{"timestamp_granularities[]": ["word"]})
    assert caught.value.param == "timestamp_granularities"


def test_nothing_heard_has_no_words_either() -> None:
    body = json.loads(text([], response_format="verbose_json", **{"timestamp_granularities[]": ["word"]}))
    assert body["words"] == []
    assert body["text"] == ""


def test_subtitles() -> None:
    assert text(HEARD, response_format="srt") == (
        "1\n00:00:00,250 --> 00:00:01,000\nGood day.\n\n2\n01:01:01,500 --> 01:01:02,750\nIt is late.\n"
    )
    assert text(HEARD, response_format="vtt") == (
        "WEBVTT\n\n00:00:00.250 --> 00:00:01.000\nGood day.\n\n01:01:01.500 --> 01:01:02.750\nIt is late.\n"
    )


def test_temperature_nought_is_a_choice_and_not_none() -> None:
    for fields, expected in (({}, None), ({"temperature": 0}, 0.0), ({"temperature": 0.5}, 0.5)):
        request = TranscriptionRequest.model_validate(fields)
        assert TranscriptionAsked(request, FormData(), io.BytesIO(), 1, LANES).options.temperature == expected
