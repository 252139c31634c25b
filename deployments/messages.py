"""The frozen values that cross a deployment handle.

Media arrive here decoded: audio as mono float32, pictures as RGB. No URL, no container format, no JSON.
An option that is ``None`` means: as the deployment's settings say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Role = Literal["system", "user", "assistant"]
FinishReason = Literal["stop", "length"]


@dataclass(frozen=True, slots=True, eq=False)
class Audio:
    """Mono sound: ``samples`` is float32 of shape (n,), within -1..1."""

    samples: NDArray[np.float32]
    rate_hz: int

    @property
    def duration_s(self) -> float:
        return len(self.samples) / self.rate_hz

    def pcm16(self) -> NDArray[np.int16]:
        """The nearest 16-bit integers; louder is clipped, not wrapped."""
        return np.rint(np.clip(self.samples, -1, 1) * 32767).astype(np.int16)


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """A picture: ``pixels`` is uint8 RGB of shape (height, width, 3)."""

    pixels: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One message of a conversation; pictures stand before the text."""

    role: Role
    text: str
    images: tuple[Image, ...] = ()


@dataclass(frozen=True, slots=True)
class ChatOptions:
    """What one request may choose about its generation. ``grammar`` is GBNF with a rule ``root``."""

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    grammar: str | None = None


@dataclass(frozen=True, slots=True)
class Taken:
    """A replica's first value, if it was told when it was called: the request waited so long to be taken up."""

    waited_s: float


@dataclass(frozen=True, slots=True)
class TextDelta:
    """A piece of an answer; pieces that are ready together travel together."""

    text: str


@dataclass(frozen=True, slots=True)
class ChatEnd:
    """The last value of a generation."""

    finish_reason: FinishReason
    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class TranscribeOptions:
    """What one request may choose about its recognition. ``language`` is an ISO 639-1 code.

    With ``words`` each segment says when its words were spoken, if the engine can tell. ``piece`` counts the pieces of
    a recording that comes in several calls: the first of one goes before the fifth of another.
    """

    language: str | None = None
    prompt: str | None = None
    temperature: float | None = None
    words: bool = False
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

    The rest is how sure the engine was of it, where it can tell: the mean log probability of the ``tokens``, how well
    the text compresses (much: it repeats itself), the probability that nobody spoke, and the temperature it was at.
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


@dataclass(frozen=True, slots=True)
class SpeakOptions:
    """What one request may choose about the voice; ``speed`` 2.0 is twice as fast.

    ``sentence`` counts the sentences of an answer: the first of one goes before the third of another.
    """

    voice: str | None = None
    language: str | None = None
    speed: float | None = None
    sentence: int = 0


@dataclass(frozen=True, slots=True)
class ReplicaStats:
    """What one replica has done since it started.

    ``produced`` counts the tokens, segments or chunks that the engine made, those that nobody took included: it stands
    still when a cancelled request really stopped. ``refusal`` says why the last change of live settings did not apply.
    """

    active: int
    started: int
    finished: int
    failed: int
    cancelled: int
    produced: int
    refusal: str | None = None


@dataclass(frozen=True, slots=True)
class Load:
    """How full an engine is: the requests that it works on, those that wait inside it, and how many it takes at once.

    ``cache_used`` of ``cache_size`` tokens hold something; both are 0 for an engine without a cache.
    """

    active: int
    waiting: int
    slots: int
    cache_used: int = 0
    cache_size: int = 0
