"""POST /v1/audio/transcriptions: a recording in, what was said out, in five formats or as a stream.

A recording of hours is never in memory as a whole: it waits on disk and is decoded in pieces. Knows neither who hears
nor how.
"""

from __future__ import annotations

import math
import os
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any, BinaryIO, Literal

from pydantic import Field
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from deployments.errors import InvalidRequest, UnsupportedMedia
from deployments.messages import Audio, Segment, TranscribeOptions
from deployments.settings import GatewayConfig, LanguageCode
from graphs.pipeline.events import Event, SegmentHeard
from graphs.pipeline.plan import Plan, Stage
from graphs.http.chat.response import Stream, headers
from graphs.http.body import Fields, Text, content_type, read_form, validated
from graphs.http.errors import as_parley, shape
from graphs.http.executor import Lanes
from graphs.http.media.audio import RATE_HZ, audio_pieces
from graphs.http.openai.models import GRAPH, Catalogue
from graphs.http.openai.chat.response import EVENT_STREAM, sse

WAY = Plan((Stage.ASR,))


class Written(StrEnum):
    """The form of a transcription."""

    JSON = "json"
    TEXT = "text"
    VERBOSE = "verbose_json"
    SRT = "srt"
    VTT = "vtt"


class TranscriptionRequest(Fields):
    """The fields of POST /v1/audio/transcriptions beside the file."""

    model: Text = Field(default=GRAPH, description="The recognizer of GET /v1/models, or parley.")
    language: LanguageCode | None = Field(default=None, description="What is spoken, as ISO 639-1, such as en.")
    prompt: Annotated[Text, Field(max_length=1000)] | None = Field(
        default=None, description="Text that sets spelling and style."
    )
    response_format: Written = Written.JSON
    temperature: float | None = Field(default=None, ge=0, le=1, description="0 always takes the likeliest word.")
    stream: bool = False
    timestamp_granularities: list[Literal["segment", "word"]] = Field(
        default_factory=list, alias="timestamp_granularities[]", description="Of verbose_json."
    )
    chunking_strategy: Literal["auto"] = "auto"


@dataclass(frozen=True, slots=True)
class TranscriptionAsked:
    """A request, its recording, and how far that has been taken. Close it when the answer is complete."""

    fields: TranscriptionRequest
    form: FormData
    file: BinaryIO
    max_s: float
    lanes: Lanes
    heard_samples: list[int] = field(default_factory=list)

    @property
    def options(self) -> TranscribeOptions:
        return TranscribeOptions(
            language=self.fields.language,
            prompt=self.fields.prompt,
            temperature=self.fields.temperature,
            words="word" in self.fields.timestamp_granularities,
        )

    @property
    def duration_s(self) -> float:
        """Of what has been decoded so far."""
        return sum(self.heard_samples) / RATE_HZ

    async def pieces(self) -> AsyncGenerator[tuple[float, Audio], None]:
        """The recording, decoded in a thread as it is asked for."""
        size_bytes = self.file.seek(0, os.SEEK_END)
        source: Iterator[tuple[float, Audio]] = audio_pieces(self.file, max_s=self.max_s, param="file")
        while piece := await self.lanes.media(size_bytes, next, source, None):
            self.heard_samples.append(len(piece[1].samples))
            yield piece


async def read_transcription(
    request: Request, limits: GatewayConfig, catalogue: Catalogue, lanes: Lanes
) -> TranscriptionAsked:
    """What a form asks for. Raises types of ``deployments.errors``."""
    if content_type(request) != "multipart/form-data":
        raise UnsupportedMedia("A recording comes as multipart/form-data, in the field 'file'.")
    form = await read_form(request, limits.max_upload_bytes)
    try:
        fields = validated(TranscriptionRequest, _fields(form))
        catalogue.stage(fields.model, (Stage.ASR,))
        if fields.timestamp_granularities and fields.response_format is not Written.VERBOSE:
            raise InvalidRequest("Times come with response_format verbose_json.", param="timestamp_granularities")
        if fields.stream and fields.response_format not in (Written.JSON, Written.TEXT):
            raise InvalidRequest("A stream is of json or text.", param="response_format")
        return TranscriptionAsked(fields, form, _file(form), limits.max_transcription_s, lanes)
    except BaseException:
        await form.close()
        raise


def _fields(form: FormData) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name in form:
        if name == "file":
            continue
        values = form.getlist(name)
        if name.removesuffix("[]") == "timestamp_granularities":
            fields["timestamp_granularities[]"] = values
        elif len(values) > 1:
            raise InvalidRequest(f"The field '{name}' was given more than once.", param=name)
        elif values[0] != "":
            fields[name] = values[0]
    return fields


def _file(form: FormData) -> BinaryIO:
    files = form.getlist("file")
    if len(files) != 1 or not isinstance(files[0], UploadFile):
        raise InvalidRequest("Send one recording, as a file in the field 'file'.", param="file")
    return files[0].file


@dataclass(frozen=True, slots=True)
class TranscriptionAnswer:
    """What was said, on its way out."""

    asked: TranscriptionAsked
    events: AsyncGenerator[Event, None]

    async def respond(self) -> Response:
        """Raises what the run raises before the headers."""
        if self.asked.fields.stream:
            first = await anext(self.events)
            return Stream(self.events, self._deltas(first), EVENT_STREAM, headers(WAY))
        try:
            segments = [event.segment async for event in self.events if isinstance(event, SegmentHeard)]
        finally:
            await self.asked.form.close()
        self._require_words(segments)
        return _FORMS[self.asked.fields.response_format](self, segments)

    def _require_words(self, segments: list[Segment]) -> None:
        if self.asked.options.words and any(segment.text and not segment.words for segment in segments):
            raise InvalidRequest(
                "This recognizer does not tell when each word was spoken; ask for segments.",
                param="timestamp_granularities",
            )

    async def _deltas(self, first: Event) -> AsyncGenerator[str, None]:
        text = ""
        try:
            event: Event | None = first
            while event is not None:
                if isinstance(event, SegmentHeard) and (said := event.segment.text.strip()):
                    delta = f" {said}" if text else said
                    text += delta
                    yield sse({"type": "transcript.text.delta", "delta": delta})
                event = await anext(self.events, None)
            yield sse({"type": "transcript.text.done", "text": text, "usage": self.usage})
        except Exception as error:
            yield sse(shape(as_parley(error)))
        finally:
            await self.asked.form.close()

    @property
    def usage(self) -> dict[str, Any]:
        return {"type": "duration", "seconds": math.ceil(self.asked.duration_s)}

    def json(self, segments: list[Segment]) -> Response:
        return JSONResponse({"text": _text(segments), "usage": self.usage}, headers=headers(WAY))

    def text(self, segments: list[Segment]) -> Response:
        return PlainTextResponse(_text(segments) + "\n", headers=headers(WAY))

    def verbose(self, segments: list[Segment]) -> Response:
        fields = self.asked.fields
        body: dict[str, Any] = {
            "task": "transcribe",
            "language": fields.language or "unknown",
            "duration": round(self.asked.duration_s, 3),
            "text": _text(segments),
            "usage": self.usage,
        }
        if "segment" in (fields.timestamp_granularities or ["segment"]):
            body["segments"] = [
                {
                    "id": number,
                    "seek": 0,
                    "start": round(segment.start_s, 3),
                    "end": round(segment.end_s, 3),
                    "text": segment.text,
                    "tokens": list(segment.tokens),
                    "temperature": segment.temperature,
                    "avg_logprob": segment.avg_logprob,
                    "compression_ratio": segment.compression_ratio,
                    "no_speech_prob": segment.no_speech_prob,
                }
                for number, segment in enumerate(segments)
            ]
        if self.asked.options.words:
            body["words"] = [
                {"word": word.text, "start": round(word.start_s, 3), "end": round(word.end_s, 3)}
                for segment in segments
                for word in segment.words
            ]
        return JSONResponse(body, headers=headers(WAY))

    def srt(self, segments: list[Segment]) -> Response:
        blocks = [
            f"{number}\n{_clock(s.start_s, ',')} --> {_clock(s.end_s, ',')}\n{s.text.strip()}\n"
            for number, s in enumerate(segments, 1)
        ]
        return PlainTextResponse("\n".join(blocks), headers=headers(WAY))

    def vtt(self, segments: list[Segment]) -> Response:
        blocks = [f"{_clock(s.start_s, '.')} --> {_clock(s.end_s, '.')}\n{s.text.strip()}\n" for s in segments]
        return PlainTextResponse("\n".join(["WEBVTT\n", *blocks]), headers=headers(WAY))


_FORMS: dict[Written, Callable[[TranscriptionAnswer, list[Segment]], Response]] = {
    Written.JSON: TranscriptionAnswer.json,
    Written.TEXT: TranscriptionAnswer.text,
    Written.VERBOSE: TranscriptionAnswer.verbose,
    Written.SRT: TranscriptionAnswer.srt,
    Written.VTT: TranscriptionAnswer.vtt,
}


def _text(segments: list[Segment]) -> str:
    return " ".join(filter(None, (segment.text.strip() for segment in segments)))


def _clock(seconds: float, point: str) -> str:
    ms = round(seconds * 1000)
    return f"{ms // 3_600_000:02}:{ms // 60_000 % 60:02}:{ms // 1000 % 60:02}{point}{ms % 1000:03}"
