"""POST /chat, the way out: the events of a run become JSON, plain text, a stream of events, or a voice.

Headers are sent once the first event that they promise is there, so that an early failure keeps its status. A later
one is an error event, or an unfinished WAV. It knows neither who answers nor how.
"""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.types import Send

from deployments.messages import Audio
from graphs.pipeline.events import AudioChunk, Done, Event, SegmentHeard, StageDone, TextChunk, TranscriptReady
from graphs.pipeline.plan import Plan
from graphs.pipeline.turn import Output, Turn
from graphs.http.chat.accept import Form
from graphs.http.media.encode import AudioFormat, wav_header, whole_file
from graphs.http.errors import as_parley, shape

AT_ONCE = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}  # no proxy on the way holds it back

logger = logging.getLogger("ray.serve")


@dataclass(slots=True)
class Told:
    """All that the events of a run have told so far."""

    transcript: str | None = None
    text: str = ""
    audio: list[Audio] = field(default_factory=list)
    ended: list[StageDone] = field(default_factory=list)
    done: Done | None = None

    def add(self, event: Event) -> None:
        match event:
            case TranscriptReady(text):
                self.transcript = text
            case TextChunk(text):
                self.text += text
            case AudioChunk(audio):
                self.audio.append(audio)
            case StageDone():
                self.ended.append(event)
            case Done():
                self.done = event


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer on its way out."""

    turn: Turn
    plan: Plan
    events: AsyncGenerator[Event, None]

    async def respond(self, form: Form) -> Response:
        """The response in the form that was asked for. Raises what the run raises before the headers."""
        if form is Form.WAV:
            return await self._spoken()
        if form is Form.EVENTS:
            return await self._streamed()
        told = await self._until(Done)
        if form is Form.TEXT:
            return PlainTextResponse(told.text, headers=headers(self.plan, told))
        body = self._body(told)
        if self.turn.output is Output.VOICE:
            body["audio"] = base64.b64encode(whole_file(AudioFormat.WAV, told.audio)).decode()
        return JSONResponse(body, headers=headers(self.plan, told))

    async def _until(self, *kinds: type[Event]) -> Told:
        """Listen up to and including the first event of one of ``kinds``, or to the end."""
        told = Told()
        async for event in self.events:
            told.add(event)
            if isinstance(event, kinds):
                break
        return told

    def _body(self, told: Told) -> dict[str, Any]:
        assert told.done is not None
        body: dict[str, Any] = {"id": self.turn.id, "text": told.text}
        if told.transcript is not None:
            body["transcript"] = told.transcript
        usage = {"prompt_tokens": told.done.prompt_tokens, "completion_tokens": told.done.completion_tokens}
        return body | {"graph": list(self.plan.stages), "usage": usage, "finish_reason": told.done.finish_reason}

    # --- a voice ------------------------------------------------------------------------------------------------------

    async def _spoken(self) -> Response:
        told = await self._until(AudioChunk, Done)
        if not told.audio:
            return Response(whole_file(AudioFormat.WAV, []), media_type=Form.WAV, headers=headers(self.plan, told))
        return Stream(self.events, self._wav(told.audio[0]), Form.WAV, headers(self.plan, told))

    async def _wav(self, first: Audio) -> AsyncGenerator[bytes, None]:
        yield wav_header(first.rate_hz) + _pcm(first)
        try:
            async for event in self.events:
                if isinstance(event, AudioChunk):
                    yield _pcm(event.audio)
        except Exception as error:
            # Nothing more can be said: the transfer stays unfinished, and clients see that it does.
            logger.warning("the voice of %s ends early: %s", self.turn.id, error)
            raise

    # --- a stream of events -------------------------------------------------------------------------------------------

    async def _streamed(self) -> Response:
        first = await anext(self.events)
        return Stream(self.events, self._sse(first), Form.EVENTS, headers(self.plan))

    async def _sse(self, first: Event) -> AsyncGenerator[str, None]:
        told = Told()
        yield self._message(first, told)
        try:
            async for event in self.events:
                yield self._message(event, told)
        except Exception as error:
            yield _sse_message("error", shape(as_parley(error)))

    def _message(self, event: Event, told: Told) -> str:
        """One event as the stream tells it; ``done`` repeats the whole answer but for its sound."""
        if not isinstance(event, AudioChunk):
            told.add(event)
        match event:
            case TranscriptReady(text):
                return _sse_message("transcript", {"text": text})
            case TextChunk(text):
                return _sse_message("text", {"text": text})
            case AudioChunk(audio):
                sound = base64.b64encode(_pcm(audio)).decode()
                return _sse_message("audio", {"pcm16": sound, "rate_hz": audio.rate_hz})
            case StageDone(stage, wall_ms, queue_ms):
                return _sse_message("stage", {"stage": stage, "ms": round(wall_ms, 1), "queue_ms": round(queue_ms, 1)})
            case Done():
                return _sse_message("done", self._body(told))
            case SegmentHeard():
                raise ValueError("a conversation has no segments; what was said in it is one transcript")


def headers(plan: Plan, told: Told | None = None) -> dict[str, str]:
    """The way of a request through the graph, and how long the stages took that have ended, and waited."""
    ended = told.ended if told else []
    timing = ", ".join(f"{it.stage};dur={it.wall_ms:.1f}, {it.stage}-queue;dur={it.queue_ms:.1f}" for it in ended)
    return {"X-Graph": str(plan)} | ({"Server-Timing": timing} if timing else {})


class Stream(StreamingResponse):
    """Closes the run as soon as the client has gone, wherever it was."""

    def __init__(
        self,
        events: AsyncGenerator[Event, None],
        content: AsyncGenerator[str | bytes, None],
        media_type: str,
        headers: dict[str, str],
    ) -> None:
        super().__init__(content, media_type=media_type, headers=headers | AT_ONCE)
        self._events = events
        self._content = content

    async def stream_response(self, send: Send) -> None:
        async with aclosing(self._events), aclosing(self._content):
            await super().stream_response(send)


def _pcm(audio: Audio) -> bytes:
    return audio.pcm16().tobytes()


def _sse_message(name: str, data: dict[str, Any]) -> str:
    return f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"
