"""POST /v1/chat/completions, the way in: a request becomes a turn. What Parley does not do is refused by its name.

It knows neither who answers nor how; the way out is ``chat_answer``.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, PlainValidator, PositiveInt, WithJsonSchema, model_validator

from deployments.errors import InvalidRequest, NothingToAnswer, ParleyError, TooLarge
from deployments.messages import ChatOptions, Role, SpeakOptions
from deployments.settings import GatewayConfig
from graphs.pipeline.plan import Stage
from graphs.pipeline.turn import Output, Turn, TurnMessage
from graphs.http.body import Fields, Media, Text, decoded, read_json, validated
from graphs.http.media.encode import AudioFormat
from graphs.http.media.fetch import Fetcher
from graphs.http.executor import Lanes
from graphs.http.media.audio import decode_audio, decode_image
from graphs.http.openai.chat import audio_id
from graphs.http.openai.models import GRAPH, Catalogue
from deployments.engines.llama.grammar import ANY_OBJECT, grammar
from graphs.http.openai.voice import VoiceName, engine_voice

PART_TAGS = frozenset({"text", "input_audio", "image_url", "json_object", "json_schema", "refusal"})
MAX_MESSAGES = 1000
MAX_RECORDINGS = 64
MAX_URL_CHARS = 2048


def _parts(content: Any) -> Any:
    """Content that is a text alone is a list of one part."""
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _nothing(value: Any) -> Any:
    """What must be absent may be there as long as it is empty: clients write out their defaults."""
    if value not in (None, False, 0, [], {}, "none", "auto"):
        raise ValueError("is something that Parley does not do; leave it out")
    return None


def _data_or_address(url: Any) -> bytes | str:
    """A data: URI as its bytes, an address as it is."""
    if isinstance(url, str) and url[:5].lower() == "data:":
        data: bytes = decoded(url)
        return data
    if isinstance(url, str) and url[:8].lower().startswith(("https://", "http://")) and len(url) <= MAX_URL_CHARS:
        return url
    raise ValueError("should be a picture as data:image/png;base64,..., or its address")


Unsupported = Annotated[Any, BeforeValidator(_nothing), Field(description="Not done by Parley; may only be empty.")]
Label = Annotated[Any, Field(description="Taken and of no effect.")]


class TextPart(Fields):
    type: Literal["text"]
    text: Text


class Recording(Fields):
    data: Media
    format: Literal["wav", "mp3", "flac", "ogg", "opus", "webm", "m4a"] = Field(
        description="A hint; the content decides."
    )


class AudioPart(Fields):
    type: Literal["input_audio"]
    input_audio: Recording


class Picture(Fields):
    url: Annotated[bytes | str, PlainValidator(_data_or_address), WithJsonSchema({"type": "string"})] = Field(
        description="A data: URI; or the address of a picture, of a host in picture_hosts."
    )
    detail: Literal["auto", "low", "high"] = Field(default="auto", description="Of no effect: all is looked at.")


class ImagePart(Fields):
    type: Literal["image_url"]
    image_url: Picture


class RefusalPart(Fields):
    type: Literal["refusal"]
    refusal: Text


Part = Annotated[TextPart | AudioPart | ImagePart | RefusalPart, Field(discriminator="type")]


class Spoken(Fields):
    """An answer's sound, given back."""

    id: Text
    data: Any = Field(default=None, description="Of no effect, as are the next two: the id says it all.")
    expires_at: Any = None
    transcript: Any = None


class Message(Fields):
    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[list[Part] | None, BeforeValidator(_parts)] = None
    audio: Spoken | None = Field(default=None, description="Of an assistant: a spoken answer, by its id.")
    refusal: Text | None = None
    annotations: Unsupported = None
    function_call: Unsupported = None
    tool_calls: Unsupported = None

    @model_validator(mode="after")
    def _has_what_its_role_has(self) -> Self:
        kinds = {part.type for part in self.content or ()}
        if self.role != "user" and kinds & {"input_audio", "image_url"}:
            raise ValueError("holds sound or a picture, which only a user's message can")
        if self.audio and self.role != "assistant":
            raise ValueError("has audio beside its content, which only an assistant's message can")
        if self.content is None and self.audio is None and self.refusal is None:
            raise ValueError("should have content")
        return self


class AudioAnswer(Fields):
    voice: VoiceName = None
    format: Literal["wav", "mp3", "flac", "opus", "aac", "pcm16"] | None = Field(
        default=None, description="wav when left out; pcm16 in a stream, which takes no other."
    )


class StreamOptions(Fields):
    include_usage: bool = False
    include_obfuscation: Label = None


class TextFormat(Fields):
    type: Literal["text"]


class JsonFormat(Fields):
    type: Literal["json_object"]


class Schema(Fields):
    name: Text = ""
    description: Text | None = None
    strict: Label = None
    schema_: dict[str, Any] = Field(default_factory=lambda: {"type": "object"}, alias="schema")


class SchemaFormat(Fields):
    type: Literal["json_schema"]
    json_schema: Schema


class ChatCompletionRequest(Fields):
    """The fields of POST /v1/chat/completions."""

    messages: list[Message] = Field(min_length=1, max_length=MAX_MESSAGES)
    model: Text = Field(default=GRAPH, description="A chat model of GET /v1/models; parley lets the graph decide.")
    modalities: list[Literal["text", "audio"]] | None = None
    audio: AudioAnswer | None = Field(default=None, description="The voice, when modalities ask for one.")
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_completion_tokens: PositiveInt | None = None
    max_tokens: PositiveInt | None = Field(default=None, description="The older name of max_completion_tokens.")
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    stop: Annotated[
        Annotated[list[Annotated[Text, Field(min_length=1)]], Field(max_length=4)] | None, BeforeValidator(_listed)
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
    parallel_tool_calls: Label = None
    service_tier: Label = None
    user: Label = None
    metadata: Label = None
    safety_identifier: Label = None
    prompt_cache_key: Label = None


@dataclass(frozen=True, slots=True)
class ChatAsked:
    """A chat request: its turn, who should think (``None``: as the graph decides), and how the answer is wanted."""

    turn: Turn
    stage: Stage | None
    model: str
    audio_format: AudioFormat
    stream: bool
    include_usage: bool


async def read_chat_completion(
    data: bytes, turn_id: str, limits: GatewayConfig, catalogue: Catalogue, fetcher: Fetcher, lanes: Lanes
) -> ChatAsked:
    """What a JSON body asks for, its pictures fetched and its media decoded. Raises types of ``deployments.errors``."""
    asked = await lanes.text(len(data), _validated, data, limits)
    stage = catalogue.stage(asked.model, (Stage.LLM, Stage.VISION))
    pictures = await _fetched(asked, fetcher)
    size_bytes = len(data) + sum(map(len, pictures.values()))
    aside = lanes.text if _is_plain(asked) else lanes.media
    return await aside(size_bytes, _decoded, asked, stage, pictures, turn_id, limits)


def _validated(data: bytes, limits: GatewayConfig) -> ChatCompletionRequest:
    asked = validated(ChatCompletionRequest, read_json(data), PART_TAGS)
    _require_whole(asked)
    _require_few(asked, limits)
    return asked


async def _fetched(asked: ChatCompletionRequest, fetcher: Fetcher) -> dict[str, bytes]:
    """The pictures that came as addresses, each by its address; the first that fails ends the others."""
    places = {
        part.image_url.url: f"{param}.image_url.url"
        for param, part in _parts_of(asked)
        if isinstance(part, ImagePart) and isinstance(part.image_url.url, str)
    }
    try:
        async with asyncio.TaskGroup() as group:
            tasks = {url: group.create_task(fetcher.fetch(url, param)) for url, param in places.items()}
    except* ParleyError as errors:
        raise errors.exceptions[0] from None
    return {url: task.result() for url, task in tasks.items()}


def _decoded(
    asked: ChatCompletionRequest,
    stage: Stage | None,
    pictures: Mapping[str, bytes],
    turn_id: str,
    limits: GatewayConfig,
) -> ChatAsked:
    """Everything that takes the processor: base64 and media."""
    messages = tuple(_message(message, at, pictures, limits) for at, message in enumerate(asked.messages))
    messages = (*messages[:-1], _with_question(messages[-1], limits))
    _require_within(messages, stage, limits)
    aloud = "audio" in (asked.modalities or ())
    audio = asked.audio or AudioAnswer()
    turn = Turn(
        turn_id,
        messages,
        Output.VOICE if aloud else Output.TEXT,
        _options(asked),
        SpeakOptions(voice=engine_voice(audio.voice, limits.voice_aliases)),
    )
    name = audio.format or ("pcm16" if asked.stream else "wav")
    return ChatAsked(
        turn,
        stage,
        asked.model,
        AudioFormat(name.removesuffix("16")),
        bool(asked.stream),
        bool(asked.stream_options and asked.stream_options.include_usage),
    )


def _parts_of(asked: ChatCompletionRequest) -> Iterator[tuple[str, Part]]:
    """Every part of every message, with its place in the request."""
    for at, message in enumerate(asked.messages):
        for index, part in enumerate(message.content or ()):
            yield f"messages.{at}.content.{index}", part


def _is_plain(asked: ChatCompletionRequest) -> bool:
    """Nothing but text, of which none has to be unpacked or made into a grammar."""
    return (
        asked.response_format is None
        and not any(message.audio for message in asked.messages)
        and not any(isinstance(part, AudioPart | ImagePart) for _, part in _parts_of(asked))
    )


def _require_whole(asked: ChatCompletionRequest) -> None:
    """Fields that only make sense together."""
    aloud = "audio" in (asked.modalities or ())
    if asked.audio is not None and not aloud:
        raise InvalidRequest('"audio" is for an answer with modalities ["text", "audio"].', param="audio")
    if asked.modalities == []:
        raise InvalidRequest("\"modalities\" should hold 'text', or 'text' and 'audio'.", param="modalities")
    if asked.stream_options is not None and not asked.stream:
        raise InvalidRequest('"stream_options" is for an answer with "stream": true.', param="stream_options")
    if aloud and asked.stream and asked.audio and asked.audio.format not in (None, "pcm16"):
        raise InvalidRequest("A streamed voice comes as pcm16; the other formats come whole.", param="audio.format")
    if aloud and isinstance(asked.response_format, JsonFormat | SchemaFormat):
        raise InvalidRequest("JSON is not read aloud; leave out one of the two.", param="response_format")
    longest = {asked.max_tokens, asked.max_completion_tokens} - {None}
    if len(longest) > 1:
        raise InvalidRequest(
            '"max_tokens" is the older name of "max_completion_tokens"; send one of them.', param="max_tokens"
        )


def _require_few(asked: ChatCompletionRequest, limits: GatewayConfig) -> None:
    """Counted before any picture is fetched and any medium is decoded."""
    kinds = Counter(part.type for _, part in _parts_of(asked))
    if kinds["image_url"] > limits.max_images:
        raise InvalidRequest(
            f"{kinds['image_url']} pictures came; at most {limits.max_images} are looked at.", param="messages"
        )
    if kinds["input_audio"] > MAX_RECORDINGS:
        raise InvalidRequest(
            f"{kinds['input_audio']} recordings came; at most {MAX_RECORDINGS} are heard.", param="messages"
        )


def _options(asked: ChatCompletionRequest) -> ChatOptions:
    return ChatOptions(
        max_tokens=asked.max_completion_tokens or asked.max_tokens,
        temperature=asked.temperature,
        top_p=asked.top_p,
        stop=tuple(asked.stop or ()),
        seed=None if asked.seed is None else asked.seed % 2**32,
        presence_penalty=asked.presence_penalty,
        frequency_penalty=asked.frequency_penalty,
        grammar=_grammar(asked),
    )


def _grammar(asked: ChatCompletionRequest) -> str | None:
    match asked.response_format:
        case JsonFormat():
            return ANY_OBJECT
        case SchemaFormat(json_schema=schema):
            return grammar(schema.schema_, "response_format.json_schema.schema")
    return None


def _message(message: Message, at: int, pictures: Mapping[str, bytes], limits: GatewayConfig) -> TurnMessage:
    role: Role = "system" if message.role == "developer" else message.role
    audio, images = [], []
    for index, part in enumerate(message.content or ()):
        param = f"messages.{at}.content.{index}"
        if isinstance(part, AudioPart):
            audio.append(decode_audio(part.input_audio.data, max_s=limits.max_audio_s, param=f"{param}.input_audio"))
        elif isinstance(part, ImagePart):
            url = part.image_url.url
            images.append(
                decode_image(
                    pictures[url] if isinstance(url, str) else url,
                    max_pixels=limits.max_image_pixels,
                    side_px=limits.image_side_px,
                    param=f"{param}.image_url",
                )
            )
    return TurnMessage(role, "\n".join(_texts(message, at)).strip(), tuple(audio), tuple(images))


def _texts(message: Message, at: int) -> Iterator[str]:
    for part in message.content or ():
        if isinstance(part, TextPart):
            yield part.text
        elif isinstance(part, RefusalPart):
            yield part.refusal
    if message.refusal:
        yield message.refusal
    if message.audio:
        yield audio_id.transcript(message.audio.id, time.time(), f"messages.{at}.audio.id")


def _with_question(last: TurnMessage, limits: GatewayConfig) -> TurnMessage:
    """The message to be answered; of a picture that comes without a word it is asked what is to be seen."""
    if last.text or last.audio:
        return last
    if not last.images:
        raise NothingToAnswer("The last message is empty. Write or say something, or show a picture.", param="messages")
    return TurnMessage(last.role, limits.image_prompt, last.audio, last.images)


def _require_within(messages: tuple[TurnMessage, ...], stage: Stage | None, limits: GatewayConfig) -> None:
    if stage is Stage.LLM and any(message.images for message in messages):
        raise InvalidRequest("This model reads no pictures. Name the vision model, or parley.", param="model")
    for message in messages:
        if len(message.text) > limits.max_text_chars:
            raise TooLarge(
                f"A message has {len(message.text):,} characters; at most {limits.max_text_chars:,} are taken.",
                param="messages",
            )
