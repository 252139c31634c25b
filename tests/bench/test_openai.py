"""The client of the OpenAI routes reads what the service writes."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import numpy as np
import pytest

from bench.client import Answer, BrokenAnswer, Request, write_wav
from bench.openai import complete, speak, transcribe
from deployments.messages import Audio

TONE = Audio(np.full(2_400, 0.25, np.float32), 24_000)
PCM = base64.b64encode((TONE.samples * 32767).astype("<i2").tobytes()).decode()


def asked(call: Callable[[httpx.AsyncClient], Awaitable[Answer]], response: httpx.Response) -> tuple[Answer, Any]:
    """The answer to a call that gets this response, and the request as it was sent."""
    sent: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return response

    async def body() -> Answer:
        transport = httpx.MockTransport(handler)
        async with httpx.AsyncClient(base_url="http://service", transport=transport) as client:
            return await call(client)

    return asyncio.run(body()), sent[0]


def streamed(*deltas: dict[str, Any]) -> httpx.Response:
    chunks = [json.dumps({"choices": [{"delta": delta}]}) for delta in deltas]
    return httpx.Response(200, text="".join(f"data: {chunk}\n\n" for chunk in [*chunks, "[DONE]"]))


def test_every_delta_with_words_is_a_piece() -> None:
    response = streamed({"role": "assistant", "content": ""}, {"content": "Hello "}, {"content": "you."}, {})
    answer, request = asked(lambda client: complete(client, Request("text", text="hi"), stream=True), response)
    assert (answer.text, answer.audio, len(answer.pieces_s)) == ("Hello you.", None, 2)
    body = json.loads(request.content)
    assert body["messages"] == [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]
    assert (body["stream"], body["temperature"]) == (True, 0)
    assert "audio" not in body


def test_of_a_voice_the_deltas_with_sound_are_the_pieces() -> None:
    response = streamed({"role": "assistant"}, {"audio": {"transcript": "Hello."}}, {"audio": {"data": PCM}}, {})
    answer, request = asked(lambda client: complete(client, Request("voice", audio=b"x"), stream=True), response)
    assert (answer.text, len(answer.pieces_s)) == ("Hello.", 1)
    assert answer.audio is not None
    assert answer.audio.duration_s == pytest.approx(0.1)
    body = json.loads(request.content)
    assert body["messages"][0]["content"][0]["type"] == "input_audio"
    assert body["audio"]["format"] == "pcm16"


def test_an_error_in_the_stream_is_no_answer() -> None:
    response = httpx.Response(200, text='data: {"error": {"message": "the voice is gone"}}\n\n')
    with pytest.raises(BrokenAnswer, match="the voice is gone"):
        asked(lambda client: complete(client, Request("text", text="hi"), stream=True), response)


def test_a_whole_completion_has_its_sound_and_its_words() -> None:
    audio = {"data": base64.b64encode(write_wav(TONE)).decode(), "transcript": "Hello."}
    response = httpx.Response(200, json={"choices": [{"message": {"content": None, "audio": audio}}]})
    answer, _ = asked(lambda client: complete(client, Request("voice", text="hi"), stream=False), response)
    assert answer.text == "Hello."
    assert answer.audio is not None
    assert answer.audio.rate_hz == 24_000


def test_speech_and_transcriptions_are_read() -> None:
    async def file() -> AsyncIterator[bytes]:
        yield write_wav(TONE)

    spoken, _ = asked(lambda client: speak(client, "Hello."), httpx.Response(200, content=file()))
    assert spoken.audio is not None
    written, request = asked(lambda client: transcribe(client, b"RIFF"), httpx.Response(200, json={"text": "Hello."}))
    assert written.text == "Hello."
    assert b'name="file"' in request.content


@pytest.mark.parametrize("call", [lambda c: speak(c, "a"), lambda c: transcribe(c, b"")], ids=["speech", "text"])
def test_a_refusal_keeps_its_words_and_its_advice(call: Callable[[httpx.AsyncClient], Awaitable[Answer]]) -> None:
    answer, _ = asked(call, httpx.Response(503, text="full", headers={"Retry-After": "2"}))
    assert (answer.status, answer.text, answer.retry_after) == (503, "full", "2")
