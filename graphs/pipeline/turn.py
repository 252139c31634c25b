"""A turn: what one request contains and what it asks for, decoded and within the limits. Knows neither HTTP nor Ray."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from enum import StrEnum

from deployments.messages import Audio, ChatOptions, Image, Role, SpeakOptions, TranscribeOptions


class Input(StrEnum):
    """A kind of input."""

    TEXT = "text"
    SPEECH = "speech"
    IMAGE = "image"


class Output(StrEnum):
    """A kind of output."""

    TEXT = "text"
    VOICE = "voice"


@dataclass(frozen=True, slots=True)
class TurnMessage:
    """One message as it was sent: its speech is not transcribed yet."""

    role: Role
    text: str = ""
    audio: tuple[Audio, ...] = ()
    images: tuple[Image, ...] = ()


@dataclass(frozen=True, slots=True)
class Turn:
    """A conversation that waits for its next message, a text to read aloud, or a recording to transcribe.

    ``recording`` yields the pieces of a long recording, each with its start in seconds; such a turn has no messages.
    """

    id: str
    messages: tuple[TurnMessage, ...] = ()
    output: Output = Output.TEXT
    chat: ChatOptions = field(default_factory=ChatOptions)
    voice: SpeakOptions = field(default_factory=SpeakOptions)
    transcription: TranscribeOptions = field(default_factory=TranscribeOptions)
    recording: AsyncGenerator[tuple[float, Audio], None] | None = None

    @property
    def inputs(self) -> frozenset[Input]:
        """The kinds of input found anywhere in the turn."""
        found = {Input.TEXT} if any(m.text for m in self.messages) else set()
        if self.recording is not None or any(m.audio for m in self.messages):
            found.add(Input.SPEECH)
        if any(m.images for m in self.messages):
            found.add(Input.IMAGE)
        return frozenset(found)
