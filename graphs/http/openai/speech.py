"""POST /v1/audio/speech: reads a text aloud; the audio is sent while it is synthesized."""

from __future__ import annotations

import base64
import math
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from deployments.errors import NothingToAnswer
from deployments.messages import Audio, SpeakOptions
from graphs.http import errors, sse
from graphs.http.body import RequestModel, Text, json_body, read_json, request_id, validated
from graphs.http.budget import ByteBudget
from graphs.http.executor import CodecExecutor
from graphs.http.media.encode import AudioFormat, Encoder
from graphs.http.openai.models import GRAPH, Models
from graphs.http.openai.parameters import VoiceName
from graphs.http.response import CollectedEvents, Stream, extension, headers
from graphs.pipeline.events import AudioChunk, Event, TextOmitted
from graphs.pipeline.plan import Plan, Stage
from graphs.pipeline.turn import Output, Turn, TurnMessage
from graphs.settings import GatewayConfig

MAX_CHARS = 4096
TOKEN_S = 0.05  # of audio, as OpenAI counts the output of its audio models


class SpeechFields(RequestModel):
    """The fields of POST /v1/audio/speech."""

    input: Annotated[Text, Field(min_length=1, max_length=MAX_CHARS)] = Field(description="The text.")
    model: Text = Field(default=GRAPH, description="The speech model of GET /v1/models, or parley.")
    voice: VoiceName = None
    response_format: AudioFormat = AudioFormat.MP3
    speed: float = Field(default=1.0, ge=0.25, le=4, description="2.0 is twice as fast.")
    stream_format: Literal["audio", "sse"] = "audio"
    instructions: Any = Field(default=None, description="Accepted without effect: the voices have no styles.")


@dataclass(frozen=True, slots=True)
class SpeechRequest:
    """A validated request: its turn and the form of its audio."""

    turn: Turn
    audio_format: AudioFormat
    as_events: bool


class SpeechReader:
    """Reads requests to POST /v1/audio/speech."""

    def __init__(self, config: GatewayConfig, executor: CodecExecutor, budget: ByteBudget, models: Models) -> None:
        """``budget`` limits the bodies of all requests together."""
        self._config = config
        self._executor = executor
        self._budget = budget
        self._models = models

    async def read(self, request: Request) -> SpeechRequest:
        """Return a request to read aloud. Raise types of ``deployments.errors``."""
        with self._budget.reservation() as reservation:
            data = await json_body(request, self._config.max_body_bytes, self._config.max_json_items, reservation)
            return await self._executor.parse(len(data), self._validated, data, request_id(request))

    def _validated(self, data: bytes, turn_id: str) -> SpeechRequest:
        fields = validated(SpeechFields, read_json(data, self._config.max_json_items))
        self._models.stage(fields.model, (Stage.TTS,))
        turn = Turn(
            turn_id,
            (TurnMessage("user", fields.input),),
            Output.VOICE,
            voice=SpeakOptions(voice=self._models.voice(fields.voice), speed=fields.speed),
        )
        return SpeechRequest(turn, fields.response_format, fields.stream_format == "sse")


@dataclass(frozen=True, slots=True)
class SpeechResponse:
    """The audio of one text."""

    request: SpeechRequest
    plan: Plan
    events: AsyncGenerator[Event, None]
    executor: CodecExecutor

    async def respond(self) -> Response:
        """Return the response. Raises the run's error before the first audio, ``NothingToAnswer`` if there is none."""
        collected = CollectedEvents()
        async for event in self.events:
            if isinstance(event, AudioChunk):
                encoder = Encoder(self.request.audio_format)
                content = (self._messages if self.request.as_events else self._encoded)(encoder, event.audio, collected)
                media_type = sse.MEDIA_TYPE if self.request.as_events else encoder.media_type
                return Stream(self.events, content, media_type, headers(self.plan, collected))
            collected.add(event)
        raise NothingToAnswer("This text contains nothing that can be pronounced.", param="input")

    async def _encoded(self, encoder: Encoder, first: Audio, collected: CollectedEvents) -> AsyncGenerator[bytes, None]:
        if data := await self._feed(encoder, first):
            yield data
        async for event in self.events:
            if isinstance(event, TextOmitted):
                collected.add(event)
            if isinstance(event, AudioChunk) and (data := await self._feed(encoder, event.audio)):
                yield data
        if data := await self.executor.encode(0, encoder.finish):
            yield data

    async def _feed(self, encoder: Encoder, audio: Audio) -> bytes:
        # Encoding a sentence of 10 s takes 0.1 s, too long for the event loop.
        return await self.executor.encode(audio.samples.nbytes, encoder.feed, audio)

    async def _messages(self, encoder: Encoder, first: Audio, collected: CollectedEvents) -> AsyncGenerator[str, None]:
        try:
            async for data in self._encoded(encoder, first, collected):
                audio = base64.b64encode(data).decode()
                yield sse.message({"type": "speech.audio.delta", "audio": audio})
        except Exception as error:
            yield sse.message(errors.body(errors.as_parley(error)))
        else:
            usage = _usage(self.request.turn.messages[-1].text, encoder.fed_s)
            yield sse.message({"type": "speech.audio.done", "usage": usage} | extension(collected))


def _usage(text: str, audio_s: float) -> dict[str, int]:
    """Count a character as an input token and each 50 ms of audio as an output token: a voice has no tokens itself."""
    output = math.ceil(round(audio_s / TOKEN_S, 6))  # rounded: a sum of durations is inexact
    return {"input_tokens": len(text), "output_tokens": output, "total_tokens": len(text) + output}
