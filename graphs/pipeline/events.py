"""The events of a run: the transcript, then text and audio interleaved, then ``Done``.

``MessagesDropped`` comes before the text, if the conversation was longer than the context of the chat model.
``StageDone`` comes when a stage has ended. A transcription yields ``SegmentReady`` events instead of a transcript.
"""

from __future__ import annotations

from dataclasses import dataclass

from deployments.messages import Audio, FinishReason, MessagesDropped, Segment


@dataclass(frozen=True, slots=True)
class TranscriptReady:
    """The transcript of the last message's speech."""

    text: str


@dataclass(frozen=True, slots=True)
class SegmentReady:
    """A segment of a recording that is transcribed."""

    segment: Segment


@dataclass(frozen=True, slots=True)
class TextChunk:
    """A delta of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class SentenceReady:
    """A sentence of the answer, before the first piece of its audio."""

    text: str


@dataclass(frozen=True, slots=True)
class AudioChunk:
    """A piece of the answer's audio."""

    audio: Audio


@dataclass(frozen=True, slots=True)
class TextOmitted:
    """Letters of the answer that the voice has no characters for; before the audio of their sentence."""

    text: str


@dataclass(frozen=True, slots=True)
class StageDone:
    """A stage has ended, ``wall_ms`` after its first call.

    ``queue_ms`` is the time that its calls waited for a replica, summed over concurrent calls.
    """

    stage: str
    wall_ms: float
    queue_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Done:
    """The last event of a run."""

    finish_reason: FinishReason
    prompt_tokens: int
    completion_tokens: int


Event = (
    TranscriptReady
    | SegmentReady
    | MessagesDropped
    | TextChunk
    | SentenceReady
    | TextOmitted
    | AudioChunk
    | StageDone
    | Done
)
