"""POST /v1/chat/completions, the way out: the events of a run become one completion, or its chunks.

Headers are sent once the first event is there, so that an early failure keeps its status; a later one is an error in
the stream, which clients raise. It knows neither who answers nor how.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import JSONResponse, Response

from graphs.pipeline.events import AudioChunk, Done, Event, TextChunk
from graphs.pipeline.plan import Plan
from graphs.pipeline.turn import Output
from graphs.http.chat.response import Stream, Told, headers
from graphs.http.media.encode import Encoder, whole_file
from graphs.http.errors import as_parley, shape
from graphs.http.executor import Lanes
from graphs.http.openai.chat.audio_id import audio_id
from graphs.http.openai.chat.request import ChatAsked

EVENT_STREAM = "text/event-stream"


@dataclass(frozen=True, slots=True)
class ChatAnswer:
    """One completion on its way out. ``audio_ttl_s``: how long its sound can be given back by its id."""

    asked: ChatAsked
    plan: Plan
    events: AsyncGenerator[Event, None]
    audio_ttl_s: float
    lanes: Lanes
    created: int = field(default_factory=lambda: int(time.time()))

    async def respond(self) -> Response:
        """Raises what the run raises before the headers."""
        if self.asked.stream:
            first = await anext(self.events)
            return Stream(self.events, self._chunks(first), EVENT_STREAM, headers(self.plan))
        told = Told()
        async for event in self.events:
            told.add(event)
        return JSONResponse(await self._completion(told), headers=headers(self.plan, told))

    @property
    def _aloud(self) -> bool:
        return self.asked.turn.output is Output.VOICE

    def _frame(self, kind: str) -> dict[str, Any]:
        return {
            "id": f"chatcmpl-{self.asked.turn.id}",
            "object": kind,
            "created": self.created,
            "model": self.asked.model,
        }

    def _audio_end(self, text: str) -> dict[str, Any]:
        expires_at = int(self.created + self.audio_ttl_s)
        return {"id": audio_id(text, expires_at), "expires_at": expires_at}

    # --- whole --------------------------------------------------------------------------------------------------------

    async def _completion(self, told: Told) -> dict[str, Any]:
        assert told.done is not None
        message: dict[str, Any] = {"role": "assistant", "content": told.text, "refusal": None}
        if self._aloud:
            size_bytes = sum(audio.samples.nbytes for audio in told.audio)
            sound = await self.lanes.media(size_bytes, whole_file, self.asked.audio_format, told.audio)
            data = base64.b64encode(sound).decode()
            message |= {"content": None, "audio": self._audio_end(told.text) | {"data": data, "transcript": told.text}}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": told.done.finish_reason}
        return self._frame("chat.completion") | {"choices": [choice], "usage": usage(told.done)}

    # --- in chunks ----------------------------------------------------------------------------------------------------

    async def _chunks(self, first: Event) -> AsyncGenerator[str, None]:
        encoder = Encoder(self.asked.audio_format)
        told = Told()
        yield self._chunk({"role": "assistant"} | ({} if self._aloud else {"content": ""}))
        try:
            for chunk in self._told(first, told, encoder):
                yield chunk
            async for event in self.events:
                for chunk in self._told(event, told, encoder):
                    yield chunk
        except Exception as error:
            yield sse(shape(as_parley(error)))

    def _told(self, event: Event, told: Told, encoder: Encoder) -> Iterator[str]:
        """One event as the stream tells it."""
        match event:
            case TextChunk(text):
                told.add(event)
                yield self._chunk({"audio": {"transcript": text}} if self._aloud else {"content": text})
            case AudioChunk(audio):
                yield from self._sound(encoder.feed(audio))
            case Done():
                if self._aloud:
                    yield from self._sound(encoder.finish())
                    yield self._chunk({"audio": self._audio_end(told.text)})
                yield self._chunk({}, event.finish_reason)
                if self.asked.include_usage:
                    yield sse(self._frame("chat.completion.chunk") | {"choices": [], "usage": usage(event)})
                yield "data: [DONE]\n\n"

    def _sound(self, data: bytes) -> Iterator[str]:
        if data:
            yield self._chunk({"audio": {"data": base64.b64encode(data).decode()}})

    def _chunk(self, delta: dict[str, Any], finish_reason: str | None = None) -> str:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        unknown = {"usage": None} if self.asked.include_usage else {}
        return sse(self._frame("chat.completion.chunk") | {"choices": [choice]} | unknown)


def usage(done: Done) -> dict[str, int]:
    """What a generation took, in tokens."""
    return {
        "prompt_tokens": done.prompt_tokens,
        "completion_tokens": done.completion_tokens,
        "total_tokens": done.prompt_tokens + done.completion_tokens,
    }


def sse(data: dict[str, Any]) -> str:
    """One message of a stream of events."""
    return f"data: {json.dumps(data, ensure_ascii=False)}\n\n"
