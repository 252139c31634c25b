"""What the responses of all routes have in common: headers, the collected events of a run, and streams."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from starlette.responses import StreamingResponse
from starlette.types import Send

from deployments.messages import Audio
from graphs.pipeline.events import AudioChunk, Done, Event, StageDone, TextChunk, TranscriptReady
from graphs.pipeline.plan import Plan

UNBUFFERED = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}  # so that no reverse proxy delays a stream


@dataclass(slots=True)
class CollectedEvents:
    """The events of a run so far, put together."""

    transcript: str | None = None
    text: str = ""
    audio: list[Audio] = field(default_factory=list)
    stages: list[StageDone] = field(default_factory=list)
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
                self.stages.append(event)
            case Done():
                self.done = event


def headers(plan: Plan, stages: Sequence[StageDone] = ()) -> dict[str, str]:
    """Return the plan, and for each finished stage its duration and its time in the queue (W3C Server-Timing)."""
    timing = ", ".join(f"{it.stage};dur={it.wall_ms:.1f}, {it.stage}-queue;dur={it.queue_ms:.1f}" for it in stages)
    return {"X-Graph": str(plan)} | ({"Server-Timing": timing} if timing else {})


class Stream(StreamingResponse):
    """A response that is sent while it is generated. It closes the run as soon as the client disconnects."""

    def __init__(
        self,
        events: AsyncGenerator[Event, None],
        content: AsyncGenerator[str | bytes, None],
        media_type: str,
        headers: dict[str, str],
    ) -> None:
        """``events`` is the run from which ``content`` is made."""
        super().__init__(content, media_type=media_type, headers=headers | UNBUFFERED)
        self._events = events
        self._content = content

    async def stream_response(self, send: Send) -> None:
        async with aclosing(self._events), aclosing(self._content):
            await super().stream_response(send)
