"""What the responses of all routes have in common: headers, the collected events of a run, and streams."""

from __future__ import annotations

import unicodedata
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from deployments.messages import Audio, MessagesDropped
from graphs.pipeline.events import AudioChunk, Done, Event, StageDone, TextChunk, TextOmitted, TranscriptReady
from graphs.pipeline.plan import Plan

MAX_SCRIPTS = 5  # that a header names
UNBUFFERED = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}  # so that no reverse proxy delays a stream


@dataclass(slots=True)
class CollectedEvents:
    """The events of a run so far, put together."""

    transcript: str | None = None
    dropped_messages: int = 0
    text: str = ""
    audio: list[Audio] = field(default_factory=list)
    omitted: list[str] = field(default_factory=list)
    stages: list[StageDone] = field(default_factory=list)
    done: Done | None = None

    def add(self, event: Event) -> None:
        match event:
            case TranscriptReady(text):
                self.transcript = text
            case MessagesDropped(count):
                self.dropped_messages = count
            case TextChunk(text):
                self.text += text
            case AudioChunk(audio):
                self.audio.append(audio)
            case TextOmitted(text):
                self.omitted.append(text)
            case StageDone():
                self.stages.append(event)
            case Done():
                self.done = event

    def notices(self) -> dict[str, Any]:
        """Return what is to be said beside the answer: messages that are not in the prompt, text that was not read."""
        dropped = {"dropped_messages": self.dropped_messages} if self.dropped_messages else {}
        return dropped | ({"speech_omitted": " ".join(self.omitted)} if self.omitted else {})


def extension(collected: CollectedEvents) -> dict[str, Any]:
    """Return the field ``parley`` of OpenAI's routes, which OpenAI does not have; only if there are notices."""
    return {"parley": notices} if (notices := collected.notices()) else {}


def headers(plan: Plan, collected: CollectedEvents | None = None) -> dict[str, str]:
    """Return the headers of a response, by the events before it.

    They have the plan; for each finished stage its duration and its time in the queue (W3C Server-Timing); the number
    of messages that are not in the prompt; and how many characters the voice left out, with their scripts, such as
    ``6; scripts="Cyrillic"`` (a structured field, RFC 9651).
    """
    named = {"X-Graph": str(plan)}
    if collected is None:
        return named
    if collected.stages:
        named["Server-Timing"] = ", ".join(
            f"{it.stage};dur={it.wall_ms:.1f}, {it.stage}-queue;dur={it.queue_ms:.1f}" for it in collected.stages
        )
    if collected.dropped_messages:
        named["X-Dropped-Messages"] = str(collected.dropped_messages)
    if omitted := "".join(collected.omitted).replace(" ", ""):
        scripts = dict.fromkeys(unicodedata.name(character, "unknown").split()[0].capitalize() for character in omitted)
        named["X-Speech-Omitted"] = f'{len(omitted)}; scripts="{" ".join([*scripts][:MAX_SCRIPTS])}"'
    return named


class Stream(StreamingResponse):
    """A response that is sent while it is generated. It closes the run as soon as the client disconnects."""

    def __init__(
        self,
        events: AsyncGenerator[Event, None],
        content: AsyncGenerator[str | bytes, None],
        media_type: str,
        headers: dict[str, str],
        on_close: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """``events`` is the run from which ``content`` is made. ``on_close`` is called when both are closed."""
        super().__init__(content, media_type=media_type, headers=headers | UNBUFFERED)
        self._events = events
        self._content = content
        self._on_close = on_close

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Not in stream_response, nor in a ``finally`` of ``content``: neither starts if the client is gone already.
        async with AsyncExitStack() as stack:
            if self._on_close is not None:
                stack.push_async_callback(self._on_close)
            await stack.enter_async_context(aclosing(self._events))
            await stack.enter_async_context(aclosing(self._content))
            await super().__call__(scope, receive, send)
