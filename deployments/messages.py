"""The values that cross a deployment handle, all immutable.

Media are decoded: audio is mono float32, pictures are RGB. There are no URLs and no container formats.
An option that is ``None`` has the value of the deployment's live settings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Role = Literal["system", "user", "assistant"]
FinishReason = Literal["stop", "length"]


@dataclass(frozen=True, slots=True, eq=False)
class Audio:
    """Mono audio: ``samples`` is float32 of shape (n,), within -1..1."""

    samples: NDArray[np.float32]
    rate_hz: int

    @property
    def duration_s(self) -> float:
        return len(self.samples) / self.rate_hz

    def pcm16(self) -> NDArray[np.int16]:
        """Return the samples as the nearest 16-bit integers, clipped."""
        return np.rint(np.clip(self.samples, -1, 1) * 32767).astype(np.int16)


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """A picture: ``pixels`` is uint8 RGB of shape (height, width, 3)."""

    pixels: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One message of a conversation; in the prompt its pictures precede its text."""

    role: Role
    text: str
    images: tuple[Image, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class JsonSchema:
    """A JSON schema that an answer conforms to. ``param`` is the request's field that holds it, for errors."""

    schema: dict[str, Any]
    param: str


@dataclass(frozen=True, slots=True)
class ChatOptions:
    """Options of one generation."""

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    json_schema: JsonSchema | None = None


@dataclass(frozen=True, slots=True)
class QueueWait:
    """The first value of a call: the time in the queue before the replica started this request."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Shows that the replica is alive while a value takes long to compute."""


@dataclass(frozen=True, slots=True)
class MessagesDropped:
    """The first value of a generation if the conversation was longer than the context: how many of its messages, the
    oldest ones, are not in the prompt."""

    count: int


@dataclass(frozen=True, slots=True)
class TextDelta:
    """A piece of the generated text."""

    text: str


@dataclass(frozen=True, slots=True)
class ChatEnd:
    """The last value of a generation."""

    finish_reason: FinishReason
    prompt_tokens: int
    completion_tokens: int


ChatValue = MessagesDropped | TextDelta | ChatEnd
"""A value of a generation."""


@dataclass(frozen=True, slots=True)
class TranscribeOptions:
    """Options of one recognition. ``language`` is an ISO 639-1 code; ``words`` requests the times of each word.

    ``tries`` is how often a stretch of speech may be heard until its transcript is certain; 1 is the fastest.
    ``piece`` is the index of this call's audio among the pieces of a long recording: lower ones are scheduled first.
    """

    language: str | None = None
    prompt: str | None = None
    temperature: float | None = None
    words: bool = False
    tries: int | None = None
    piece: int = 0


@dataclass(frozen=True, slots=True)
class Word:
    """One recognized word, in seconds from the start of the audio."""

    text: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of recognized speech, in seconds from the start of the audio.

    ``None`` marks what an engine does not report: the mean log probability of ``tokens``, the compression ratio of the
    text (high if it is repetitive), the probability that the window has no speech, the sampling temperature, and the
    language, detected or as requested.
    """

    text: str
    start_s: float
    end_s: float
    words: tuple[Word, ...] = ()
    tokens: tuple[int, ...] = ()
    avg_logprob: float | None = None
    compression_ratio: float | None = None
    no_speech_prob: float | None = None
    temperature: float | None = None
    language: str | None = None


@dataclass(frozen=True, slots=True)
class SpeakOptions:
    """Options of one synthesis; ``speed`` 2.0 is twice as fast.

    ``sentence`` is the index of this call's sentence in its answer: lower ones are scheduled first.
    """

    voice: str | None = None
    language: str | None = None
    speed: float | None = None
    sentence: int = 0


@dataclass(frozen=True, slots=True)
class Omitted:
    """The letters of a sentence that its voice has no characters for; sent before the sentence's audio."""

    text: str


@dataclass(frozen=True, slots=True)
class Load:
    """Utilization of an engine: requests in progress, requests queued inside the engine, and slots.

    ``cache_used`` and ``cache_size`` are tokens of the KV cache; 0 for an engine without one.
    """

    active: int
    waiting: int
    slots: int
    cache_used: int = 0
    cache_size: int = 0
