"""POST /v1/chat/completions: from a request to a turn. A parameter that is not supported is refused by its name."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, PlainValidator, PositiveInt, WithJsonSchema, model_validator
from starlette.requests import Request

from deployments.errors import InvalidRequest, ParleyError
from deployments.messages import Audio, ChatOptions, JsonSchema, Role, SpeakOptions
from graphs.http.body import Media, RequestModel, Text, decoded, json_body, read_json, request_id, validated
from graphs.http.budget import ByteBudget
from graphs.http.executor import CodecExecutor
from graphs.http.media.encode import AudioFormat
from graphs.http.media.fetch import Fetcher
from graphs.http.media.sandbox import Sandbox
from graphs.http.openai.chat import audio_id
from graphs.http.openai.models import GRAPH, Models
from graphs.http.openai.parameters import Ignored, Unsupported, VoiceName
from graphs.http.turns import TurnReader
from graphs.pipeline.plan import Stage
from graphs.pipeline.turn import Output, Turn, TurnMessage
from graphs.settings import GatewayConfig

PART_TAGS = frozenset({"text", "input_audio", "image_url", "json_object", "json_schema", "refusal"})
MAX_MESSAGES = MAX_PARTS = 10_000  # lengths of lists; the settings have lower limits for conversations
MAX_URL_CHARS = 2048
MIN_TOP_P = 1e-6  # selects the likeliest token, as 0 does in OpenAI's API


def _parts(content: Any) -> Any:
    """Return content that is only text as a list of one part."""
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _data_or_url(url: Any) -> bytes | str:
    """Return the bytes of a data: URI, and an http(s) URL unchanged."""
    if isinstance(url, str) and url[:5].lower() == "data:":
        data: bytes = decoded(url)
        return data
    if isinstance(url, str) and url[:8].lower().startswith(("https://", "http://")) and len(url) <= MAX_URL_CHARS:
        return url
    raise ValueError("should be a picture as data:image/png;base64,..., or its URL")


class TextPart(RequestModel):
    type: Literal["text"]
    text: Text
    prompt_cache_breakpoint: Ignored = None


class Recording(RequestModel):
    data: Media
    format: Literal["wav", "mp3", "flac", "ogg", "opus", "webm", "m4a"] = Field(
        description="Ignored: the content decides."
    )


class AudioPart(RequestModel):
    type: Literal["input_audio"]
    input_audio: Recording
    prompt_cache_breakpoint: Ignored = None


class ImageUrl(RequestModel):
    url: Annotated[bytes | str, PlainValidator(_data_or_url), WithJsonSchema({"type": "string"})] = Field(
        description="A data: URI, or the URL of a picture on one of picture_hosts."
    )
    detail: Literal["auto", "low", "high"] = Field(default="auto", description="Ignored.")


class ImagePart(RequestModel):
    type: Literal["image_url"]
    image_url: ImageUrl
    prompt_cache_breakpoint: Ignored = None


class RefusalPart(RequestModel):
    type: Literal["refusal"]
    refusal: Text


Part = Annotated[TextPart | AudioPart | ImagePart | RefusalPart, Field(discriminator="type")]


Parts = Annotated[list[Part], Field(fail_fast=True, max_length=MAX_PARTS)]


class AudioReference(RequestModel):
    """Reference to the audio of an earlier answer."""

    id: Text
    data: Any = Field(default=None, description="Ignored, as are the next two: the id contains the transcript.")
    expires_at: Any = None
    transcript: Any = None


class Message(RequestModel):
    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[Parts | None, BeforeValidator(_parts)] = None
    name: Ignored = None
    audio: AudioReference | None = Field(default=None, description="Of an assistant: its spoken answer, by its id.")
    refusal: Text | None = None
    annotations: Unsupported = None
    function_call: Unsupported = None
    tool_calls: Unsupported = None
    tool_call_id: Unsupported = None

    @model_validator(mode="after")
    def _content_fits_role(self) -> Self:
        kinds = {part.type for part in self.content or ()}
        if self.role != "user" and kinds & {"input_audio", "image_url"}:
            raise ValueError("contains audio or a picture, which only a user's message can contain")
        if self.audio and self.role != "assistant":
            raise ValueError("has audio outside of its content, which only an assistant's message can have")
        if self.content is None and self.role != "assistant":
            raise ValueError("should have content")
        return self


class AudioOptions(RequestModel):
    voice: VoiceName = None
    format: Literal["wav", "mp3", "flac", "opus", "aac", "pcm16"] | None = Field(
        default=None, description="wav by default; always pcm16 in a stream."
    )


class StreamOptions(RequestModel):
    include_usage: bool = False
    include_obfuscation: Ignored = None


class TextFormat(RequestModel):
    type: Literal["text"]


class JsonFormat(RequestModel):
    type: Literal["json_object"]


class Schema(RequestModel):
    name: Text = ""
    description: Text | None = None
    strict: Ignored = None
    schema_: dict[str, Any] = Field(default_factory=lambda: {"type": "object"}, alias="schema")


class SchemaFormat(RequestModel):
    type: Literal["json_schema"]
    json_schema: Schema


class ChatCompletionRequest(RequestModel):
    """The fields of POST /v1/chat/completions."""

    messages: list[Message] = Field(min_length=1, max_length=MAX_MESSAGES, fail_fast=True)
    model: Text = Field(default=GRAPH, description="A chat model of GET /v1/models; parley selects one by the input.")
    modalities: Annotated[list[Literal["text", "audio"]], Field(fail_fast=True, max_length=2)] | None = None
    audio: AudioOptions | None = Field(default=None, description="The voice, if modalities contain audio.")
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_completion_tokens: PositiveInt | None = None
    max_tokens: PositiveInt | None = Field(
        default=None, description="The older name of max_completion_tokens, which has precedence."
    )
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1, description="0 always selects the likeliest token.")
    stop: Annotated[
        Annotated[list[Annotated[Text, Field(min_length=1)]], Field(fail_fast=True, max_length=4)] | None,
        BeforeValidator(_as_list),
    ] = None
    seed: int | None = None
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    response_format: Annotated[TextFormat | JsonFormat | SchemaFormat, Field(discriminator="type")] | None = None
    n: Literal[1] | None = None
    logprobs: Unsupported = None
    top_logprobs: Unsupported = None
    logit_bias: Unsupported = None
    tools: Unsupported = None
    tool_choice: Unsupported = None
    functions: Unsupported = None
    function_call: Unsupported = None
    prediction: Unsupported = None
    web_search_options: Unsupported = None
    reasoning_effort: Unsupported = None
    store: Unsupported = None
    moderation: Unsupported = None
    parallel_tool_calls: Ignored = None
    service_tier: Ignored = None
    user: Ignored = None
    metadata: Ignored = None
    safety_identifier: Ignored = None
    prompt_cache_key: Ignored = None
    prompt_cache_options: Ignored = None
    prompt_cache_retention: Ignored = None
    verbosity: Ignored = None


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """A validated request: its turn, the stage of the named model (``None`` for parley), and the form of the answer."""

    turn: Turn
    stage: Stage | None
    model: str
    audio_format: AudioFormat
    stream: bool
    include_usage: bool


class CompletionReader:
    """Reads requests to POST /v1/chat/completions within the limits of ``config``."""

    def __init__(
        self,
        config: GatewayConfig,
        executor: CodecExecutor,
        sandbox: Sandbox,
        budget: ByteBudget,
        models: Models,
        fetcher: Fetcher,
    ) -> None:
        """``budget`` limits the bodies of all requests together."""
        self._config = config
        self._turns = TurnReader(config, sandbox)
        self._executor = executor
        self._budget = budget
        self._models = models
        self._fetcher = fetcher

    async def read(self, request: Request) -> CompletionRequest:
        """Fetch the request's pictures and decode its media. Raise types of ``deployments.errors``."""
        with self._budget.reservation() as reservation:
            data = await json_body(request, self._config.max_body_bytes, self._config.max_json_items, reservation)
            fields = await self._executor.parse(len(data), self._validated, data)
            stage = self._models.stage(fields.model, (Stage.LLM, Stage.VISION))
            pictures = await self._fetched(fields)
            return await self._completion(fields, stage, pictures, request_id(request))

    def _validated(self, data: bytes) -> ChatCompletionRequest:
        fields = validated(ChatCompletionRequest, read_json(data, self._config.max_json_items), PART_TAGS)
        _check_combinations(fields)
        kinds = Counter(part.type for _, part in _parts_of(fields))
        self._turns.check_counts(images=kinds["image_url"], recordings=kinds["input_audio"], param="messages")
        return fields

    async def _fetched(self, fields: ChatCompletionRequest) -> dict[str, bytes]:
        """Return the pictures that are given by URL; the first failure cancels the other fetches."""
        urls = {
            part.image_url.url: f"{param}.image_url.url"
            for param, part in _parts_of(fields)
            if isinstance(part, ImagePart) and isinstance(part.image_url.url, str)
        }
        try:
            async with asyncio.TaskGroup() as group:
                tasks = {url: group.create_task(self._fetcher.fetch(url, param)) for url, param in urls.items()}
        except* ParleyError as errors:
            raise errors.exceptions[0] from None
        return {url: task.result() for url, task in tasks.items()}

    async def _completion(
        self, fields: ChatCompletionRequest, stage: Stage | None, pictures: Mapping[str, bytes], turn_id: str
    ) -> CompletionRequest:
        """Decode the media of a validated request."""
        messages: list[TurnMessage] = []
        heard_s = 0.0
        for at, message in enumerate(fields.messages):
            messages.append(await self._message(message, f"messages.{at}", pictures, heard_s))
            heard_s += sum(audio.duration_s for audio in messages[-1].audio)
        voice = "audio" in (fields.modalities or ())
        audio = fields.audio or AudioOptions()
        turn = Turn(
            turn_id,
            self._turns.conversation(messages, param="messages"),
            Output.VOICE if voice else Output.TEXT,
            _options(fields),
            SpeakOptions(voice=self._models.voice(audio.voice)),
        )
        format_name = audio.format or ("pcm16" if fields.stream else "wav")
        return CompletionRequest(
            turn,
            stage,
            fields.model,
            AudioFormat(format_name.removesuffix("16")),
            bool(fields.stream),
            bool(fields.stream_options and fields.stream_options.include_usage),
        )

    async def _message(
        self, message: Message, param: str, pictures: Mapping[str, bytes], earlier_s: float
    ) -> TurnMessage:
        role: Role = "system" if message.role == "developer" else message.role
        audio: list[Audio] = []
        images = []
        for index, part in enumerate(message.content or ()):
            of_part = f"{param}.content.{index}"
            if isinstance(part, AudioPart):
                recording = await self._turns.audio(part.input_audio.data, f"{of_part}.input_audio", earlier_s)
                earlier_s += recording.duration_s
                audio.append(recording)
            elif isinstance(part, ImagePart):
                url = part.image_url.url
                data = pictures[url] if isinstance(url, str) else url
                images.append(await self._turns.image(data, f"{of_part}.image_url"))
        return TurnMessage(role, "\n".join(_texts(message, param)).strip(), tuple(audio), tuple(images))


def _parts_of(fields: ChatCompletionRequest) -> Iterator[tuple[str, Part]]:
    """Yield every part of every message with its location in the request."""
    for at, message in enumerate(fields.messages):
        for index, part in enumerate(message.content or ()):
            yield f"messages.{at}.content.{index}", part


def _check_combinations(fields: ChatCompletionRequest) -> None:
    """Raise ``InvalidRequest`` for fields that contradict each other."""
    voice = "audio" in (fields.modalities or ())
    if fields.audio is not None and not voice:
        raise InvalidRequest('"audio" needs modalities ["text", "audio"].', param="audio")
    if fields.modalities == []:
        raise InvalidRequest("\"modalities\" should hold 'text', or 'text' and 'audio'.", param="modalities")
    if fields.stream_options is not None and not fields.stream:
        raise InvalidRequest('"stream_options" needs "stream": true.', param="stream_options")
    if voice and fields.stream and fields.audio and fields.audio.format not in (None, "pcm16"):
        raise InvalidRequest("A stream has audio as pcm16; for other formats, leave out stream.", param="audio.format")
    if voice and isinstance(fields.response_format, JsonFormat | SchemaFormat):
        raise InvalidRequest(
            'JSON cannot be spoken. Send modalities ["text"], or leave out response_format.', param="response_format"
        )


def _options(fields: ChatCompletionRequest) -> ChatOptions:
    return ChatOptions(
        max_tokens=fields.max_completion_tokens or fields.max_tokens,
        temperature=fields.temperature,
        top_p=None if fields.top_p is None else max(fields.top_p, MIN_TOP_P),
        stop=tuple(fields.stop or ()),
        seed=None if fields.seed is None else fields.seed % 2**32,
        presence_penalty=fields.presence_penalty,
        frequency_penalty=fields.frequency_penalty,
        json_schema=_json_schema(fields),
    )


def _json_schema(fields: ChatCompletionRequest) -> JsonSchema | None:
    match fields.response_format:
        case JsonFormat():
            return JsonSchema({"type": "object"}, "response_format")
        case SchemaFormat(json_schema=schema):
            return JsonSchema(schema.schema_, "response_format.json_schema.schema")
    return None


def _texts(message: Message, param: str) -> Iterator[str]:
    for part in message.content or ():
        if isinstance(part, TextPart):
            yield part.text
        elif isinstance(part, RefusalPart):
            yield part.refusal
    if message.refusal:
        yield message.refusal
    if message.audio:
        yield audio_id.transcript(message.audio.id, time.time(), f"{param}.audio.id")
