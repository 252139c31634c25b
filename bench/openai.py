"""A timed HTTP client of OpenAI's routes: temperature 0, and every response is read as it is streamed.

Every function raises ``InvalidResponse`` and httpx's transport errors.
"""

from __future__ import annotations

import base64
from contextlib import aclosing
from functools import lru_cache
from typing import Any

import httpx

from bench.audio import pcm16_audio
from bench.client import (
    InvalidResponse,
    Request,
    Response,
    Stopwatch,
    build_post,
    decode_wav,
    read_error,
    read_events,
    read_wav_stream,
    timed_response,
)

MODEL = "parley"
VOICE = "alloy"
PCM_RATE_HZ = 24_000


async def complete(client: httpx.AsyncClient, request: Request, *, stream: bool) -> Response:
    """Call POST /v1/chat/completions."""
    watch = Stopwatch()
    async with aclosing(await client.send(_completion_post(client, request, stream), stream=True)) as response:
        if response.status_code != 200:
            return await read_error(response, watch)
        if stream:
            return await _read_chunks(response, watch, request.output == "voice")
        await response.aread()
    watch.mark()
    message = response.json()["choices"][0]["message"]
    if request.output == "text":
        return timed_response(watch, message["content"])
    audio = decode_wav(base64.b64decode(message["audio"]["data"]))
    return timed_response(watch, message["audio"]["transcript"], audio)


async def speak(client: httpx.AsyncClient, text: str) -> Response:
    """Call POST /v1/audio/speech for a WAV file."""
    watch = Stopwatch()
    async with aclosing(await client.send(_speech_post(client, text), stream=True)) as response:
        return await (read_wav_stream if response.status_code == 200 else read_error)(response, watch)


async def transcribe(client: httpx.AsyncClient, clip: bytes) -> Response:
    """Call POST /v1/audio/transcriptions with a WAV file, not streamed."""
    watch = Stopwatch()
    response = await client.send(_transcription_post(client, clip))
    if response.status_code != 200:
        return await read_error(response, watch)
    watch.mark()
    return timed_response(watch, response.json()["text"])


@lru_cache(256)
def _completion_post(client: httpx.AsyncClient, request: Request, stream: bool) -> httpx.Request:
    return build_post(client, "/v1/chat/completions", json=_completion(request, stream))


@lru_cache(256)
def _speech_post(client: httpx.AsyncClient, text: str) -> httpx.Request:
    body = {"model": MODEL, "voice": VOICE, "input": text, "response_format": "wav"}
    return build_post(client, "/v1/audio/speech", json=body)


@lru_cache(256)
def _transcription_post(client: httpx.AsyncClient, clip: bytes) -> httpx.Request:
    form = {"model": MODEL, "temperature": "0"}
    return build_post(client, "/v1/audio/transcriptions", data=form, files={"file": ("speech.wav", clip)})


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


async def _read_chunks(response: httpx.Response, watch: Stopwatch, voice: bool) -> Response:
    """Read a streamed completion; with ``voice`` the arrivals are those of its audio."""
    text, pcm = list[str](), list[bytes]()
    async for _, data in read_events(response.aiter_lines()):
        if "error" in data:
            raise InvalidResponse(data["error"]["message"])
        for choice in data["choices"]:
            delta = choice["delta"]
            audio = delta.get("audio", {})
            if content := delta.get("content") or audio.get("transcript"):
                text.append(content)
            if samples := audio.get("data"):
                pcm.append(base64.b64decode(samples))
            if samples or (content and not voice):
                watch.mark()
    return timed_response(watch, "".join(text), pcm16_audio(b"".join(pcm), PCM_RATE_HZ) if voice else None)


def _base64(file: bytes) -> str:
    return base64.b64encode(file).decode()
