"""The deployment for speech recognition."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from ray import serve

from deployments.engines.base import Recognizer
from deployments.engines.registry import SpeechToTextArgs, entry_of, recognizer
from deployments.errors import TooLarge
from deployments.messages import Audio, Segment, TranscribeOptions
from deployments.metrics import RequestMetrics
from deployments.replica import Replica, served
from deployments.settings import SpeechToTextConfig


@serve.deployment(name="SpeechToText")
class SpeechToText(Replica[Recognizer, SpeechToTextConfig]):
    """One recognizer."""

    def __init__(self, args: SpeechToTextArgs) -> None:
        super().__init__(recognizer(args), entry_of(args).live_settings(SpeechToTextConfig))

    @served
    async def transcribe(
        self, metrics: RequestMetrics, audio: Audio, options: TranscribeOptions
    ) -> AsyncGenerator[Segment, None]:
        """Yield segments as they are recognized; none when there is no speech. Raise ``TooLarge``."""
        config = self._config.for_request(options)
        if audio.duration_s > config.max_audio_s:
            raise TooLarge(
                f"the audio is {audio.duration_s:.0f} s long; the limit is {config.max_audio_s:g} s", param="audio"
            )
        metrics.audio(audio.duration_s)
        async with aclosing(self._engine.transcribe(audio, config, options.piece)) as segments:
            async for segment in segments:
                yield segment
