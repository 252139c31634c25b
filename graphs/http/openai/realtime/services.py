"""What a live session uses of the Gateway."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass

from deployments.errors import InvalidRequest
from deployments.messages import Audio, Segment, TranscribeOptions
from graphs.http.executor import CodecExecutor
from graphs.http.limits import Admissions
from graphs.http.openai.models import Models
from graphs.http.openai.realtime.configuration import Configuration, RealtimeConfiguration, SemanticVad
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

    def require(self, configuration: Configuration) -> None:
        """Raise ``InvalidRequest`` with the field of a configuration that this service cannot do."""
        path, heard = "session.audio.input", configuration.audio.input
        if isinstance(heard.turn_detection, SemanticVad) and not self.voice_models.has_end_of_turn:
            message = (
                "semantic_vad needs a model that this service does not have; use server_vad, or set the service's "
                "end_of_turn_model to smart-turn-v3."
            )
            raise InvalidRequest(message, param=f"{path}.turn_detection.type")
        if heard.transcription is not None and heard.transcription.model is not None:
            self.models.live_stage(heard.transcription.model, (Stage.ASR,), f"{path}.transcription.model")
        if isinstance(configuration, RealtimeConfiguration):
            self.models.live_stage(configuration.model, (Stage.LLM, Stage.VISION), "session.model")

    async def transcribe(self, audio: Audio, options: TranscribeOptions) -> AsyncGenerator[Segment, None]:
        """Yield the segments of a piece of speech."""

        async def recording() -> AsyncGenerator[tuple[float, Audio], None]:
            yield 0.0, audio

        turn = Turn("live", transcription=options, recording=recording())
        async with aclosing(self.run(turn, Stage.ASR)[1]) as events:
            async for event in events:
                if isinstance(event, SegmentReady):
                    yield event.segment
