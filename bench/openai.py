"""A timed client of the OpenAI routes. Each call takes the answer as it comes; always the likeliest words.

Every function raises ``BrokenAnswer`` and httpx's transport errors.
"""

from __future__ import annotations

import base64
from contextlib import aclosing
from functools import lru_cache
from typing import Any

import httpx
import numpy as np

from bench.client import (
    Answer,
    BrokenAnswer,
    Request,
    Stopwatch,
    answer_of,
    prepared,
    read_wav,
    refused,
    server_sent,
    wav_answer,
)
from deployments.messages import Audio

MODEL = "parley"
VOICE = "alloy"
PCM_RATE_HZ = 24_000


async def complete(client: httpx.AsyncClient, request: Request, *, stream: bool) -> Answer:
    """POST /v1/chat/completions."""
    watch = Stopwatch()
    async with aclosing(await client.send(_completion_call(client, request, stream), stream=True)) as response:
        if response.status_code != 200:
            return await refused(response, watch)
        if stream:
            return await _deltas(response, watch, request.output == "voice")
        await response.aread()
    watch.mark()
    message = response.json()["choices"][0]["message"]
    if request.output == "text":
        return answer_of(watch, message["content"])
    return answer_of(watch, message["audio"]["transcript"], read_wav(base64.b64decode(message["audio"]["data"])))


async def speak(client: httpx.AsyncClient, text: str) -> Answer:
    """POST /v1/audio/speech, as a WAV file."""
    watch = Stopwatch()
    async with aclosing(await client.send(_speech_call(client, text), stream=True)) as response:
        return await (wav_answer if response.status_code == 200 else refused)(response, watch)


async def transcribe(client: httpx.AsyncClient, clip: bytes) -> Answer:
    """POST /v1/audio/transcriptions of a WAV file, whole."""
    watch = Stopwatch()
    response = await client.send(_transcription_call(client, clip))
    if response.status_code != 200:
        return await refused(response, watch)
    watch.mark()
    return answer_of(watch, response.json()["text"])


@lru_cache(256)
def _completion_call(client: httpx.AsyncClient, request: Request, stream: bool) -> httpx.Request:
    return prepared(client, "/v1/chat/completions", json=_completion(request, stream))


@lru_cache(256)
def _speech_call(client: httpx.AsyncClient, text: str) -> httpx.Request:
    body = {"model": MODEL, "voice": VOICE, "input": text, "response_format": "wav"}
    return prepared(client, "/v1/audio/speech", json=body)


@lru_cache(256)
def _transcription_call(client: httpx.AsyncClient, clip: bytes) -> httpx.Request:
    form = {"model": MODEL, "temperature": "0"}
    return prepared(client, "/v1/audio/transcriptions", data=form, files={"file": ("speech.wav", clip)})


def _completion(request: Request, stream: bool) -> dict[str, Any]:
    parts: list[dict[str, Any]] = []
    if request.image is not None:
        parts.append({"type": "image_url", "image_url": {"url": f"data:image/png;base64,{_base64(request.image)}"}})
    if request.audio is not None:
        parts.append({"type": "input_audio", "input_audio": {"data": _base64(request.audio), "format": "wav"}})
    if request.text is not None:
        parts.append({"type": "text", "text": request.text})
    body = {
        "model": MODEL,
        "messages": [{"role": "user", "content": parts}],
        "temperature": 0,
        "stream": stream,
    }
    if request.output == "voice":
        body |= {"modalities": ["text", "audio"], "audio": {"voice": VOICE, "format": "pcm16" if stream else "wav"}}
    return body


async def _deltas(response: httpx.Response, watch: Stopwatch, aloud: bool) -> Answer:
    """The chunks of a streamed completion; the pieces of a voice are those of its sound."""
    text, sound = list[str](), list[bytes]()
    async for _, data in server_sent(response.aiter_lines()):
        if "error" in data:
            raise BrokenAnswer(data["error"]["message"])
        for choice in data["choices"]:
            delta = choice["delta"]
            spoken = delta.get("audio", {})
            if words := delta.get("content") or spoken.get("transcript"):
                text.append(words)
            if pcm := spoken.get("data"):
                sound.append(base64.b64decode(pcm))
            if pcm or (words and not aloud):
                watch.mark()
    samples = np.frombuffer(b"".join(sound), "<i2").astype(np.float32) / np.float32(32768)
    return answer_of(watch, "".join(text), Audio(samples, PCM_RATE_HZ) if aloud else None)


def _base64(file: bytes) -> str:
    return base64.b64encode(file).decode()
