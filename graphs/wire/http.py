"""POST /chat, the way in: three request forms with one meaning become a turn.

A form, JSON, or a raw body of one kind. Everything is bounded while it is read; media are decoded in a thread.
It knows neither who answers nor how; the way out is ``answers``.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Self
from uuid import uuid4

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PositiveInt,
    ValidationError,
    WithJsonSchema,
)
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from deployments.errors import (
    InvalidRequest,
    MalformedBody,
    NothingToAnswer,
    TooLarge,
    UnknownField,
    UnsupportedMedia,
)
from deployments.messages import Audio, ChatOptions, Image, Role, SpeakOptions
from deployments.settings import GatewayArgs, LanguageCode
from graphs.turn import Output, Turn, TurnMessage
from graphs.wire.accept import Form, negotiate
from graphs.wire.media import Kind, decode_audio, decode_image, kind_of

MAX_FIELDS = 32
CONTENT_TYPES = "multipart/form-data, application/json, text/plain, audio/* or image/*"

_DATA_URI = re.compile(r"data:[^,]{0,200};base64,", re.IGNORECASE)


def _bytes(value: Any) -> Any:
    """Base64, bare or as a data URI, to bytes; bytes stay as they are."""
    if not isinstance(value, str):
        return value
    uri = _DATA_URI.match(value)
    try:
        return base64.b64decode("".join(value[uri.end() if uri else 0 :].split()), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("should be base64, bare or as data:...;base64,...; addresses are not fetched") from None


def _listed(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


def _json_in_form(value: Any) -> Any:
    """In a form a list arrives as text."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        raise ValueError('should be JSON such as [{"role": "user", "content": "Hi"}]') from None


def _encodable(text: str) -> str:
    """JSON can hold halves of a character, which no model can read."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("should be whole characters of Unicode, not half of a surrogate pair") from None
    return text


Text = Annotated[str, AfterValidator(_encodable)]
Media = Annotated[bytes, BeforeValidator(_bytes), WithJsonSchema({"type": "string", "format": "byte"})]


class EarlierMessage(BaseModel):
    """A message said before."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    role: Role
    content: Text


class ChatRequest(BaseModel):
    """The fields of POST /chat, in whichever form they came."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: Text | None = Field(default=None, description="What is written.")
    audio: Media | None = Field(default=None, description="What is spoken: WAV, FLAC, MP3, Ogg, WebM or M4A.")
    image: Annotated[list[Media], BeforeValidator(_listed)] = Field(
        default_factory=list, description="Pictures: PNG, JPEG, WebP, GIF, or .npy of uint8 (H,W), (H,W,3), (H,W,4)."
    )
    output: Output | None = Field(default=None, description="What to answer with. Wins over Accept.")
    system: Text | None = Field(default=None, description="Who answers, and how; instead of the service's own prompt.")
    messages: Annotated[list[EarlierMessage], BeforeValidator(_json_in_form)] = Field(
        default_factory=list, description="The conversation so far, without the present message."
    )
    voice: Text | None = Field(default=None, description="A voice of the speech model.")
    language: LanguageCode | None = Field(default=None, description="What is spoken, as ISO 639-1, such as en.")
    max_tokens: PositiveInt | None = Field(default=None, description="Longest answer, in tokens.")
    temperature: float | None = Field(default=None, ge=0, le=2, description="0 always takes the likeliest token.")

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Self:
        """Raises ``UnknownField`` or ``InvalidRequest``, each with the field's name and what would be right."""
        try:
            return cls.model_validate(fields)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
        name = ".".join(map(str, first["loc"]))
        if first["type"] == "extra_forbidden":
            raise UnknownField(f"There is no field '{name}'. Fields: {', '.join(cls.model_fields)}.", param=name)
        message = first["msg"].removeprefix("Value error, ").removeprefix("Input ")
        raise InvalidRequest(f"The field '{name}' {message}.", param=name)


async def read_chat(request: Request, limits: GatewayArgs) -> tuple[Turn, Form]:
    """The turn that a request asks for, and the form in which its answer is wanted.

    Raises types of ``deployments.errors``; a body beyond its limit is refused without being read to its end.
    """
    fields: dict[str, Any] = {}
    for name, value in request.query_params.multi_items():
        _set_once(fields, name, value)
    try:
        fields |= await _read_body(_bounded(request, limits.max_body_bytes), limits)
    except ClientDisconnect:
        raise MalformedBody("The body ended before it was complete.") from None
    turn_id = request.headers.get("x-request-id") or uuid4().hex
    return await asyncio.to_thread(_decoded, fields, turn_id, request.headers.get("accept", "*/*"), limits)


def _bounded(request: Request, max_bytes: int) -> Request:
    """The same request; reading more than ``max_bytes`` of it raises ``TooLarge``."""
    refusal = TooLarge(f"The request is larger than {max_bytes:,} bytes, the most that is taken.")
    length = request.headers.get("content-length", "0")
    if length.isdecimal() and int(length) > max_bytes:
        raise refusal
    received = 0

    async def receive() -> Message:
        nonlocal received
        message = await request.receive()
        received += len(message.get("body", b""))
        if received > max_bytes:
            raise refusal
        return message

    return Request(request.scope, receive)


async def _read_body(request: Request, limits: GatewayArgs) -> dict[str, Any]:
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type in ("multipart/form-data", "application/x-www-form-urlencoded"):  # the latter cannot carry files
        return await _read_form(request, limits)
    data = await request.body()
    if content_type == "text/plain":
        return {"text": _text(data)}
    if not data:
        raise MalformedBody(f"The request has no body. Send {CONTENT_TYPES}.")
    if content_type == "application/json":
        return await asyncio.to_thread(_read_json, data)
    if content_type.startswith(("audio/", "image/")):
        kind = kind_of(data) or Kind(content_type.partition("/")[0])
        return {kind.value: data}
    raise UnsupportedMedia(f"Content-Type {content_type or 'is missing and'} is not read. Send {CONTENT_TYPES}.")


async def _read_form(request: Request, limits: GatewayArgs) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    images: list[Any] = []
    try:
        async with request.form(
            max_files=MAX_FIELDS, max_fields=MAX_FIELDS, max_part_size=limits.max_body_bytes
        ) as form:
            for name, part in form.multi_items():
                value = await part.read() if isinstance(part, UploadFile) else part
                if name == "image":
                    images.append(value)
                else:
                    _set_once(fields, name, value)
    except (MultiPartException, HTTPException, KeyError) as error:
        reason = getattr(error, "message", None) or getattr(error, "detail", None) or "it has no boundary"
        raise MalformedBody(f"The form cannot be read: {reason}") from None
    return fields | ({"image": images} if images else {})


def _set_once(fields: dict[str, Any], name: str, value: Any) -> None:
    if name in fields:
        raise InvalidRequest(f"The field '{name}' was given more than once.", param=name)
    fields[name] = value


def _read_json(data: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(data)
    except UnicodeDecodeError:
        raise MalformedBody("The JSON is not UTF-8.") from None
    except json.JSONDecodeError as error:
        raise MalformedBody(f"The JSON is broken: {error.msg} at line {error.lineno}, column {error.colno}.") from None
    except (ValueError, RecursionError):
        raise MalformedBody("The JSON is nested too deeply or holds a number that is too long.") from None
    if not isinstance(fields, dict):
        raise MalformedBody('The JSON should be an object such as {"text": "Hello"}.')
    return fields


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise MalformedBody("The text is not UTF-8.", param="text") from None


def _decoded(fields: Mapping[str, Any], turn_id: str, accept: str, limits: GatewayArgs) -> tuple[Turn, Form]:
    """Everything that takes the processor: validation, base64 and media."""
    asked = ChatRequest.of(fields)
    output, form = negotiate(accept, asked.output)
    earlier = [TurnMessage(message.role, message.content) for message in asked.messages]
    system = [TurnMessage("system", asked.system)] if asked.system else []
    messages = (*system, *earlier, _user_message(asked, limits))
    for message in messages:
        if len(message.text) > limits.max_text_chars:
            raise TooLarge(
                f"The text has {len(message.text):,} characters; at most {limits.max_text_chars:,} are taken.",
                param="text",
            )
    return (
        Turn(
            turn_id,
            messages,
            output,
            ChatOptions(max_tokens=asked.max_tokens, temperature=asked.temperature),
            SpeakOptions(voice=asked.voice),
            asked.language,
        ),
        form,
    )


def _user_message(asked: ChatRequest, limits: GatewayArgs) -> TurnMessage:
    text = (asked.text or "").strip()
    if len(asked.image) > limits.max_images:
        raise InvalidRequest(
            f"{len(asked.image)} pictures came; at most {limits.max_images} are looked at.", param="image"
        )
    if not text and asked.audio is None:
        if not asked.image:
            raise NothingToAnswer("There is nothing to answer. Send text, audio or image.", param="text")
        text = limits.image_prompt
    audio: tuple[Audio, ...] = ()
    if asked.audio is not None:
        audio = (decode_audio(asked.audio, max_s=limits.max_audio_s),)
    images: tuple[Image, ...] = tuple(
        decode_image(data, max_pixels=limits.max_image_pixels, side_px=limits.image_side_px) for data in asked.image
    )
    return TurnMessage("user", text, audio, images)
