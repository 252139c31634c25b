"""The deployment that speaks: text to sound. Knows nothing of where the sentences come from."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from ray import serve

from deployments.engine import Synthesizer, synthesizer
from deployments.errors import TooLarge
from deployments.messages import Audio, SpeakOptions, Taken
from deployments.metrics import FIRST_AUDIO
from deployments.replica import Replica
from deployments.settings import TextToSpeechArgs, TextToSpeechConfig


@serve.deployment(name="TextToSpeech")
class TextToSpeech(Replica[Synthesizer, TextToSpeechConfig]):
    """One voice model."""

    def __init__(self, args: TextToSpeechArgs) -> None:
        super().__init__(synthesizer(args), TextToSpeechConfig())

    async def speak(
        self, text: str, options: SpeakOptions, called_at: float | None = None
    ) -> AsyncGenerator[Taken | Audio, None]:
        """Sound, sentence by sentence; none when there is nothing to pronounce."""
        config = self._config.for_request(options)
        with self._request() as watch:
            if taken := self._taken(called_at):
                yield taken
            if len(text) > config.max_text_chars:
                raise TooLarge(
                    f"the text has {len(text):,} characters; at most {config.max_text_chars:,} are spoken", param="text"
                )
            async with aclosing(self._engine.speak(text, config, options.sentence)) as chunks:
                async for chunk in chunks:
                    watch.first(FIRST_AUDIO)
                    watch.audio(chunk.duration_s)
                    yield chunk
