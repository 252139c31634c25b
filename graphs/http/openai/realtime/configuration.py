"""The session object of the Realtime API: its fields and defaults, the merge of an update, and how it is sent.

Fields that OpenAI has and Parley does not do are refused by their name, unless they are harmless.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from deployments.messages import TranscribeOptions
from graphs.http.body import RequestModel, Text, validated
from graphs.http.language import SpokenLanguage
from graphs.http.openai.parameters import Ignored, Unsupported, VoiceName
from graphs.http.openai.realtime.codecs import WireFormat

Kind = Literal["realtime", "transcription"]
Modality = Literal["text", "audio"]

MAX_MODEL_CHARS = 200
MAX_TOKENS = 2**31 - 1

ALWAYS_THERE = frozenset({"audio", "input", "output", "format"})  # objects of a session that cannot be removed

# The discriminators and members of the unions below, which pydantic adds to the location of an error.
TAGS = frozenset(
    {
        *(wire.value for wire in WireFormat),
        "server_vad",
        "semantic_vad",
        "constrained-int",
        "literal['inf']",
        "literal['auto','disabled']",
        "RetentionRatio",
    }
)


class PcmFormat(RequestModel):
    """16-bit little-endian PCM."""

    type: Literal["audio/pcm"] = "audio/pcm"
    rate: Literal[24000] = 24000


class PcmuFormat(RequestModel):
    type: Literal["audio/pcmu"] = "audio/pcmu"


class PcmaFormat(RequestModel):
    type: Literal["audio/pcma"] = "audio/pcma"


Format = Annotated[PcmFormat | PcmuFormat | PcmaFormat, Field(discriminator="type")]


class ServerVad(RequestModel):
    """Turns by voice activity: a turn ends after ``silence_duration_ms`` of silence."""

    type: Literal["server_vad"] = "server_vad"
    threshold: float = Field(default=0.5, ge=0, le=1, allow_inf_nan=False)
    prefix_padding_ms: int = Field(default=300, ge=0, le=5_000)
    silence_duration_ms: int = Field(default=500, ge=20, le=30_000)
    create_response: bool = True
    interrupt_response: bool = True
    idle_timeout_ms: int | None = Field(default=None, ge=1_000, le=3_600_000)


class SemanticVad(RequestModel):
    """Turns by a model that hears whether the person has finished."""

    type: Literal["semantic_vad"] = "semantic_vad"
    eagerness: Literal["low", "medium", "high", "auto"] = "auto"
    create_response: bool = True
    interrupt_response: bool = True


class Transcription(RequestModel):
    """How speech is recognized; with it, the transcript is sent to the client."""

    model: Annotated[Text, Field(max_length=MAX_MODEL_CHARS)] | None = None
    language: SpokenLanguage = None
    prompt: Text | None = None
    delay: Ignored = Field(default=None, exclude=True)
    keywords: Unsupported = None
    languages: Unsupported = None


class AudioInput(RequestModel):
    """``turn_detection`` of ``None`` is push to talk; without ``transcription`` no transcript is sent."""

    format: Format = PcmFormat()
    transcription: Transcription | None = None
    turn_detection: Annotated[ServerVad | SemanticVad, Field(discriminator="type")] | None = None
    noise_reduction: Ignored = Field(default=None, exclude=True)

    @property
    def wire(self) -> WireFormat:
        return WireFormat(self.format.type)

    @property
    def options(self) -> TranscribeOptions:
        """The options of every recognition."""
        if self.transcription is None:
            return TranscribeOptions()
        return TranscribeOptions(language=self.transcription.language, prompt=self.transcription.prompt)


class AudioOutput(RequestModel):
    format: Format = PcmFormat()
    voice: VoiceName = None
    speed: float | None = Field(default=None, ge=0.25, le=4, allow_inf_nan=False)

    @property
    def wire(self) -> WireFormat:
        return WireFormat(self.format.type)


class SessionAudio(RequestModel):
    input: AudioInput = AudioInput()
    output: AudioOutput = AudioOutput()


class Generation(RequestModel):
    """What a session and a single response can say about an answer."""

    instructions: Text | None = None
    output_modalities: list[Modality] | None = Field(default=None, min_length=1, max_length=1, fail_fast=True)
    max_output_tokens: Annotated[int, Field(ge=1, le=MAX_TOKENS)] | Literal["inf"] | None = None
    tools: Unsupported = None
    tool_choice: Unsupported = None
    prompt: Unsupported = None
    parallel_tool_calls: Ignored = Field(default=None, exclude=True)
    reasoning: Ignored = Field(default=None, exclude=True)


class RetentionRatio(RequestModel):
    type: Literal["retention_ratio"]
    retention_ratio: float = Field(ge=0, le=1, allow_inf_nan=False)
    token_limits: Unsupported = None


class _Described(RequestModel):
    """Fields that a client may send back as it received them."""

    id: Ignored = Field(default=None, exclude=True)
    object: Ignored = Field(default=None, exclude=True)
    expires_at: Ignored = Field(default=None, exclude=True)
    include: Unsupported = None


class RealtimeConfiguration(Generation, _Described):
    """The configuration of a conversation."""

    type: Literal["realtime"] = "realtime"
    model: Annotated[Text, Field(max_length=MAX_MODEL_CHARS)]
    audio: SessionAudio = SessionAudio()
    truncation: Literal["auto", "disabled"] | RetentionRatio | None = None
    tracing: Ignored = Field(default=None, exclude=True)


class TranscriptionAudio(RequestModel):
    input: AudioInput = AudioInput()


class TranscriptionConfiguration(_Described):
    """The configuration of a session that only transcribes."""

    type: Literal["transcription"] = "transcription"
    audio: TranscriptionAudio = TranscriptionAudio()


Configuration = RealtimeConfiguration | TranscriptionConfiguration


class _RealtimeUpdate(RequestModel):
    session: RealtimeConfiguration


class _TranscriptionUpdate(RequestModel):
    session: TranscriptionConfiguration


def default(kind: Kind, model: str) -> Configuration:
    """Return the configuration of a new session. A transcription session has no model for answers.

    Raises ``InvalidRequest`` for what is no name of a model.
    """
    turn_detection = {"turn_detection": {"type": "server_vad"}}
    if kind == "transcription":
        audio = {"input": {**turn_detection, "transcription": {}}}
        return TranscriptionConfiguration.model_validate({"audio": audio})
    fields = {
        "model": model,
        "output_modalities": ["audio"],
        "instructions": "",
        "max_output_tokens": "inf",
        "audio": {"input": turn_detection},
    }
    return validated(RealtimeConfiguration, fields)


def updated(configuration: Configuration, fields: Mapping[str, Any]) -> Configuration:
    """Return the configuration with the fields of a session.update: what is left out stays, null removes.

    Null for one of ``ALWAYS_THERE`` leaves it as it is: clients send it for what they leave out.
    Raises ``UnknownField`` or ``InvalidRequest`` with the field's name.
    """
    merged = {"session": _merged(configuration.model_dump(exclude_none=True), fields)}
    if isinstance(configuration, RealtimeConfiguration):
        return validated(_RealtimeUpdate, merged, TAGS).session
    return validated(_TranscriptionUpdate, merged, TAGS).session


def described(configuration: Configuration, session_id: str) -> dict[str, Any]:
    """Return the session object that is sent, without nulls and without what has no effect."""
    return {"id": session_id, "object": "realtime.session", **configuration.model_dump(mode="json", exclude_none=True)}


def _merged(current: dict[str, Any], update: Mapping[str, Any]) -> dict[str, Any]:
    """Merge objects field by field. An object of another ``type`` replaces the one before it, with its own defaults."""
    merged = dict(current)
    for name, value in update.items():
        before = current.get(name)
        if isinstance(before, dict) and isinstance(value, dict) and _same_type(before, value):
            merged[name] = _merged(before, value)
        elif value is not None or name not in ALWAYS_THERE:
            merged[name] = value
    return merged


def _same_type(before: dict[str, Any], value: dict[str, Any]) -> bool:
    return "type" not in value or value["type"] == before.get("type")
