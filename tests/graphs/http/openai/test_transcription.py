"""Requests to POST /v1/audio/transcriptions, and the transcript in each of its formats."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from starlette.datastructures import FormData
from starlette.responses import StreamingResponse
from starlette.types import Message

from deployments.errors import BrokenMedia, InvalidRequest, ParleyError, TooLarge, UnsupportedMedia
from deployments.messages import Segment, Word
from graphs.http.budget import Reservation
from graphs.http.openai.models import Models, UnknownModel
from graphs.http.openai.transcription import Recording, TranscriptionReader, TranscriptionRequest, TranscriptionResponse
from graphs.pipeline.events import Done, Event, SegmentReady, StageDone
from graphs.pipeline.plan import Plan, Stage
from graphs.pipeline.turn import Input
from graphs.settings import GatewayConfig
from tests.graphs.http.client import budget, received, sandbox
from tests.graphs.http.media.files import silence, wav

PATH = "/v1/audio/transcriptions"
CONFIG = GatewayConfig(max_upload_bytes=100_000, max_transcription_s=2)
MODELS = Models({Stage.ASR: "recognizer", Stage.LLM: "chat", Stage.VISION: "vision", Stage.TTS: "voice"}, 1)
SEGMENTS = [
    Segment("Good day.", 0.25, 1.0, (Word("Good", 0.25, 0.5), Word("day.", 0.5, 1.0))),
    Segment("It is late.", 3661.5, 3662.75, (Word("It", 3661.5, 3661.75), Word("is", 3661.75, 3662.0),
                                             Word("late.", 3662.0, 3662.75))),
]  # fmt: skip


class DecodedRecording(Recording):
    """A recording that has been decoded already."""

    duration_s = 3663.0  # type: ignore[assignment]
    closed = False

    async def close(self) -> None:
        self.closed = True


def read(fields: dict[str, Any], file: bytes | None = None) -> TranscriptionRequest:
    """Return the request that has ``fields`` and one recording, by default half a second of silence."""
    files = {"file": ("a.wav", silence(0.5) if file is None else file)}
    return asyncio.run(
        TranscriptionReader(CONFIG, sandbox(), budget(), MODELS).read(received(PATH, data=fields, files=files))
    )


async def run(segments: list[Segment], error: Exception | None = None) -> AsyncGenerator[Event, None]:
    for segment in segments:
        yield SegmentReady(segment)
    if error:
        raise error
    yield StageDone("asr", 1)
    yield Done("stop", 0, 0)


def transcript(segments: list[Segment], error: Exception | None = None, **fields: Any) -> str:
    """Return the body of the response to a request with ``fields``, which closes the recording."""

    async def respond() -> str:
        try:
            response = await TranscriptionResponse(request, Plan((Stage.ASR,)), run(segments, error)).respond()
        finally:
            closed_early = recording.closed
        assert closed_early is not isinstance(response, StreamingResponse)
        parts: list[bytes] = []

        async def send(message: Message) -> None:
            parts.append(message.get("body", b""))

        await response({"type": "http"}, asyncio.Event().wait, send)  # type: ignore[arg-type]
        return b"".join(parts).decode()

    recording = DecodedRecording(FormData(), None, Reservation(budget()), 10_000, sandbox())  # type: ignore[arg-type]
    request = replace(read(fields), recording=recording)
    try:
        return asyncio.run(respond())
    finally:
        assert recording.closed


def verbose(segments: list[Segment], *granularities: str) -> Any:
    return json.loads(
        transcript(segments, response_format="verbose_json", **{"timestamp_granularities[]": granularities})
    )


# --- requests ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "temperature"), [({}, None), ({"temperature": "0"}, 0), ({"temperature": 0.5}, 0.5)]
)
def test_a_temperature_of_zero_differs_from_the_default(fields: dict[str, Any], temperature: float | None) -> None:
    assert read(fields).turn.transcription.temperature == temperature


def test_reads_the_options_of_a_request() -> None:
    fields = {"language": "de", "prompt": "Grüezi", "response_format": "verbose_json"}
    options = read(fields | {"timestamp_granularities[]": ["word"]}).turn.transcription
    assert (options.language, options.prompt, options.words) == ("de", "Grüezi", True)
    assert not read(fields | {"timestamp_granularities[]": ["segment"]}).turn.transcription.words


def test_an_empty_field_has_its_default() -> None:
    assert read({"language": "", "prompt": ""}).turn.transcription == read({}).turn.transcription


@pytest.mark.parametrize("language", ["en-US", "English", "en"])
def test_reads_the_language_in_each_form(language: str) -> None:
    assert read({"language": language}).turn.transcription.language == "en"


@pytest.mark.parametrize("language", ["auto", ""])
def test_the_settings_decide_the_language_for_auto(language: str) -> None:
    assert read({"language": language}).turn.transcription.language is None


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"include[]": ["logprobs"]}, "include"),
        ({"include": "logprobs"}, "include"),
        ({"languages[]": ["en", "de"]}, "languages"),
        ({"chunking_strategy[type]": "server_vad"}, "chunking_strategy"),
    ],
)
def test_rejects_unsupported_fields_by_their_names(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read(fields)
    assert (type(caught.value), caught.value.param) == (InvalidRequest, param)


def test_rejects_a_recording_with_nan_samples() -> None:
    async def decode() -> None:
        async for _ in request.recording.pieces():
            pass

    request = read({}, wav(np.full(1600, np.nan, np.float32), tag=3))
    with pytest.raises(BrokenMedia, match="NaN") as caught:
        asyncio.run(decode())
    assert caught.value.param == "file"


def test_the_turn_has_only_the_recording() -> None:
    turn = read({}).turn
    assert turn.inputs == {Input.SPEECH}
    assert turn.messages == ()


def test_decodes_the_recording_in_pieces() -> None:
    async def decode() -> None:
        assert [(start_s, audio.duration_s) async for start_s, audio in request.recording.pieces()] == [(0, 0.5)]

    request = read({})
    assert request.recording.duration_s == 0
    asyncio.run(decode())
    assert request.recording.duration_s == 0.5


def test_rejects_a_recording_above_the_duration_limit() -> None:
    async def decode() -> None:
        async for _ in request.recording.pieces():
            pass

    request = read({}, silence(3))
    with pytest.raises(TooLarge, match="longer than 2 s") as caught:
        asyncio.run(decode())
    assert caught.value.param == "file"


@pytest.mark.parametrize(
    ("fields", "kind", "param"),
    [
        ({"model": "chat"}, UnknownModel, "model"),
        ({"response_format": "xml"}, InvalidRequest, "response_format"),
        ({"timestamp_granularities[]": ["word"]}, InvalidRequest, "timestamp_granularities"),
        ({"stream": "true", "response_format": "srt"}, InvalidRequest, "response_format"),
        ({"language": ["de", "en"]}, InvalidRequest, "language"),
        ({"temperature": "2"}, InvalidRequest, "temperature"),
    ],
)
def test_rejects_invalid_fields(fields: dict[str, Any], kind: type[ParleyError], param: str) -> None:
    with pytest.raises(kind) as caught:
        read(fields)
    assert caught.value.param == param


@pytest.mark.parametrize(
    "parts",
    [
        {"files": {"model": (None, "parley")}},
        {"files": {"file": (None, "a text field")}},
        {"files": [("file", ("a.wav", silence(0.1))), ("file", ("b.wav", silence(0.1)))]},
    ],
    ids=["none", "not a file", "two"],
)
def test_rejects_a_form_without_exactly_one_recording(parts: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match="one recording") as caught:
        asyncio.run(TranscriptionReader(CONFIG, sandbox(), budget(), MODELS).read(received(PATH, **parts)))
    assert caught.value.param == "file"


def test_rejects_a_body_that_is_not_a_form() -> None:
    with pytest.raises(UnsupportedMedia, match="multipart/form-data"):
        asyncio.run(
            TranscriptionReader(CONFIG, sandbox(), budget(), MODELS).read(received(PATH, json={"file": "AAAA"}))
        )


def test_rejects_an_upload_above_the_size_limit() -> None:
    with pytest.raises(TooLarge, match="100,000 bytes"):
        read({}, bytes(100_001))


# --- responses --------------------------------------------------------------------------------------------------------


def test_json_has_the_text_and_the_usage() -> None:
    body = json.loads(transcript(SEGMENTS))
    assert body == {"text": "Good day. It is late.", "usage": {"type": "duration", "seconds": 3663}}


def test_text_is_one_line() -> None:
    assert transcript(SEGMENTS, response_format="text") == "Good day. It is late.\n"


def test_verbose_json_has_the_times_of_words() -> None:
    body = verbose(SEGMENTS, "word")
    assert [word["word"] for word in body["words"]] == ["Good", "day.", "It", "is", "late."]
    assert body["words"][2] == {"word": "It", "start": 3661.5, "end": 3661.75}
    assert "segments" not in body
    assert body["text"] == "Good day. It is late."
    assert body["duration"] == 3663


@pytest.mark.parametrize(
    ("detected", "requested", "language"),
    [("de", "", "de"), ("de", "auto", "de"), (None, "German", "de"), (None, "", "unknown")],
)
def test_verbose_json_has_the_language_that_was_heard(detected: str | None, requested: str, language: str) -> None:
    segments = [Segment("Guten Tag.", 0, 1, language=detected), Segment("Servus.", 1, 2, language=detected)]
    assert json.loads(transcript(segments, response_format="verbose_json", language=requested))["language"] == language


def test_verbose_json_has_words_and_segments_if_both_are_requested() -> None:
    body = verbose(SEGMENTS, "word", "segment")
    assert [(s["id"], s["start"], s["end"]) for s in body["segments"]] == [(0, 0.25, 1.0), (1, 3661.5, 3662.75)]
    assert len(body["words"]) == 5


def test_a_segment_has_the_statistics_of_the_recognizer_or_null() -> None:
    complete = Segment(
        "Good day.", 0, 1, tokens=(7, 9), avg_logprob=-0.25, compression_ratio=0.5, no_speech_prob=0.0, temperature=0.2
    )
    first, second = verbose([complete, Segment("Hm.", 1, 2)])["segments"]
    names = ("tokens", "avg_logprob", "compression_ratio", "no_speech_prob", "temperature")
    assert [first[name] for name in names] == [[7, 9], -0.25, 0.5, 0.0, 0.2]
    assert [second[name] for name in names] == [[], None, None, None, None]


def test_rejects_times_of_words_that_the_recognizer_does_not_report() -> None:
    with pytest.raises(InvalidRequest, match="does not report") as caught:
        verbose([Segment("Hm.", 0, 1)], "word")
    assert caught.value.param == "timestamp_granularities"


def test_a_recording_without_speech_has_no_words() -> None:
    body = verbose([], "word")
    assert body["words"] == []
    assert body["text"] == ""


def test_formats_subtitles() -> None:
    assert transcript(SEGMENTS, response_format="srt") == (
        "1\n00:00:00,250 --> 00:00:01,000\nGood day.\n\n2\n01:01:01,500 --> 01:01:02,750\nIt is late.\n"
    )
    assert transcript(SEGMENTS, response_format="vtt") == (
        "WEBVTT\n\n00:00:00.250 --> 00:00:01.000\nGood day.\n\n01:01:01.500 --> 01:01:02.750\nIt is late.\n"
    )


def messages(stream: str) -> list[dict[str, Any]]:
    return [json.loads(block.removeprefix("data: ")) for block in stream.strip().split("\n\n")]


def test_a_stream_has_the_segments_and_then_the_whole_text() -> None:
    *deltas, done = messages(transcript(SEGMENTS, stream="true"))
    assert [message["delta"] for message in deltas] == ["Good day.", " It is late."]
    assert {message["type"] for message in deltas} == {"transcript.text.delta"}
    usage = {"type": "duration", "seconds": 3663}
    assert done == {"type": "transcript.text.done", "text": "Good day. It is late.", "usage": usage}


def test_an_error_after_the_headers_is_the_last_message_of_a_stream() -> None:
    *_, last = messages(transcript(SEGMENTS[:1], BrokenMedia("The MP3 ends."), stream="true"))
    assert last["error"]["code"] == "broken_media"


@pytest.mark.parametrize("stream", ["true", "false"])
def test_an_error_before_the_headers_is_raised(stream: str) -> None:
    with pytest.raises(BrokenMedia):
        transcript([], BrokenMedia("It is no MP3."), stream=stream)
