"""POST /v1/chat/completions: from the events of a run to one completion, or to its chunks.

The headers of a stream are sent with its first chunk, so that an early error has its own status; a later one is a
message of the stream, which OpenAI's clients raise.
"""

from __future__ import annotations

import base64
import time
from collections.abc import AsyncGenerator, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from starlette.responses import JSONResponse, Response

from graphs.http import errors, sse
from graphs.http.executor import CodecExecutor
from graphs.http.media.encode import Encoder, whole_file
from graphs.http.openai.chat.audio_id import audio_id
from graphs.http.openai.chat.request import CompletionRequest
from graphs.http.response import CollectedEvents, Stream, extension, headers
from graphs.pipeline.events import AudioChunk, Done, Event, TextChunk, TextOmitted
from graphs.pipeline.plan import Plan
from graphs.pipeline.turn import Output

IN_STREAM = (TextChunk, TextOmitted, AudioChunk, Done)  # the events that chunks have


@dataclass(frozen=True, slots=True)
class CompletionResponse:
    """The response to one request. ``audio_ttl_s`` is how long the id of its audio is valid."""

    request: CompletionRequest
    plan: Plan
    events: AsyncGenerator[Event, None]
    audio_ttl_s: float
    executor: CodecExecutor
    created: int = field(default_factory=lambda: int(time.time()))

    async def respond(self) -> Response:
        """Return the response. Raises the run's error if it fails before the headers are sent."""
        collected = CollectedEvents()
        async for event in self.events:
            if self.request.stream and isinstance(event, IN_STREAM):
                content = self._chunks(event, collected)
                return Stream(self.events, content, sse.MEDIA_TYPE, headers(self.plan, collected))
            collected.add(event)
        return JSONResponse(await self._completion(collected), headers=headers(self.plan, collected))

    @property
    def _has_voice(self) -> bool:
        return self.request.turn.output is Output.VOICE

    def _envelope(self, kind: str) -> dict[str, Any]:
        return {
            "id": f"chatcmpl-{self.request.turn.id}",
            "object": kind,
            "created": self.created,
            "model": self.request.model,
        }

    def _audio_id(self, text: str) -> dict[str, Any]:
        expires_at = int(self.created + self.audio_ttl_s)
        return {"id": audio_id(text, expires_at), "expires_at": expires_at}

    async def _completion(self, collected: CollectedEvents) -> dict[str, Any]:
        assert collected.done is not None
        text = collected.text
        message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None}
        if self._has_voice:
            size_bytes = sum(audio.samples.nbytes for audio in collected.audio)
            file = await self.executor.encode(size_bytes, whole_file, self.request.audio_format, collected.audio)
            audio = self._audio_id(text) | {"data": base64.b64encode(file).decode(), "transcript": text}
            message |= {"content": None, "audio": audio}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": collected.done.finish_reason}
        body = self._envelope("chat.completion") | {"choices": [choice], "usage": usage(collected.done)}
        return body | extension(collected)

    async def _chunks(self, first: Event, collected: CollectedEvents) -> AsyncGenerator[str, None]:
        encoder = Encoder(self.request.audio_format)
        yield self._chunk({"role": "assistant"} | ({} if self._has_voice else {"content": ""}))
        try:
            for chunk in self._chunks_of(first, collected, encoder):
                yield chunk
            async for event in self.events:
                for chunk in self._chunks_of(event, collected, encoder):
                    yield chunk
        except Exception as error:
            yield sse.message(errors.body(errors.as_parley(error)))

    def _chunks_of(self, event: Event, collected: CollectedEvents, encoder: Encoder) -> Iterator[str]:
        """Yield the chunks for one event."""
        match event:
            case TextChunk(text):
                collected.add(event)
                yield self._chunk({"audio": {"transcript": text}} if self._has_voice else {"content": text})
            case TextOmitted():
                collected.add(event)
            case AudioChunk(audio):
                yield from self._audio(encoder.feed(audio))
            case Done():
                if self._has_voice:
                    yield from self._audio(encoder.finish())
                    yield self._chunk({"audio": self._audio_id(collected.text)})
                yield self._chunk({}, event.finish_reason, extension(collected))
                if self.request.include_usage:
                    last = {"choices": [], "usage": usage(event)}
                    yield sse.message(self._envelope("chat.completion.chunk") | last)
                yield sse.DONE

    def _audio(self, data: bytes) -> Iterator[str]:
        if data:
            yield self._chunk({"audio": {"data": base64.b64encode(data).decode()}})

    def _chunk(
        self, delta: dict[str, Any], finish_reason: str | None = None, more: Mapping[str, Any] = MappingProxyType({})
    ) -> str:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        no_usage = {"usage": None} if self.request.include_usage else {}
        return sse.message(self._envelope("chat.completion.chunk") | {"choices": [choice], **more} | no_usage)


def usage(done: Done) -> dict[str, int]:
    """Return the token counts of a generation."""
    return {
        "prompt_tokens": done.prompt_tokens,
        "completion_tokens": done.completion_tokens,
        "total_tokens": done.prompt_tokens + done.completion_tokens,
    }
