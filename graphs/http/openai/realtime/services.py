"""What a live session uses of the Gateway."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from deployments.messages import Audio, Segment, TranscribeOptions
from graphs.http.limits import Admissions
from graphs.http.openai.models import Models
from graphs.http.openai.realtime.voice_models import VoiceModels
from graphs.http.turns import TurnReader
from graphs.pipeline.events import Event, SegmentReady
from graphs.pipeline.plan import Plan, Stage
from graphs.pipeline.turn import Turn

P = ParamSpec("P")
R = TypeVar("R")

Run = Callable[[Turn, Stage | None], tuple[Plan, AsyncGenerator[Event, None]]]


@dataclass(frozen=True, slots=True)
class Services:
    """``run`` executes a turn, ``threads`` run what would block the event loop."""

    run: Run
    models: Models
    turns: TurnReader
    admissions: Admissions
    voice_models: VoiceModels
    threads: ThreadPoolExecutor

    async def in_thread(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Return the result of ``work``, which may take more than a millisecond."""
        return await asyncio.get_running_loop().run_in_executor(self.threads, lambda: work(*args, **kwargs))

    async def transcribe(self, audio: Audio, options: TranscribeOptions) -> AsyncGenerator[Segment, None]:
        """Yield the segments of a piece of speech."""

        async def recording() -> AsyncGenerator[tuple[float, Audio], None]:
            yield 0.0, audio

        turn = Turn("live", transcription=options, recording=recording())
        async with aclosing(self.run(turn, Stage.ASR)[1]) as events:
            async for event in events:
                if isinstance(event, SegmentReady):
                    yield event.segment
