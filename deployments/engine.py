"""What an engine is: three small Protocols, and the way from an engine's settings to its class.

An engine is an async source of typed values. It owns its threads and never blocks the event loop. Closing (or
cancelling) its generator stops the work within one token or one chunk of audio. An engine raises types of
``deployments.errors`` for what a client or an operator can mend.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

from deployments.messages import (
    Audio,
    ChatEnd,
    ChatMessage,
    ChatOptions,
    Segment,
    SpeakOptions,
    TextDelta,
    TranscribeOptions,
)


class Engine(Protocol):
    """What every engine can do."""

    async def check(self) -> None:
        """Ask the engine for a small real answer; raise when it cannot give one."""

    async def close(self) -> None:
        """Give back threads and memory. Idempotent."""


class Recognizer(Engine, Protocol):
    """Speech to text."""

    def transcribe(self, audio: Audio, options: TranscribeOptions) -> AsyncGenerator[Segment, None]:
        """Segments in order of time; none when there is no speech. ``audio`` is 16 kHz."""
        ...


class ChatModel(Engine, Protocol):
    """A conversation to its next message."""

    def chat(
        self, messages: Sequence[ChatMessage], options: ChatOptions
    ) -> AsyncGenerator[TextDelta | ChatEnd, None]:
        """Deltas, then exactly one ``ChatEnd``. Raises ``ContextOverflow`` before the first delta."""
        ...


class Synthesizer(Engine, Protocol):
    """Text to speech."""

    def speak(self, text: str, options: SpeakOptions) -> AsyncGenerator[Audio, None]:
        """Chunks of one sentence, all at one rate."""
        ...
