"""One decoding of a window: whether it is to be doubted, and which of several is the best. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from deployments.engines.whisper.settings import WhisperConfig

LOOP = 4
"""A transcript that says the same this often is heard again in parts: the model miscounts repetitions."""

FASTEST_CHARS_PER_S = 35
"""Nobody speaks faster; a decoding loop does."""

_WORD = re.compile(r"\w+")


class Doubt(Enum):
    """Why a transcript may be wrong."""

    NO_SPEECH = "the window probably has no speech"
    REPETITIVE = "the text says the same again and again"
    UNFINISHED = "the text has no end"
    UNCERTAIN = "the tokens are improbable"


@dataclass(frozen=True, slots=True)
class Attempt:
    """The transcript of a window with ``audio_s`` of audio. ``tokens`` include timestamps; ``log_prob`` is their mean.

    ``finished`` is whether the model ended the text itself, and ``whole`` whether the window had the length on which
    OpenAI's models are trained.
    """

    audio_s: float
    text: str
    tokens: tuple[int, ...]
    log_prob: float
    compression_ratio: float
    no_speech_prob: float
    temperature: float
    finished: bool
    whole: bool
    language: str

    def doubt(self, config: WhisperConfig) -> Doubt | None:
        """Return the reason to hear the window again, if there is one."""
        improbable = self.log_prob < config.log_prob_threshold
        if improbable and self.no_speech_prob > config.no_speech_threshold:
            return Doubt.NO_SPEECH
        if self.compression_ratio > config.compression_ratio_threshold or repetitions(self.text) >= LOOP:
            return Doubt.REPETITIVE
        if not self.finished:
            return Doubt.UNFINISHED
        return Doubt.UNCERTAIN if improbable else None


def repetitions(text: str) -> int:
    """Return how often a text says the same words in a row, from its first to its last word; 1 if it does not."""
    words = _WORD.findall(text.casefold())
    for period in range(1, len(words) // 2 + 1):
        if words[period:] == words[:-period]:
            return len(words) // period
    return 1


def best(attempts: Sequence[Attempt], config: WhisperConfig) -> Attempt:
    """Return the likeliest attempt: of those with speech that can have been said in the time, if there are any, and of
    these again of those that are not repetitive. A decoding loop is likely, as each of its tokens is.
    """

    def rank(one: Attempt) -> tuple[bool, bool, bool, float]:
        speech = one.doubt(config) is not Doubt.NO_SPEECH
        possible = one.finished and len(one.text) <= FASTEST_CHARS_PER_S * one.audio_s
        return speech, possible, one.compression_ratio <= config.compression_ratio_threshold, one.log_prob

    return max(attempts, key=rank)
