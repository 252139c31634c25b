"""Events to answers of every form; errors in one shape, before the headers and after them."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile
from fastapi import FastAPI, Response

from deployments.errors import EngineUnavailable, NoSpeech, Overloaded
from deployments.messages import Audio
from graphs.pipeline.events import AudioChunk, Done, Event, StageDone, TextChunk, TranscriptReady
from graphs.pipeline.plan import Plan, Stage
from graphs.pipeline.turn import Output, Turn, TurnMessage
from graphs.http import errors
from graphs.http.chat.accept import Form
from graphs.http.chat.response import Answer
from graphs.http.media.audio import decode_audio

RATE_HZ = 22_050
CHUNK = Audio(np.linspace(-0.5, 0.5, 2205, dtype=np.float32), RATE_HZ)
PLAN = Plan((Stage.ASR, Stage.LLM, Stage.TTS))

SPOKEN: tuple[Event, ...] = (
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
WRITTEN = tuple(e for e in SPOKEN if not isinstance(e, AudioChunk) and e != StageDone("tts", 6))

Get = Callable[..., httpx.Response]


@pytest.fixture
def get() -> Get:
    """The answer that a client gets for these events (an exception among them is raised) in this form."""

    def answered(events: Sequence[Event | Exception], form: Form, output: Output = Output.VOICE) -> httpx.Response:
        app = FastAPI()
        errors.install(app)

        @app.get("/")
        async def route() -> Response:
            turn = Turn("r1", (TurnMessage("user", "hi"),), output)
            return await Answer(turn, PLAN, told(events)).respond(form)

        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://parley") as client:
                return await client.get("/")

        return asyncio.run(ask())

    return answered


async def told(events: Sequence[Event | Exception]) -> AsyncGenerator[Event, None]:
    for event in events:
        if isinstance(event, Exception):
            raise event
        yield event


def sse(response: httpx.Response) -> list[tuple[str, Any]]:
    blocks = [block.splitlines() for block in response.text.strip().split("\n\n")]
    return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in blocks]


def test_json(get: Get) -> None:
    response = get(WRITTEN, Form.JSON, Output.TEXT)
    assert response.json() == {
        "id": "r1",
        "text": "Hello. You?",
        "transcript": "hi",
        "graph": ["asr", "llm", "tts"],
        "usage": {"prompt_tokens": 3, "completion_tokens": 4},
        "finish_reason": "stop",
    }
    assert response.headers["x-graph"] == "asr,llm,tts"
    assert response.headers["server-timing"] == "asr;dur=12.3, asr-queue;dur=3.2, llm;dur=5.0, llm-queue;dur=0.0"


def test_there_is_no_transcript_where_nobody_spoke(get: Get) -> None:
    assert "transcript" not in get(WRITTEN[2:], Form.JSON, Output.TEXT).json()


def test_bare_text(get: Get) -> None:
    response = get(WRITTEN, Form.TEXT, Output.TEXT)
    assert response.text == "Hello. You?"
    assert response.headers["content-type"] == "text/plain; charset=utf-8"


def test_json_with_a_voice(get: Get) -> None:
    body = get(SPOKEN, Form.JSON).json()
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(body["audio"])), dtype="float32")
    assert rate == RATE_HZ
    assert np.abs(samples - np.tile(CHUNK.samples, 2)).max() < 1e-4
    assert body["text"] == "Hello. You?"


def test_a_voice_is_a_wav_that_libraries_read(get: Get) -> None:
    response = get(SPOKEN, Form.WAV)
    assert response.headers["content-type"] == "audio/wav"
    assert (
        response.headers["server-timing"] == "asr;dur=12.3, asr-queue;dur=3.2"
    )  # what was finished before the headers
    assert decode_audio(response.content, max_s=10).duration_s == pytest.approx(0.2, abs=0.01)
    samples, rate = soundfile.read(io.BytesIO(response.content))
    assert (rate, len(samples)) == (RATE_HZ, 2 * len(CHUNK.samples))


def test_a_voice_with_nothing_to_say_is_an_empty_wav(get: Get) -> None:
    samples, _ = soundfile.read(io.BytesIO(get([TextChunk("..."), Done("stop", 1, 1)], Form.WAV).content))
    assert len(samples) == 0


def test_a_stream_of_events(get: Get) -> None:
    response = get(SPOKEN, Form.EVENTS)
    assert response.headers["content-type"].startswith("text/event-stream")
    events = sse(response)
    names = [name for name, _ in events]
    assert names == [
        "transcript",
        "stage",
        "text",
        "audio",
        "text",
        "stage",
        "audio",
        "stage",
        "done",
    ]
    assert events[0][1] == {"text": "hi"}
    assert events[3][1]["rate_hz"] == RATE_HZ
    assert len(base64.b64decode(events[3][1]["pcm16"])) == 2 * len(CHUNK.samples)
    assert events[-1][1]["text"] == "Hello. You?"
    assert "audio" not in events[-1][1]


@pytest.mark.parametrize("form", Form)
def test_an_early_failure_keeps_its_status(get: Get, form: Form) -> None:
    response = get([Overloaded("All places are taken.", retry_after_s=1.2)], form)
    assert response.status_code == 503
    assert response.headers["retry-after"] == "2"
    assert response.json() == {
        "error": {
            "message": "All places are taken.",
            "type": "overloaded_error",
            "param": None,
            "code": "overloaded",
        }
    }


def test_a_503_always_says_when_to_come_back(get: Get) -> None:
    assert get([EngineUnavailable("It died.")], Form.JSON).headers["retry-after"] == "1"
    assert "retry-after" not in get([NoSpeech("None.")], Form.JSON).headers


@pytest.mark.parametrize("form", [Form.JSON, Form.TEXT, Form.WAV])
def test_a_failure_after_the_text_began_keeps_its_status_where_no_headers_were_sent(get: Get, form: Form) -> None:
    response = get([TextChunk("He"), NoSpeech("None.", param="audio")], form)
    assert response.status_code == 422
    assert response.json()["error"]["param"] == "audio"


def test_a_late_failure_is_an_event(get: Get) -> None:
    response = get([TextChunk("He"), EngineUnavailable("It died.")], Form.EVENTS)
    assert response.status_code == 200
    assert sse(response)[-1] == ("error", errors.shape(EngineUnavailable("It died.")))


def test_a_late_fault_of_ours_is_an_event_that_tells_nothing_of_it(get: Get) -> None:
    name, data = sse(get([TextChunk("He"), RuntimeError("secret")], Form.EVENTS))[-1]
    assert (name, data["error"]["code"]) == ("error", "internal_error")
    assert "secret" not in data["error"]["message"]


@pytest.mark.parametrize(("form", "read_until"), [(Form.WAV, b"RIFF"), (Form.EVENTS, b"transcript")])
def test_a_client_that_leaves_closes_the_run(form: Form, read_until: bytes) -> None:
    closed = asyncio.Event()

    async def endless() -> AsyncGenerator[Event, None]:
        try:
            for event in SPOKEN[:-1]:
                yield event
            await asyncio.Event().wait()
        finally:
            closed.set()

    async def leave() -> None:
        turn = Turn("r1", (TurnMessage("user", "hi"),), Output.VOICE)
        response = await Answer(turn, PLAN, endless()).respond(form)
        heard = asyncio.Event()

        async def send(message: dict[str, Any]) -> None:
            if read_until in message.get("body", b""):
                heard.set()
                await asyncio.Event().wait()  # a socket whose buffer is full

        async def receive() -> dict[str, Any]:
            await heard.wait()
            return {"type": "http.disconnect"}

        await response({"type": "http", "asgi": {"spec_version": "2.3"}}, receive, send)  # type: ignore[arg-type]
        await asyncio.wait_for(closed.wait(), 1)

    asyncio.run(leave())


@pytest.fixture
def plain_app() -> FastAPI:
    app = FastAPI()
    errors.install(app)

    @app.get("/broken")
    async def broken() -> None:
        raise RuntimeError("secret")

    return app


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("DELETE", "/broken", 405, "method_not_allowed"),
        ("GET", "/broken", 500, "internal_error"),
    ],
)
def test_every_error_has_the_one_shape(plain_app: FastAPI, method: str, path: str, status: int, code: str) -> None:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(plain_app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://parley") as client:
            return await client.request(method, path)

    response = asyncio.run(ask())
    assert response.status_code == status
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["code"] == code
    assert "secret" not in error["message"]
