"""What came in and what is wanted, decoded and bounded. Knows neither HTTP nor Ray."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from deployments.messages import Audio, ChatOptions, Image, Role, SpeakOptions


class Input(StrEnum):
    TEXT = "text"
    SPEECH = "speech"
    IMAGE = "image"


class Output(StrEnum):
    TEXT = "text"
    VOICE = "voice"


@dataclass(frozen=True, slots=True)
class TurnMessage:
    """One message as it came in: speech is not yet text."""

    role: Role
    text: str = ""
    audio: tuple[Audio, ...] = ()
    images: tuple[Image, ...] = ()


@dataclass(frozen=True, slots=True)
class Turn:
    """A conversation that waits for its next message."""

    id: str
    messages: tuple[TurnMessage, ...]
    output: Output = Output.TEXT
    chat: ChatOptions = field(default_factory=ChatOptions)
    voice: SpeakOptions = field(default_factory=SpeakOptions)
    language: str | None = None

    @property
    def inputs(self) -> frozenset[Input]:
        """The kinds of input found anywhere in the conversation."""
        found = {Input.TEXT} if any(m.text for m in self.messages) else set()
        if any(m.audio for m in self.messages):
            found.add(Input.SPEECH)
        if any(m.images for m in self.messages):
            found.add(Input.IMAGE)
        return frozenset(found)
