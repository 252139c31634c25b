"""Responses of POST /v1/chat/completions: one completion, or its chunks."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncGenerator
from typing import Any

import numpy as np
import pytest
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from starlette.responses import StreamingResponse

from deployments.errors import EngineUnavailable, Overloaded
from deployments.messages import Audio, MessagesDropped
from graphs.http.executor import CodecExecutor
from graphs.http.media.audio import decode_audio
from graphs.http.media.encode import AudioFormat
from graphs.http.openai.chat.audio_id import transcript
from graphs.http.openai.chat.request import CompletionRequest
from graphs.http.openai.chat.response import CompletionResponse
from graphs.pipeline.events import AudioChunk, Done, Event, StageDone, TextChunk, TextOmitted
from graphs.pipeline.plan import Plan, Stage
from graphs.pipeline.turn import Output, Turn, TurnMessage

EXECUTOR = CodecExecutor(1)
CHUNK = Audio(np.linspace(-0.5, 0.5, 2400, dtype=np.float32), 24_000)
PLAN = Plan((Stage.LLM, Stage.TTS))
TEXT_EVENTS: tuple[Event, ...] = (TextChunk("Hello. "), TextChunk("You?"), StageDone("llm", 5), Done("length", 3, 4))
VOICE_EVENTS: tuple[Event, ...] = (*TEXT_EVENTS[:2], AudioChunk(CHUNK), AudioChunk(CHUNK), *TEXT_EVENTS[2:])
USAGE = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
CREATED, TTL_S = 1000, 60


async def run(*events: Event | Exception) -> AsyncGenerator[Event, None]:
    for event in events:
        if isinstance(event, Exception):
            raise event
        yield event


def respond(
    *events: Event | Exception,
    output: Output = Output.TEXT,
    audio_format: AudioFormat = AudioFormat.WAV,
    stream: bool = False,
    include_usage: bool = False,
) -> str:
    """Return the body of the response to ``events``; an exception among them is raised."""

    async def collect() -> str:
        turn = Turn("r1", (TurnMessage("user", "hi"),), output)
        request = CompletionRequest(turn, None, "gpt-4o", audio_format, stream, include_usage)
        response = await CompletionResponse(request, PLAN, run(*events), TTL_S, EXECUTOR, CREATED).respond()
        if isinstance(response, StreamingResponse):
            return "".join([str(part) async for part in response.body_iterator])
        return bytes(response.body).decode()

    return asyncio.run(collect())


def chunks(body: str) -> list[dict[str, Any]]:
    """Return the chunks of a complete stream."""
    *messages, done = body.strip().split("\n\n")
    assert done == "data: [DONE]"
    return [json.loads(message.removeprefix("data: ")) for message in messages]


def deltas(body: str) -> list[dict[str, Any]]:
    return [chunk["choices"][0]["delta"] for chunk in chunks(body)]


def test_a_completion_has_the_text_and_the_usage() -> None:
    message = {"role": "assistant", "content": "Hello. You?", "refusal": None}
    assert json.loads(respond(*TEXT_EVENTS)) == {
        "id": "chatcmpl-r1",
        "object": "chat.completion",
        "created": CREATED,
        "model": "gpt-4o",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "length"}],
        "usage": USAGE,
    }


def test_a_completion_with_a_voice_has_a_file_and_an_id_of_its_transcript() -> None:
    message = json.loads(respond(*VOICE_EVENTS, output=Output.VOICE))["choices"][0]["message"]
    audio = message["audio"]
    assert message["content"] is None
    assert audio["transcript"] == "Hello. You?"
    assert audio["expires_at"] == CREATED + TTL_S
    assert transcript(audio["id"], CREATED, "p") == "Hello. You?"
    assert decode_audio(base64.b64decode(audio["data"]), max_s=1).duration_s == pytest.approx(0.2, abs=0.01)


def test_a_completion_and_the_end_of_a_stream_say_what_was_not_spoken() -> None:
    events = (TextChunk("Привет."), TextOmitted("Привет"), AudioChunk(CHUNK), Done("stop", 3, 4))
    assert json.loads(respond(*events, output=Output.VOICE))["parley"] == {"speech_omitted": "Привет"}
    *others, last = chunks(respond(*events, output=Output.VOICE, audio_format=AudioFormat.PCM, stream=True))
    assert last["parley"] == {"speech_omitted": "Привет"}
    assert all("parley" not in chunk for chunk in others)


def test_a_stream_has_the_role_the_text_and_the_finish_reason() -> None:
    body = respond(*TEXT_EVENTS, stream=True)
    assert deltas(body) == [{"role": "assistant", "content": ""}, {"content": "Hello. "}, {"content": "You?"}, {}]
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks(body)] == [None, None, None, "length"]
    assert {chunk["object"] for chunk in chunks(body)} == {"chat.completion.chunk"}
    assert all("usage" not in chunk for chunk in chunks(body))


def test_a_stream_has_the_usage_in_its_last_chunk_if_it_is_requested() -> None:
    *others, last = chunks(respond(*TEXT_EVENTS, stream=True, include_usage=True))
    assert {chunk["usage"] for chunk in others} == {None}
    assert (last["choices"], last["usage"]) == ([], USAGE)


def test_a_stream_with_a_voice_has_the_transcript_the_audio_and_its_id() -> None:
    parts = deltas(respond(*VOICE_EVENTS, output=Output.VOICE, audio_format=AudioFormat.PCM, stream=True))
    assert parts[0] == {"role": "assistant"}
    audio = [part["audio"] for part in parts if "audio" in part]
    assert "".join(part.get("transcript", "") for part in audio) == "Hello. You?"
    data = b"".join(base64.b64decode(part.get("data", "")) for part in audio)
    assert data == CHUNK.pcm16().tobytes() * 2
    assert transcript(audio[-1]["id"], CREATED, "p") == "Hello. You?"


DROPPED: tuple[Event, ...] = (MessagesDropped(6), *TEXT_EVENTS)


def test_a_completion_has_the_number_of_dropped_messages_if_there_are_any() -> None:
    body = json.loads(respond(*DROPPED))
    assert body["parley"] == {"dropped_messages": 6}
    ChatCompletion.model_validate(body)


@pytest.mark.parametrize("include_usage", [False, True])
def test_a_stream_has_the_number_of_dropped_messages_with_the_finish_reason(include_usage: bool) -> None:
    body = chunks(respond(*DROPPED, stream=True, include_usage=include_usage))
    with_number = [chunk for chunk in body if "parley" in chunk]
    assert [chunk["parley"] for chunk in with_number] == [{"dropped_messages": 6}]
    assert with_number[0]["choices"][0]["finish_reason"] == "length"
    for chunk in body:
        ChatCompletionChunk.model_validate(chunk)


def test_openais_client_puts_a_stream_with_dropped_messages_together() -> None:
    state: ChatCompletionStreamState[None] = ChatCompletionStreamState()
    for chunk in chunks(respond(*DROPPED, stream=True, include_usage=True)):
        state.handle_chunk(ChatCompletionChunk.model_validate(chunk))
    assert state.current_completion_snapshot.choices[0].message.content == "Hello. You?"


@pytest.mark.parametrize("stream", [False, True])
def test_an_error_before_the_headers_is_raised(stream: bool) -> None:
    with pytest.raises(Overloaded):
        respond(Overloaded("All slots are in use."), stream=stream)


def test_an_error_after_the_headers_is_the_last_message_of_a_stream() -> None:
    body = respond(TextChunk("He"), EngineUnavailable("The replica died."), stream=True)
    last = json.loads(body.strip().split("\n\n")[-1].removeprefix("data: "))
    assert last["error"]["code"] == "engine_unavailable"
