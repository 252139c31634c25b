"""POST /chat: from the events of a run to a response as JSON, plain text, an event stream, or a WAV.

The headers are sent after the first event that decides them, so that an early error has its own status. A later error
is an event of the stream, or an unfinished WAV.
"""

from __future__ import annotations

import base64
import logging
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

from starlette.responses import JSONResponse, PlainTextResponse, Response

from deployments.messages import Audio, MessagesDropped
from graphs.http import errors, sse
from graphs.http.chat.accept import Form
from graphs.http.media.encode import AudioFormat, wav_header, whole_file
from graphs.http.response import CollectedEvents, Stream, headers
from graphs.pipeline.events import (
    AudioChunk,
    Done,
    Event,
    SegmentReady,
    SentenceReady,
    StageDone,
    TextChunk,
    TextOmitted,
    TranscriptReady,
)
from graphs.pipeline.plan import Plan
from graphs.pipeline.turn import Output, Turn

logger = logging.getLogger("ray.serve")


@dataclass(frozen=True, slots=True)
class ChatResponse:
    """The response to one turn."""

    turn: Turn
    plan: Plan
    events: AsyncGenerator[Event, None]

    async def respond(self, form: Form) -> Response:
        """Return the response in ``form``. Raises the run's error if it fails before the headers are sent."""
        if form is Form.WAV:
            return await self._wav()
        if form is Form.EVENTS:
            return await self._stream()
        collected = await self._collect_until(Done)
        if form is Form.TEXT:
            return PlainTextResponse(collected.text, headers=headers(self.plan, collected))
        body = self._body(collected)
        if self.turn.output is Output.VOICE:
            body["audio"] = base64.b64encode(whole_file(AudioFormat.WAV, collected.audio)).decode()
        return JSONResponse(body, headers=headers(self.plan, collected))

    async def _collect_until(self, *kinds: type[Event]) -> CollectedEvents:
        """Collect the events up to and including the first of ``kinds``, or to the end."""
        collected = CollectedEvents()
        async for event in self.events:
            collected.add(event)
            if isinstance(event, kinds):
                break
        return collected

    def _body(self, collected: CollectedEvents) -> dict[str, Any]:
        assert collected.done is not None
        done = collected.done
        body: dict[str, Any] = {"id": self.turn.id, "text": collected.text}
        if collected.transcript is not None:
            body["transcript"] = collected.transcript
        usage = {"prompt_tokens": done.prompt_tokens, "completion_tokens": done.completion_tokens}
        body |= {"graph": list(self.plan.stages), "usage": usage, "finish_reason": done.finish_reason}
        return body | {"dropped_messages": 0} | collected.notices()

    async def _wav(self) -> Response:
        collected = await self._collect_until(AudioChunk, Done)
        head = headers(self.plan, collected)
        if not collected.audio:
            return Response(whole_file(AudioFormat.WAV, []), media_type=Form.WAV, headers=head)
        return Stream(self.events, self._wav_chunks(collected.audio[0]), Form.WAV, head)

    async def _wav_chunks(self, first: Audio) -> AsyncGenerator[bytes, None]:
        yield wav_header(first.rate_hz) + _pcm(first)
        try:
            async for event in self.events:
                if isinstance(event, AudioChunk):
                    yield _pcm(event.audio)
        except Exception as error:
            # A WAV cannot carry an error: the chunked transfer stays unfinished, which clients detect.
            logger.warning("the audio of %s ends early: %s", self.turn.id, error)
            raise

    async def _stream(self) -> Response:
        first = await anext(self.events)
        return Stream(self.events, self._messages(first), sse.MEDIA_TYPE, headers(self.plan))

    async def _messages(self, first: Event) -> AsyncGenerator[str, None]:
        collected = CollectedEvents()
        yield self._message(first, collected)
        try:
            async for event in self.events:
                if message := self._message(event, collected):
                    yield message
        except Exception as error:
            yield sse.message(errors.body(errors.as_parley(error)), "error")

    def _message(self, event: Event, collected: CollectedEvents) -> str:
        """Return one event as a message, empty if it has none; ``done`` has the whole answer without its audio."""
        if not isinstance(event, AudioChunk):
            collected.add(event)
        match event:
            case TranscriptReady(text):
                return sse.message({"text": text}, "transcript")
            case MessagesDropped(count):
                return sse.message({"messages": count}, "dropped")
            case TextChunk(text):
                return sse.message({"text": text}, "text")
            case SentenceReady(text):
                return sse.message({"text": text}, "sentence")
            case AudioChunk(audio):
                return sse.message({"pcm16": base64.b64encode(_pcm(audio)).decode(), "rate_hz": audio.rate_hz}, "audio")
            case StageDone(stage, wall_ms, queue_ms):
                return sse.message({"stage": stage, "ms": round(wall_ms, 1), "queue_ms": round(queue_ms, 1)}, "stage")
            case TextOmitted():  # in ``done``
                return ""
            case SegmentReady():
                raise AssertionError("only a transcription has segments")
            case Done():
                return sse.message(self._body(collected), "done")


def _pcm(audio: Audio) -> bytes:
    return audio.pcm16().tobytes()
