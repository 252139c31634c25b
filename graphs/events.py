"""The events of a run, in the order in which they may come: transcript, then text and audio in turn, then done."""

from __future__ import annotations

from dataclasses import dataclass, field

from deployments.messages import Audio, FinishReason


@dataclass(frozen=True, slots=True)
class TranscriptReady:
    """What the speaker said in his last message."""

    text: str


@dataclass(frozen=True, slots=True)
class TextChunk:
    text: str


@dataclass(frozen=True, slots=True)
class AudioChunk:
    audio: Audio


@dataclass(frozen=True, slots=True)
class Done:
    """The run is over; ``stage_ms`` is the wall time of each stage that ran."""

    finish_reason: FinishReason
    prompt_tokens: int
    completion_tokens: int
    stage_ms: dict[str, float] = field(default_factory=dict)


Event = TranscriptReady | TextChunk | AudioChunk | Done
