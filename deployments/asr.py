"""The deployment that hears: sound to text. Knows nothing of who asked or what becomes of the words."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from ray import serve

from deployments.engine import Recognizer, recognizer
from deployments.errors import TooLarge
from deployments.messages import Audio, Segment, Taken, TranscribeOptions
from deployments.replica import Replica
from deployments.settings import SpeechToTextArgs, SpeechToTextConfig


@serve.deployment(name="SpeechToText")
class SpeechToText(Replica[Recognizer, SpeechToTextConfig]):
    """One recognizer."""

    def __init__(self, args: SpeechToTextArgs) -> None:
        super().__init__(recognizer(args), SpeechToTextConfig())

    async def transcribe(
        self, audio: Audio, options: TranscribeOptions, called_at: float | None = None
    ) -> AsyncGenerator[Taken | Segment, None]:
        """Segments as they are recognized; none when there is no speech."""
        config = self._config.for_request(options)
        with self._request() as watch:
            if taken := self._taken(called_at):
                yield taken
            if audio.duration_s > config.max_audio_s:
                raise TooLarge(
                    f"the audio is {audio.duration_s:.0f} s long; at most {config.max_audio_s:g} s are heard",
                    param="audio",
                )
            watch.audio(audio.duration_s)
            async with aclosing(self._engine.transcribe(audio, config, options.piece)) as segments:
                async for segment in segments:
                    yield segment
