"""faster-whisper: Whisper models in CTranslate2's format.

Concurrent windows run in one thread each over the same weights: the encoder, which is nearly all the work, gains
nothing from a batch on a CPU.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing
from threading import Event
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deployments.engines.pool import PooledEngine
from deployments.engines.threads import prepare
from deployments.engines.whisper.hearing import Hearing
from deployments.engines.whisper.model import Model
from deployments.engines.whisper.settings import WhisperArgs, WhisperConfig
from deployments.errors import InvalidRequest
from deployments.messages import Audio, Segment, Word
from deployments.settings import SpeechToTextConfig

RATE_HZ = 16_000


class WhisperRecognizer(PooledEngine):
    """One model. Each try of a window is a step of a pool."""

    def __init__(self, args: WhisperArgs) -> None:
        super().__init__("whisper", args, args.workers)
        prepare(args)
        self._model = Model(args)
        self._model.probe()

    async def transcribe(
        self, audio: Audio, config: SpeechToTextConfig, rank: int = 0
    ) -> AsyncGenerator[Segment, None]:
        assert isinstance(config, WhisperConfig)
        if audio.rate_hz != RATE_HZ:
            raise InvalidRequest(f"the audio has {audio.rate_hz:,} samples per second, not {RATE_HZ:,}", param="audio")
        stopped = Event()
        async with aclosing(self._pool.stream(self._steps(audio, config, stopped), rank)) as steps:
            try:
                async for segments in steps:
                    for segment in segments:
                        yield segment
            finally:
                stopped.set()  # the running step ends after its encoding

    def _steps(self, audio: Audio, config: WhisperConfig, stopped: Event) -> Generator[list[Segment], None, None]:
        """Yield the segments of each step; an empty list for one that has found none."""
        from faster_whisper.transcribe import restore_speech_timestamps

        language = self._model.language(config.language)
        stretches = _speech(audio.samples, config)
        if not stretches:
            return
        features = self._model.features(_joined(audio.samples, stretches))
        hearing = Hearing(self._model, features, config, language, self._count, stopped)
        for found in hearing.steps():
            segments = restore_speech_timestamps(found, stretches, RATE_HZ) if config.vad else found
            yield [_segment(one, hearing.language) for one in segments if one.text.strip()]

    def _probe(self) -> None:
        self._model.probe()

    def _release(self) -> None:
        self._model.release()


def _speech(samples: NDArray[np.float32], config: WhisperConfig) -> list[dict[str, int]]:
    """Return the start and end of each stretch of speech, in samples."""
    from faster_whisper.vad import VadOptions, get_speech_timestamps

    if len(samples) == 0:
        return []
    if not config.vad:
        return [{"start": 0, "end": len(samples)}]
    options = VadOptions(
        threshold=config.vad_threshold,
        min_speech_duration_ms=config.vad_min_speech_ms,
        min_silence_duration_ms=config.vad_min_silence_ms,
        speech_pad_ms=config.vad_pad_ms,
    )
    found: list[dict[str, int]] = get_speech_timestamps(samples, options)
    return found


def _joined(samples: NDArray[np.float32], stretches: list[dict[str, int]]) -> NDArray[np.float32]:
    """Return the stretches as one array; a single stretch is not copied."""
    views = [samples[stretch["start"] : stretch["end"]] for stretch in stretches]
    return views[0] if len(views) == 1 else np.concatenate(views)


def _segment(found: Any, language: str | None) -> Segment:
    """Return the library's segment as a message."""
    return Segment(
        found.text.strip(),
        float(found.start),
        float(found.end),
        tuple(Word(word.word.strip(), float(word.start), float(word.end)) for word in found.words or ()),
        tuple(found.tokens),
        found.avg_logprob,
        found.compression_ratio,
        found.no_speech_prob,
        found.temperature,
        language,
    )
