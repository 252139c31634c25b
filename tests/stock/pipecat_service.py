"""A typed and a spoken turn through Pipecat's OpenAIRealtimeLLMService: ``pipecat_service.py WS_URL SPEECH.pcm``."""

import asyncio
import json
import sys
from pathlib import Path

from loguru import logger
from pipecat.frames.frames import (
    EndFrame,
    ErrorFrame,
    Frame,
    InputAudioRawFrame,
    InterruptionFrame,
    LLMRunFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
    TTSTextFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.runner import PipelineRunner
from pipecat.pipeline.task import PipelineParams, PipelineTask
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.openai.realtime.events import (
    AudioConfiguration,
    AudioInput,
    InputAudioTranscription,
    SessionProperties,
)
from pipecat.services.openai.realtime.llm import OpenAIRealtimeLLMService

logger.remove()
logger.add(sys.stderr, level="WARNING")

FRAME_BYTES = 4800  # 100 ms
SILENCE = bytes(72_000)


class Probe(FrameProcessor):
    """Counts what comes out of the service."""

    def __init__(self) -> None:
        super().__init__()
        self.found = {"audio_bytes": 0, "text": "", "transcripts": [], "errors": [], "interruptions": 0}
        self.answered = asyncio.Event()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, TTSAudioRawFrame):
            self.found["audio_bytes"] += len(frame.audio)
            self.answered.set()
        elif isinstance(frame, TTSTextFrame):
            self.found["text"] += frame.text
        elif isinstance(frame, TranscriptionFrame):
            self.found["transcripts"].append(frame.text)
        elif isinstance(frame, InterruptionFrame):
            self.found["interruptions"] += 1
        elif isinstance(frame, ErrorFrame):
            self.found["errors"].append(str(frame.error))
        await self.push_frame(frame, direction)


async def main(url: str, speech: bytes) -> dict:
    properties = SessionProperties(
        audio=AudioConfiguration(input=AudioInput(transcription=InputAudioTranscription(model="whisper-1")))
    )
    service = OpenAIRealtimeLLMService(
        api_key="none",
        base_url=url,
        settings=OpenAIRealtimeLLMService.Settings(session_properties=properties),
    )
    context = LLMContext([{"role": "user", "content": "Tell me a story"}])
    pair = LLMContextAggregatorPair(context)
    before, after = Probe(), Probe()
    pipeline = Pipeline([pair.user(), before, service, after, pair.assistant()])
    task = PipelineTask(pipeline, params=PipelineParams(audio_in_sample_rate=24_000, audio_out_sample_rate=24_000))
    running = asyncio.create_task(PipelineRunner(handle_sigint=False).run(task))
    await task.queue_frame(LLMRunFrame())
    await asyncio.wait_for(after.answered.wait(), 30)
    after.answered.clear()
    first_bytes = after.found["audio_bytes"]
    for at in range(0, len(speech + SILENCE), FRAME_BYTES):
        await task.queue_frame(InputAudioRawFrame((speech + SILENCE)[at : at + FRAME_BYTES], 24_000, 1))
        await asyncio.sleep(0.05)
    await asyncio.sleep(3)
    await task.queue_frame(EndFrame())
    await running
    errors = before.found["errors"] + after.found["errors"]
    return after.found | {
        "first_bytes": first_bytes,
        "errors": errors,
        "transcripts": before.found["transcripts"] + after.found["transcripts"],
    }


print(json.dumps(asyncio.run(asyncio.wait_for(main(sys.argv[1], Path(sys.argv[2]).read_bytes()), 90))))
