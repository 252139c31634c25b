"""Requests to POST /v1/audio/speech, and their audio as a file or as events."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncGenerator
from typing import Any

import numpy as np
import pytest
from starlette.responses import StreamingResponse

from deployments.errors import EngineUnavailable, InvalidRequest, NothingToAnswer, UnsupportedMedia
from deployments.messages import Audio
from graphs.http.executor import CodecExecutor
from graphs.http.media.encode import AudioFormat
from graphs.http.openai.models import Models, UnknownModel
from graphs.http.openai.speech import MAX_CHARS, SpeechFields, SpeechReader, SpeechRequest, SpeechResponse
from graphs.pipeline.events import AudioChunk, Done, Event, StageDone, TextOmitted
from graphs.pipeline.plan import Plan, Stage
from graphs.pipeline.turn import Input, Output
from graphs.settings import GatewayConfig
from tests.graphs.http.client import budget, received

PATH = "/v1/audio/speech"
EXECUTOR = CodecExecutor(1)
CHUNK = Audio(np.linspace(-0.5, 0.5, 2400, dtype=np.float32), 24_000)
MODELS = Models({Stage.ASR: "recognizer", Stage.LLM: "chat", Stage.VISION: "vision", Stage.TTS: "voice"}, 1)


def read(fields: dict[str, Any]) -> SpeechRequest:
    return asyncio.run(SpeechReader(GatewayConfig(), EXECUTOR, budget(), MODELS).read(received(PATH, json=fields)))


async def run(chunks: int, error: Exception | None = None) -> AsyncGenerator[Event, None]:
    for _ in range(chunks):
        yield AudioChunk(CHUNK)
    if error:
        raise error
    yield StageDone("tts", 1)
    yield Done("stop", 0, 0)


def respond(events: AsyncGenerator[Event, None], **fields: Any) -> tuple[str | None, list[bytes]]:
    """Return the media type and the pieces of the response."""

    async def collect() -> tuple[str | None, list[bytes]]:
        response = await SpeechResponse(read_request, Plan((Stage.TTS,)), events, EXECUTOR).respond()
        assert isinstance(response, StreamingResponse)
        pieces = [part async for part in response.body_iterator]
        return response.media_type, [part.encode() if isinstance(part, str) else bytes(part) for part in pieces]

    read_request = read({"input": "Hello.", **fields})
    return asyncio.run(collect())


def messages(pieces: list[bytes]) -> list[dict[str, Any]]:
    return [json.loads(piece.removeprefix(b"data: ")) for piece in pieces]


async def omitting() -> AsyncGenerator[Event, None]:
    yield TextOmitted("Привет")
    yield AudioChunk(CHUNK)
    yield TextOmitted("мир")
    yield AudioChunk(CHUNK)
    yield Done("stop", 0, 0)


def test_the_header_says_what_was_not_spoken_before_the_first_audio() -> None:
    request = SpeechRequest(read({"input": "a"}).turn, AudioFormat.PCM, as_events=False)

    async def header() -> str:
        response = await SpeechResponse(request, Plan((Stage.TTS,)), omitting(), EXECUTOR).respond()
        return response.headers["x-speech-omitted"]

    assert asyncio.run(header()) == '6; scripts="Cyrillic"'


def test_the_last_event_says_what_was_not_spoken() -> None:
    _, pieces = respond(omitting(), response_format="pcm", stream_format="sse")
    assert messages(pieces)[-1]["parley"] == {"speech_omitted": "Привет мир"}


def test_reads_a_request_with_its_defaults() -> None:
    request = read({"input": "Hello."})
    assert request.turn.inputs == {Input.TEXT}
    assert (request.turn.output, request.turn.messages[0].text) == (Output.VOICE, "Hello.")
    assert (request.turn.voice.voice, request.turn.voice.speed) == (None, 1)
    assert (request.audio_format, request.as_events) == (AudioFormat.MP3, False)


def test_reads_the_options_of_a_request() -> None:
    request = read({"input": "a", "voice": {"id": "v2"}, "speed": 2, "response_format": "wav", "stream_format": "sse"})
    assert (request.turn.voice.voice, request.turn.voice.speed) == ("v2", 2)
    assert (request.audio_format, request.as_events) == (AudioFormat.WAV, True)


def test_instructions_are_accepted_without_effect() -> None:
    assert read({"input": "a", "instructions": "Whisper."}).turn.messages == read({"input": "a"}).turn.messages
    assert "without effect" in str(SpeechFields.model_json_schema()["properties"]["instructions"])


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({}, "input"),
        ({"input": ""}, "input"),
        ({"input": "a" * (MAX_CHARS + 1)}, "input"),
        ({"input": "a", "speed": 5}, "speed"),
        ({"input": "a", "response_format": "midi"}, "response_format"),
    ],
)
def test_rejects_an_invalid_field_by_its_name(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read(fields)
    assert caught.value.param == param


def test_rejects_a_model_of_another_route() -> None:
    with pytest.raises(UnknownModel, match="only parley, voice"):
        read({"input": "a", "model": "chat"})


def test_rejects_a_body_that_is_not_json() -> None:
    with pytest.raises(UnsupportedMedia, match=f"{PATH} accepts application/json"):
        asyncio.run(SpeechReader(GatewayConfig(), EXECUTOR, budget(), MODELS).read(received(PATH, data={"input": "a"})))


def test_sends_each_chunk_when_it_is_synthesized() -> None:
    media_type, pieces = respond(run(3), response_format="pcm")
    assert media_type == "audio/pcm"
    assert pieces == [CHUNK.pcm16().tobytes()] * 3


def test_events_have_the_audio_in_base64_and_then_the_usage() -> None:
    media_type, pieces = respond(run(3), response_format="pcm", stream_format="sse")
    *deltas, done = messages(pieces)
    assert media_type == "text/event-stream"
    assert {delta["type"] for delta in deltas} == {"speech.audio.delta"}
    assert b"".join(base64.b64decode(delta["audio"]) for delta in deltas) == CHUNK.pcm16().tobytes() * 3
    usage = {"input_tokens": 6, "output_tokens": 6, "total_tokens": 12}
    assert done == {"type": "speech.audio.done", "usage": usage}


def test_an_error_before_the_first_audio_is_raised() -> None:
    with pytest.raises(EngineUnavailable):
        respond(run(0, EngineUnavailable("The replica died.")))


def test_an_error_after_the_first_audio_is_the_last_event() -> None:
    *_, last = messages(respond(run(1, EngineUnavailable("The replica died.")), stream_format="sse")[1])
    assert last["error"]["code"] == "engine_unavailable"


def test_an_error_after_the_first_audio_ends_a_file_early() -> None:
    with pytest.raises(EngineUnavailable):
        respond(run(1, EngineUnavailable("The replica died.")))


def test_rejects_a_text_without_audio() -> None:
    with pytest.raises(NothingToAnswer) as caught:
        respond(run(0))
    assert caught.value.param == "input"
