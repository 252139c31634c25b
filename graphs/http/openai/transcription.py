"""POST /v1/audio/transcriptions: from a recording to its transcript, in five formats or as a stream.

A recording of hours is never in memory as a whole: it is spooled to disk and decoded in pieces.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, BinaryIO, Literal

from pydantic import Field
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from deployments.errors import InvalidRequest, UnsupportedMedia
from deployments.messages import Audio, Segment, TranscribeOptions
from graphs.http import errors, sse
from graphs.http.body import BoundedRequest, RequestModel, Text, content_type, read_form, request_id, validated
from graphs.http.budget import ByteBudget, Reservation
from graphs.http.language import SpokenLanguage
from graphs.http.media.decoder import RATE_HZ
from graphs.http.media.sandbox import Sandbox
from graphs.http.openai.models import GRAPH, Models
from graphs.http.openai.parameters import Unsupported
from graphs.http.response import Stream, headers
from graphs.pipeline.events import Event, SegmentReady
from graphs.pipeline.plan import Plan, Stage
from graphs.pipeline.turn import Turn
from graphs.settings import GatewayConfig

MAX_FIELD_BYTES = 65_536  # of a field other than the file


class TranscriptFormat(StrEnum):
    """The format of a transcript."""

    JSON = "json"
    TEXT = "text"
    VERBOSE = "verbose_json"
    SRT = "srt"
    VTT = "vtt"


class TranscriptionFields(RequestModel):
    """The fields of POST /v1/audio/transcriptions other than the file."""

    model: Text = Field(default=GRAPH, description="The recognizer of GET /v1/models, or parley.")
    language: SpokenLanguage = None
    prompt: Annotated[Text, Field(max_length=1000)] | None = Field(
        default=None, description="Text that sets spelling and style."
    )
    response_format: TranscriptFormat = TranscriptFormat.JSON
    temperature: float | None = Field(default=None, ge=0, le=1, description="0 always selects the likeliest token.")
    stream: bool = False
    timestamp_granularities: list[Literal["segment", "word"]] = Field(
        default_factory=list,
        alias="timestamp_granularities[]",
        description="Of verbose_json.",
        fail_fast=True,
        max_length=2,
    )
    chunking_strategy: Literal["auto"] = "auto"
    include: Unsupported = None
    keywords: Unsupported = None
    known_speaker_names: Unsupported = None
    known_speaker_references: Unsupported = None
    languages: Unsupported = None


class Recording:
    """An uploaded recording, decoded piece by piece."""

    def __init__(
        self, form: FormData, file: BinaryIO, reservation: Reservation, max_s: float, sandbox: Sandbox
    ) -> None:
        self._form = form
        self._file = file
        self._reservation = reservation
        self._max_s = max_s
        self._sandbox = sandbox
        self._decoded_samples = 0

    @property
    def duration_s(self) -> float:
        """Seconds that have been decoded so far."""
        return self._decoded_samples / RATE_HZ

    async def pieces(self) -> AsyncGenerator[tuple[float, Audio], None]:
        """Yield the pieces with their starts in seconds, each decoded when it is requested."""
        async with aclosing(self._sandbox.pieces(self._file, max_s=self._max_s, param="file")) as pieces:
            async for start_s, audio in pieces:
                self._decoded_samples += len(audio.samples)
                yield start_s, audio

    async def close(self) -> None:
        """Delete the upload."""
        self._reservation.release()
        await self._form.close()


@dataclass(frozen=True, slots=True)
class TranscriptionRequest:
    """A validated request: its turn, its fields, and the recording, which the response closes."""

    turn: Turn
    fields: TranscriptionFields
    recording: Recording


class TranscriptionReader:
    """Reads requests to POST /v1/audio/transcriptions within the limits of ``config``."""

    def __init__(self, config: GatewayConfig, sandbox: Sandbox, budget: ByteBudget, models: Models) -> None:
        """``budget`` limits the uploads of all requests together, which are on disk."""
        self._max_upload_bytes = config.max_upload_bytes
        self._min_free_disk_bytes = config.min_free_disk_bytes
        self._budget = budget
        self._max_s = config.max_transcription_s
        self._sandbox = sandbox
        self._models = models

    async def read(self, request: Request) -> TranscriptionRequest:
        """Return a request to transcribe. Raise types of ``deployments.errors``."""
        if content_type(request) != "multipart/form-data":
            raise UnsupportedMedia("Send the recording as multipart/form-data, in the field 'file'.")
        reservation = Reservation(self._budget)
        try:
            upload = BoundedRequest(request, self._max_upload_bytes, reservation, self._min_free_disk_bytes)
            form = await read_form(upload, MAX_FIELD_BYTES)
            try:
                return self._validated(form, reservation, request_id(request))
            except BaseException:
                await form.close()
                raise
        except BaseException:
            reservation.release()
            raise

    def _validated(self, form: FormData, reservation: Reservation, turn_id: str) -> TranscriptionRequest:
        fields = validated(TranscriptionFields, _fields(form))
        self._models.stage(fields.model, (Stage.ASR,))
        if fields.timestamp_granularities and fields.response_format is not TranscriptFormat.VERBOSE:
            raise InvalidRequest("Times need response_format verbose_json.", param="timestamp_granularities")
        if fields.stream and fields.response_format not in (TranscriptFormat.JSON, TranscriptFormat.TEXT):
            raise InvalidRequest("A stream needs response_format json or text.", param="response_format")
        options = TranscribeOptions(
            language=fields.language,
            prompt=fields.prompt,
            temperature=fields.temperature,
            words="word" in fields.timestamp_granularities,
        )
        recording = Recording(form, _file(form), reservation, self._max_s, self._sandbox)
        return TranscriptionRequest(
            Turn(turn_id, transcription=options, recording=recording.pieces()), fields, recording
        )


def _fields(form: FormData) -> dict[str, Any]:
    """Return the fields other than the file; lists have the brackets of forms in their names: ``include[]``."""
    fields: dict[str, Any] = {}
    for key in form:
        name, brackets, _ = key.partition("[")
        values = [value for value in form.getlist(key) if value != ""]
        if name == "file" or not values:
            continue
        if name == "timestamp_granularities":
            fields["timestamp_granularities[]"] = values
        elif brackets:
            fields[name] = values
        elif len(values) > 1:
            raise InvalidRequest(f"The field '{name}' was given more than once.", param=name)
        else:
            fields[name] = values[0]
    return fields


def _file(form: FormData) -> BinaryIO:
    files = form.getlist("file")
    if len(files) != 1 or not isinstance(files[0], UploadFile):
        raise InvalidRequest("Send one recording, as a file in the field 'file'.", param="file")
    return files[0].file


@dataclass(frozen=True, slots=True)
class TranscriptionResponse:
    """The transcript of one recording."""

    request: TranscriptionRequest
    plan: Plan
    events: AsyncGenerator[Event, None]

    async def respond(self) -> Response:
        """Return the response. Raises the run's error if it fails before the headers are sent."""
        try:
            if self.request.fields.stream:
                first = await anext(self.events)
                head = headers(self.plan)
                return Stream(self.events, self._messages(first), sse.MEDIA_TYPE, head, self.request.recording.close)
            segments = [event.segment async for event in self.events if isinstance(event, SegmentReady)]
        except BaseException:
            await self.request.recording.close()
            raise
        await self.request.recording.close()
        self._check_words(segments)
        return _FORMATS[self.request.fields.response_format](self, segments)

    @property
    def _with_words(self) -> bool:
        return self.request.turn.transcription.words

    def _check_words(self, segments: list[Segment]) -> None:
        if self._with_words and any(segment.text and not segment.words for segment in segments):
            raise InvalidRequest(
                "This recognizer does not report the times of words; request segments.",
                param="timestamp_granularities",
            )

    async def _messages(self, first: Event) -> AsyncGenerator[str, None]:
        text = ""
        try:
            event: Event | None = first
            while event is not None:
                if isinstance(event, SegmentReady) and (segment := event.segment.text.strip()):
                    delta = f" {segment}" if text else segment
                    text += delta
                    yield sse.message({"type": "transcript.text.delta", "delta": delta})
                event = await anext(self.events, None)
            yield sse.message({"type": "transcript.text.done", "text": text, "usage": self._usage})
        except Exception as error:
            yield sse.message(errors.body(errors.as_parley(error)))

    @property
    def _usage(self) -> dict[str, Any]:
        return {"type": "duration", "seconds": math.ceil(self.request.recording.duration_s)}

    def json(self, segments: list[Segment]) -> Response:
        return JSONResponse({"text": _text(segments), "usage": self._usage}, headers=headers(self.plan))

    def text(self, segments: list[Segment]) -> Response:
        return PlainTextResponse(_text(segments) + "\n", headers=headers(self.plan))

    def verbose(self, segments: list[Segment]) -> Response:
        fields = self.request.fields
        body: dict[str, Any] = {
            "task": "transcribe",
            "language": next((s.language for s in segments if s.language), fields.language or "unknown"),
            "duration": round(self.request.recording.duration_s, 3),
            "text": _text(segments),
            "usage": self._usage,
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
        if self._with_words:
            body["words"] = [
                {"word": word.text, "start": round(word.start_s, 3), "end": round(word.end_s, 3)}
                for segment in segments
                for word in segment.words
            ]
        return JSONResponse(body, headers=headers(self.plan))

    def srt(self, segments: list[Segment]) -> Response:
        blocks = [
            f"{number}\n{_timestamp(s.start_s, ',')} --> {_timestamp(s.end_s, ',')}\n{s.text.strip()}\n"
            for number, s in enumerate(segments, 1)
        ]
        return PlainTextResponse("\n".join(blocks), headers=headers(self.plan))

    def vtt(self, segments: list[Segment]) -> Response:
        blocks = [f"{_timestamp(s.start_s, '.')} --> {_timestamp(s.end_s, '.')}\n{s.text.strip()}\n" for s in segments]
        return PlainTextResponse("\n".join(["WEBVTT\n", *blocks]), headers=headers(self.plan))


_FORMATS: dict[TranscriptFormat, Callable[[TranscriptionResponse, list[Segment]], Response]] = {
    TranscriptFormat.JSON: TranscriptionResponse.json,
    TranscriptFormat.TEXT: TranscriptionResponse.text,
    TranscriptFormat.VERBOSE: TranscriptionResponse.verbose,
    TranscriptFormat.SRT: TranscriptionResponse.srt,
    TranscriptFormat.VTT: TranscriptionResponse.vtt,
}


def _text(segments: list[Segment]) -> str:
    return " ".join(filter(None, (segment.text.strip() for segment in segments)))


def _timestamp(seconds: float, point: str) -> str:
    ms = round(seconds * 1000)
    return f"{ms // 3_600_000:02}:{ms // 60_000 % 60:02}:{ms // 1000 % 60:02}{point}{ms % 1000:03}"
