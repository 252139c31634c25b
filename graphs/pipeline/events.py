"""The events of a run, in the order in which they may come: transcript, then text and audio in turn, then done.

A ``StageDone`` comes between them whenever a stage has ended.
"""

from __future__ import annotations

from dataclasses import dataclass

from deployments.messages import Audio, FinishReason, Segment


@dataclass(frozen=True, slots=True)
class TranscriptReady:
    """What the speaker said in his last message."""

    text: str


@dataclass(frozen=True, slots=True)
class SegmentHeard:
    """A stretch of a recording that is to be written down."""

    segment: Segment


@dataclass(frozen=True, slots=True)
class TextChunk:
    text: str


@dataclass(frozen=True, slots=True)
class AudioChunk:
    audio: Audio


@dataclass(frozen=True, slots=True)
class StageDone:
    """A stage has ended after ``wall_ms``, counted from its first call to its last value.

    Its calls waited for ``queue_ms`` until replicas took them up; those of several at a time are added up.
    """

    stage: str
    wall_ms: float
    queue_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Done:
    """The run is over; nothing comes after it."""

    finish_reason: FinishReason
    prompt_tokens: int
    completion_tokens: int


Event = TranscriptReady | SegmentHeard | TextChunk | AudioChunk | StageDone | Done
