"""The deployment for speech synthesis. What is the same for every voice is done here; an engine reads one sentence."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from ray import serve

from deployments.engines.base import Synthesizer
from deployments.engines.registry import TextToSpeechArgs, entry_of, synthesizer
from deployments.errors import TooLarge
from deployments.messages import Audio, Omitted, SpeakOptions
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
    async def speak(
        self, metrics: RequestMetrics, text: str, options: SpeakOptions
    ) -> AsyncGenerator[Omitted | Audio, None]:
        """Yield what is left out of one sentence, if anything is, and its audio; none when there is nothing to say.

        Raise ``TooLarge``.
        """
        config = self._config.for_request(options)
        if len(text) > config.max_text_chars:
            raise TooLarge(
                f"the text has {len(text):,} characters; the limit is {config.max_text_chars:,}", param="text"
            )
        language = config.language or self._engine.language(config.voice)
        # Some hundred patterns take a few milliseconds, too long for the event loop.
        prepared = await asyncio.to_thread(
            prepare, text, language, self._engine.characters, config.max_sentence_chars, config.first_piece_chars
        )
        if prepared.omitted:
            yield Omitted(prepared.omitted)
        for piece in prepared.pieces:
            async with aclosing(self._synthesized(piece, config, options.sentence)) as chunks:
                async for chunk in chunks:
                    metrics.first(FIRST_AUDIO)
                    metrics.audio(chunk.duration_s)
                    yield chunk

    async def voices(self) -> tuple[str, ...]:
        """Return the names of the voices; empty if there is only one, without a name."""
        return self._engine.voices

    async def _synthesized(self, sentence: str, config: TextToSpeechConfig, rank: int) -> AsyncGenerator[Audio, None]:
        rate_hz = self._engine.rate_hz
        processor = AudioPostprocessor(rate_hz, config.volume, config.pause_s)
        async with aclosing(self._engine.speak(sentence, config, rank)) as chunks:
            async for chunk in chunks:
                if len(samples := processor.add(chunk.samples)):
                    yield Audio(samples, rate_hz)
        if len(samples := processor.finish()):
            yield Audio(samples, rate_hz)
