"""Responses of POST /chat: events in every form, and errors before and after the headers."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile
from fastapi import FastAPI, Response

from deployments.errors import EngineUnavailable, NoSpeech, Overloaded
from deployments.messages import Audio, MessagesDropped
from graphs.http import errors
from graphs.http.chat.accept import Form
from graphs.http.chat.response import ChatResponse
from graphs.http.media.audio import decode_audio
from graphs.pipeline.events import AudioChunk, Done, Event, StageDone, TextChunk, TextOmitted, TranscriptReady
from graphs.pipeline.plan import Plan, Stage
from graphs.pipeline.turn import Output, Turn, TurnMessage
from tests.graphs.http.client import send

RATE_HZ = 22_050
CHUNK = Audio(np.linspace(-0.5, 0.5, 2205, dtype=np.float32), RATE_HZ)
PLAN = Plan((Stage.ASR, Stage.LLM, Stage.TTS))

VOICE_EVENTS: tuple[Event, ...] = (
    TranscriptReady("hi"),
    StageDone("asr", 12.34, 3.21),
    TextChunk("Hello. "),
    AudioChunk(CHUNK),
    TextChunk("You?"),
    StageDone("llm", 5),
    AudioChunk(CHUNK),
    StageDone("tts", 6),
    Done("stop", 3, 4),
)
TEXT_EVENTS = tuple(e for e in VOICE_EVENTS if not isinstance(e, AudioChunk) and e != StageDone("tts", 6))


def get(events: Sequence[Event | Exception], form: Form, output: Output = Output.VOICE) -> httpx.Response:
    """Return the response to ``events`` in ``form``; an exception among them is raised."""
    app = FastAPI()
    errors.install(app)

    @app.get("/")
    async def route() -> Response:
        turn = Turn("r1", (TurnMessage("user", "hi"),), output)
        return await ChatResponse(turn, PLAN, run(events)).respond(form)

    return send(app)


async def run(events: Sequence[Event | Exception]) -> AsyncGenerator[Event, None]:
    for event in events:
        if isinstance(event, Exception):
            raise event
        yield event


def messages(response: httpx.Response) -> list[tuple[str, Any]]:
    """Return the messages of an event stream, each with its type and data."""
    blocks = [block.splitlines() for block in response.text.strip().split("\n\n")]
    return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in blocks]


def test_a_json_response_has_the_whole_answer() -> None:
    response = get(TEXT_EVENTS, Form.JSON, Output.TEXT)
    assert response.json() == {
        "id": "r1",
        "text": "Hello. You?",
        "transcript": "hi",
        "graph": ["asr", "llm", "tts"],
        "usage": {"prompt_tokens": 3, "completion_tokens": 4},
        "finish_reason": "stop",
        "dropped_messages": 0,
    }
    assert "x-dropped-messages" not in response.headers
    assert response.headers["x-graph"] == "asr,llm,tts"
    assert response.headers["server-timing"] == "asr;dur=12.3, asr-queue;dur=3.2, llm;dur=5.0, llm-queue;dur=0.0"


OMITTED_EVENTS = (
    TextOmitted("Привет 世"),
    AudioChunk(CHUNK),
    TextOmitted("мир"),
    AudioChunk(CHUNK),
    Done("stop", 3, 4),
)


def test_a_json_response_says_what_was_not_spoken() -> None:
    response = get(OMITTED_EVENTS, Form.JSON)
    assert response.json()["speech_omitted"] == "Привет 世 мир"
    assert response.headers["x-speech-omitted"] == '10; scripts="Cyrillic Cjk"'


def test_the_header_of_a_wav_says_what_was_not_spoken_before_its_first_audio() -> None:
    assert get(OMITTED_EVENTS, Form.WAV).headers["x-speech-omitted"] == '7; scripts="Cyrillic Cjk"'


def test_the_last_message_of_a_stream_says_what_was_not_spoken() -> None:
    names, contents = zip(*messages(get(OMITTED_EVENTS, Form.EVENTS)), strict=True)
    assert names == ("audio", "audio", "done")
    assert contents[-1]["speech_omitted"] == "Привет 世 мир"


def test_nothing_is_said_of_omissions_without_one() -> None:
    response = get(VOICE_EVENTS, Form.JSON)
    assert "speech_omitted" not in response.json()
    assert "x-speech-omitted" not in response.headers


def test_without_speech_a_json_response_has_no_transcript() -> None:
    assert "transcript" not in get(TEXT_EVENTS[2:], Form.JSON, Output.TEXT).json()


def test_a_text_response_has_only_the_answer() -> None:
    response = get(TEXT_EVENTS, Form.TEXT, Output.TEXT)
    assert response.text == "Hello. You?"
    assert response.headers["content-type"] == "text/plain; charset=utf-8"


DROPPED = (MessagesDropped(6), *VOICE_EVENTS[2:])


@pytest.mark.parametrize("form", [Form.JSON, Form.TEXT, Form.WAV])
def test_a_response_says_in_a_header_that_messages_were_dropped(form: Form) -> None:
    assert get(DROPPED, form).headers["x-dropped-messages"] == "6"


def test_a_json_response_has_the_number_of_dropped_messages() -> None:
    assert get(DROPPED, Form.JSON).json()["dropped_messages"] == 6


def test_an_event_stream_has_the_number_of_dropped_messages_first_and_in_the_whole_answer() -> None:
    first, *_, last = messages(get(DROPPED, Form.EVENTS))
    assert first == ("dropped", {"messages": 6})
    assert last[1]["dropped_messages"] == 6


def test_a_json_response_has_the_audio_in_base64() -> None:
    body = get(VOICE_EVENTS, Form.JSON).json()
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(body["audio"])), dtype="float32")
    assert rate == RATE_HZ
    assert np.abs(samples - np.tile(CHUNK.samples, 2)).max() < 1e-4
    assert body["text"] == "Hello. You?"


def test_a_wav_response_is_readable_by_libraries() -> None:
    response = get(VOICE_EVENTS, Form.WAV)
    assert response.headers["content-type"] == "audio/wav"
    assert response.headers["server-timing"] == "asr;dur=12.3, asr-queue;dur=3.2"  # of stages before the first audio
    assert decode_audio(response.content, max_s=10).duration_s == pytest.approx(0.2, abs=0.01)
    samples, rate = soundfile.read(io.BytesIO(response.content))
    assert (rate, len(samples)) == (RATE_HZ, 2 * len(CHUNK.samples))


def test_an_answer_without_audio_is_an_empty_wav() -> None:
    samples, _ = soundfile.read(io.BytesIO(get([TextChunk("..."), Done("stop", 1, 1)], Form.WAV).content))
    assert len(samples) == 0


def test_an_event_stream_has_a_message_per_event() -> None:
    response = get(VOICE_EVENTS, Form.EVENTS)
    assert response.headers["content-type"].startswith("text/event-stream")
    events = messages(response)
    names = [name for name, _ in events]
    assert names == ["transcript", "stage", "text", "audio", "text", "stage", "audio", "stage", "done"]
    assert events[0][1] == {"text": "hi"}
    assert events[3][1]["rate_hz"] == RATE_HZ
    assert len(base64.b64decode(events[3][1]["pcm16"])) == 2 * len(CHUNK.samples)
    assert events[-1][1]["text"] == "Hello. You?"
    assert "audio" not in events[-1][1]


@pytest.mark.parametrize("form", Form)
def test_an_error_before_the_headers_has_its_own_status(form: Form) -> None:
    response = get([Overloaded("All slots are in use.", retry_after_s=1.2)], form)
    assert response.status_code == 503
    assert response.headers["retry-after"] == "2"
    assert response.json() == {
        "error": {
            "message": "All slots are in use.",
            "type": "overloaded_error",
            "param": None,
            "code": "overloaded",
        }
    }


def test_every_503_has_retry_after() -> None:
    assert get([EngineUnavailable("The replica died.")], Form.JSON).headers["retry-after"] == "1"
    assert "retry-after" not in get([NoSpeech("None.")], Form.JSON).headers


@pytest.mark.parametrize("form", [Form.JSON, Form.TEXT, Form.WAV])
def test_an_error_after_the_first_text_has_its_own_status_if_no_headers_were_sent(form: Form) -> None:
    response = get([TextChunk("He"), NoSpeech("None.", param="audio")], form)
    assert response.status_code == 422
    assert response.json()["error"]["param"] == "audio"


def test_an_error_after_the_headers_is_a_message_of_the_stream() -> None:
    response = get([TextChunk("He"), EngineUnavailable("The replica died.")], Form.EVENTS)
    assert response.status_code == 200
    assert messages(response)[-1] == ("error", errors.body(EngineUnavailable("The replica died.")))


def test_an_internal_error_after_the_headers_reveals_no_details() -> None:
    name, data = messages(get([TextChunk("He"), RuntimeError("secret")], Form.EVENTS))[-1]
    assert (name, data["error"]["code"]) == ("error", "internal_error")
    assert "secret" not in data["error"]["message"]


@pytest.mark.parametrize(("form", "read_until"), [(Form.WAV, b"RIFF"), (Form.EVENTS, b"transcript")])
def test_a_client_that_disconnects_closes_the_run(form: Form, read_until: bytes) -> None:
    closed = asyncio.Event()

    async def endless() -> AsyncGenerator[Event, None]:
        try:
            for event in VOICE_EVENTS[:-1]:
                yield event
            await asyncio.Event().wait()
        finally:
            closed.set()

    async def disconnect() -> None:
        turn = Turn("r1", (TurnMessage("user", "hi"),), Output.VOICE)
        response = await ChatResponse(turn, PLAN, endless()).respond(form)
        reached = asyncio.Event()

        async def send_message(message: dict[str, Any]) -> None:
            if read_until in message.get("body", b""):
                reached.set()
                await asyncio.Event().wait()  # a socket whose buffer is full

        async def receive() -> dict[str, Any]:
            await reached.wait()
            return {"type": "http.disconnect"}

        await response({"type": "http", "asgi": {"spec_version": "2.3"}}, receive, send_message)  # type: ignore[arg-type]
        await asyncio.wait_for(closed.wait(), 1)

    asyncio.run(disconnect())
