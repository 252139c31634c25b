"""POST /v1/audio/speech: a text in, its sound out, while it is being spoken. Knows neither who speaks nor how."""

from __future__ import annotations

import base64
import math
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Literal

from pydantic import Field
from starlette.responses import Response

from deployments.errors import NothingToAnswer
from deployments.messages import Audio, SpeakOptions
from deployments.settings import GatewayConfig
from graphs.pipeline.events import AudioChunk, Event
from graphs.pipeline.plan import Plan, Stage
from graphs.http.chat.response import Stream, headers
from graphs.http.body import Fields, Text, read_json, validated
from graphs.http.media.encode import AudioFormat, Encoder
from graphs.http.errors import as_parley, shape
from graphs.http.executor import Lanes
from graphs.http.openai.models import GRAPH, Catalogue
from graphs.http.openai.chat.response import EVENT_STREAM, sse
from graphs.http.openai.chat.request import Unsupported
from graphs.http.openai.voice import VoiceName, engine_voice

MAX_CHARS = 4096
TOKEN_S = 0.05  # of sound, as OpenAI counts what its models say
WAY = Plan((Stage.TTS,))


class SpeechRequest(Fields):
    """The fields of POST /v1/audio/speech."""

    input: Text = Field(min_length=1, max_length=MAX_CHARS, description="What is said.")
    model: Text = Field(default=GRAPH, description="The speech model of GET /v1/models, or parley.")
    voice: VoiceName = None
    response_format: AudioFormat = AudioFormat.MP3
    speed: float = Field(default=1.0, ge=0.25, le=4, description="2.0 is twice as fast.")
    stream_format: Literal["audio", "sse"] = "audio"
    instructions: Unsupported = None


@dataclass(frozen=True, slots=True)
class SpeechAsked:
    text: str
    options: SpeakOptions
    audio_format: AudioFormat
    as_events: bool


def read_speech(data: bytes, limits: GatewayConfig, catalogue: Catalogue) -> SpeechAsked:
    """What a JSON body asks for. Raises types of ``deployments.errors``."""
    asked = validated(SpeechRequest, read_json(data))
    catalogue.stage(asked.model, (Stage.TTS,))
    options = SpeakOptions(voice=engine_voice(asked.voice, limits.voice_aliases), speed=asked.speed)
    return SpeechAsked(asked.input, options, asked.response_format, asked.stream_format == "sse")


@dataclass(frozen=True, slots=True)
class SpeechAnswer:
    """A voice on its way out."""

    asked: SpeechAsked
    events: AsyncGenerator[Event, None]
    lanes: Lanes

    async def respond(self) -> Response:
        """Raises what the run raises before the first sound, and ``NothingToAnswer`` when there is none."""
        async for event in self.events:
            if isinstance(event, AudioChunk):
                encoder = Encoder(self.asked.audio_format)
                content = (self._sse if self.asked.as_events else self._encoded)(encoder, event.audio)
                media_type = EVENT_STREAM if self.asked.as_events else encoder.media_type
                return Stream(self.events, content, media_type, headers(WAY))
        raise NothingToAnswer("There is nothing in this text that can be pronounced.", param="input")

    async def _encoded(self, encoder: Encoder, first: Audio) -> AsyncGenerator[bytes, None]:
        if data := await self._fed(encoder, first):
            yield data
        async for event in self.events:
            if isinstance(event, AudioChunk) and (data := await self._fed(encoder, event.audio)):
                yield data
        if data := await self.lanes.media(0, encoder.finish):
            yield data

    async def _fed(self, encoder: Encoder, audio: Audio) -> bytes:
        # A sentence of ten seconds takes an encoder a tenth of one: not in the event loop.
        return await self.lanes.media(audio.samples.nbytes, encoder.feed, audio)

    async def _sse(self, encoder: Encoder, first: Audio) -> AsyncGenerator[str, None]:
        try:
            async for data in self._encoded(encoder, first):
                yield _delta(data)
        except Exception as error:
            yield sse(shape(as_parley(error)))
        else:
            yield sse({"type": "speech.audio.done", "usage": _usage(self.asked.text, encoder.fed_s)})


def _delta(data: bytes) -> str:
    return sse({"type": "speech.audio.delta", "audio": base64.b64encode(data).decode()})


def _usage(text: str, spoken_s: float) -> dict[str, int]:
    """A voice model has no tokens of its own: a character counts as one, and so does each begun 50 ms of sound."""
    spoken = math.ceil(spoken_s / TOKEN_S)
    return {"input_tokens": len(text), "output_tokens": spoken, "total_tokens": len(text) + spoken}
