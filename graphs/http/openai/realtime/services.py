"""What a live session uses of the Gateway."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass

from deployments.messages import Audio, Segment, TranscribeOptions
from graphs.http.executor import CodecExecutor
from graphs.http.limits import Admissions
from graphs.http.openai.models import Models
from graphs.http.openai.realtime.voice_models import VoiceModels
from graphs.http.turns import TurnReader
from graphs.pipeline.events import Event, SegmentReady
from graphs.pipeline.plan import Plan, Stage
from graphs.pipeline.turn import Turn

Run = Callable[[Turn, Stage | None], tuple[Plan, AsyncGenerator[Event, None]]]


@dataclass(frozen=True, slots=True)
class Services:
    """``run`` executes a turn."""

    run: Run
    models: Models
    turns: TurnReader
    admissions: Admissions
    voice_models: VoiceModels
    executor: CodecExecutor

    async def transcribe(
        self, audio: Audio, options: TranscribeOptions, model: str | None
    ) -> AsyncGenerator[Segment, None]:
        """Yield the segments of a piece of speech. Raise ``UnknownModel`` if ``model`` is not a recognizer's name."""
        if model is not None:
            self.models.live_stage(model, (Stage.ASR,))

        async def recording() -> AsyncGenerator[tuple[float, Audio], None]:
            yield 0.0, audio

        turn = Turn("live", transcription=options, recording=recording())
        async with aclosing(self.run(turn, Stage.ASR)[1]) as events:
            async for event in events:
                if isinstance(event, SegmentReady):
                    yield event.segment
