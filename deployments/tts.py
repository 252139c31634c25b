"""The deployment for speech synthesis. What is the same for every voice is done here; an engine reads one sentence."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from ray import serve

from deployments.engines.base import Synthesizer
from deployments.engines.registry import TextToSpeechArgs, entry_of, synthesizer
from deployments.errors import TooLarge
from deployments.messages import Audio, SpeakOptions
from deployments.metrics import FIRST_AUDIO, RequestMetrics
from deployments.postprocess import AudioPostprocessor
from deployments.replica import Replica, served
from deployments.sentence import prepare
from deployments.settings import TextToSpeechConfig


@serve.deployment(name="TextToSpeech")
class TextToSpeech(Replica[Synthesizer, TextToSpeechConfig]):
    """One voice model."""

    def __init__(self, args: TextToSpeechArgs) -> None:
        super().__init__(synthesizer(args), entry_of(args).live_settings(TextToSpeechConfig))

    @served
    async def speak(self, metrics: RequestMetrics, text: str, options: SpeakOptions) -> AsyncGenerator[Audio, None]:
        """Yield the audio of one sentence; none when there is nothing to pronounce. Raise ``TooLarge``."""
        config = self._config.for_request(options)
        if len(text) > config.max_text_chars:
            raise TooLarge(
                f"the text has {len(text):,} characters; the limit is {config.max_text_chars:,}", param="text"
            )
        language = config.language or self._engine.language
        for sentence in prepare(text, language, config.max_sentence_chars):
            async with aclosing(self._synthesized(sentence, config, options.sentence)) as chunks:
                async for chunk in chunks:
                    metrics.first(FIRST_AUDIO)
                    metrics.audio(chunk.duration_s)
                    yield chunk

    async def _synthesized(self, sentence: str, config: TextToSpeechConfig, rank: int) -> AsyncGenerator[Audio, None]:
        rate_hz = self._engine.rate_hz
        processor = AudioPostprocessor(rate_hz, config.volume, config.pause_s)
        async with aclosing(self._engine.speak(sentence, config, rank)) as chunks:
            async for chunk in chunks:
                if len(samples := processor.add(chunk.samples)):
                    yield Audio(samples, rate_hz)
        if len(samples := processor.finish()):
            yield Audio(samples, rate_hz)
