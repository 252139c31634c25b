"""The client of the OpenAI routes encodes requests and reads responses."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import numpy as np
import pytest

from bench.audio import write_wav
from bench.client import InvalidResponse, Request, Response
from bench.openai import complete, speak, transcribe
from deployments.messages import Audio

TONE = Audio(np.full(2_400, 0.25, np.float32), 24_000)
PCM = base64.b64encode((TONE.samples * 32767).astype("<i2").tobytes()).decode()


def exchange(
    call: Callable[[httpx.AsyncClient], Awaitable[Response]], response: httpx.Response
) -> tuple[Response, Any]:
    """Return the result of a call that receives ``response``, and the request that it sent."""
    sent: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return response

    async def body() -> Response:
        transport = httpx.MockTransport(handler)
        async with httpx.AsyncClient(base_url="http://service", transport=transport) as client:
            return await call(client)

    return asyncio.run(body()), sent[0]


def streamed(*deltas: dict[str, Any]) -> httpx.Response:
    chunks = [json.dumps({"choices": [{"delta": delta}]}) for delta in deltas]
    return httpx.Response(200, text="".join(f"data: {chunk}\n\n" for chunk in [*chunks, "[DONE]"]))


def test_every_delta_with_text_is_an_arrival() -> None:
    response = streamed({"role": "assistant", "content": ""}, {"content": "Hello "}, {"content": "you."}, {})
    answer, request = exchange(lambda client: complete(client, Request("text", text="hi"), stream=True), response)
    assert (answer.text, answer.audio, len(answer.arrivals_s)) == ("Hello you.", None, 2)
    body = json.loads(request.content)
    assert body["messages"] == [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]
    assert (body["stream"], body["temperature"]) == (True, 0)
    assert "audio" not in body


def test_the_arrivals_of_a_voice_are_the_deltas_with_audio() -> None:
    response = streamed({"role": "assistant"}, {"audio": {"transcript": "Hello."}}, {"audio": {"data": PCM}}, {})
    answer, request = exchange(lambda client: complete(client, Request("voice", audio=b"x"), stream=True), response)
    assert (answer.text, len(answer.arrivals_s)) == ("Hello.", 1)
    assert answer.audio is not None
    assert answer.audio.duration_s == pytest.approx(0.1)
    body = json.loads(request.content)
    assert body["messages"][0]["content"][0]["type"] == "input_audio"
    assert body["audio"]["format"] == "pcm16"


def test_an_error_event_is_an_invalid_response() -> None:
    response = httpx.Response(200, text='data: {"error": {"message": "the voice failed"}}\n\n')
    with pytest.raises(InvalidResponse, match="the voice failed"):
        exchange(lambda client: complete(client, Request("text", text="hi"), stream=True), response)


def test_reads_audio_and_transcript_of_a_complete_completion() -> None:
    audio = {"data": base64.b64encode(write_wav(TONE)).decode(), "transcript": "Hello."}
    response = httpx.Response(200, json={"choices": [{"message": {"content": None, "audio": audio}}]})
    answer, _ = exchange(lambda client: complete(client, Request("voice", text="hi"), stream=False), response)
    assert answer.text == "Hello."
    assert answer.audio is not None
    assert answer.audio.rate_hz == 24_000


def test_reads_speech_and_transcriptions() -> None:
    async def file() -> AsyncIterator[bytes]:
        yield write_wav(TONE)

    spoken, _ = exchange(lambda client: speak(client, "Hello."), httpx.Response(200, content=file()))
    assert spoken.audio is not None
    written, request = exchange(
        lambda client: transcribe(client, b"RIFF"), httpx.Response(200, json={"text": "Hello."})
    )
    assert written.text == "Hello."
    assert b'name="file"' in request.content


@pytest.mark.parametrize("call", [lambda c: speak(c, "a"), lambda c: transcribe(c, b"")], ids=["speech", "text"])
def test_an_error_keeps_its_body_and_retry_after(call: Callable[[httpx.AsyncClient], Awaitable[Response]]) -> None:
    answer, _ = exchange(call, httpx.Response(503, text="full", headers={"Retry-After": "2"}))
    assert (answer.status, answer.text, answer.retry_after) == (503, "full", "2")
