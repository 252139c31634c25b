"""POST /chat, the way in: three request forms with one meaning become a turn.

A form, JSON, or a raw body of one kind. Everything is bounded while it is read; media are decoded in a thread.
It knows neither who answers nor how; the way out is ``answers``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PositiveInt
from starlette.datastructures import UploadFile
from starlette.requests import ClientDisconnect, Request

from deployments.errors import InvalidRequest, MalformedBody, NothingToAnswer, TooLarge, UnsupportedMedia
from deployments.messages import Audio, ChatOptions, Image, Role, SpeakOptions
from deployments.settings import GatewayConfig, LanguageCode
from graphs.pipeline.turn import Output, Turn, TurnMessage
from graphs.http.chat.accept import Form, negotiate
from graphs.http.body import Bounded, Fields, Media, Text, content_type, read_form, read_json, request_id, validated
from graphs.http.executor import Lanes
from graphs.http.media.audio import Kind, decode_audio, decode_image, kind_of

CONTENT_TYPES = "multipart/form-data, application/json, text/plain, audio/* or image/*"


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


class EarlierMessage(Fields):
    """A message said before."""

    role: Role
    content: Text


class ChatRequest(Fields):
    """The fields of POST /chat, in whichever form they came."""

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


async def read_chat(request: Request, limits: GatewayConfig, lanes: Lanes) -> tuple[Turn, Form]:
    """The turn that a request asks for, and the form in which its answer is wanted.

    Raises types of ``deployments.errors``; a body beyond its limit is refused without being read to its end.
    """
    fields: dict[str, Any] = {}
    for name, value in request.query_params.multi_items():
        _set_once(fields, name, value)
    try:
        body = Bounded(request, limits.max_body_bytes)
        fields |= await _read_body(body, limits, lanes)
    except ClientDisconnect:
        raise MalformedBody("The body ended before it was complete.") from None
    aside = lanes.media if fields.keys() & {"audio", "image"} else lanes.text
    accept = request.headers.get("accept", "*/*")
    return await aside(body.received, _decoded, fields, request_id(request), accept, limits)


async def _read_body(request: Bounded, limits: GatewayConfig, lanes: Lanes) -> dict[str, Any]:
    kind_sent = content_type(request)
    if kind_sent in ("multipart/form-data", "application/x-www-form-urlencoded"):  # the latter cannot carry files
        return await _read_form(request, limits)
    data = await request.body()
    if kind_sent == "text/plain":
        return {"text": _text(data)}
    if not data:
        raise MalformedBody(f"The request has no body. Send {CONTENT_TYPES}.")
    if kind_sent == "application/json":
        return await lanes.text(len(data), read_json, data)
    if kind_sent.startswith(("audio/", "image/")):
        kind = kind_of(data) or Kind(kind_sent.partition("/")[0])
        return {kind.value: data}
    raise UnsupportedMedia(f"Content-Type {kind_sent or 'is missing and'} is not read. Send {CONTENT_TYPES}.")


async def _read_form(request: Request, limits: GatewayConfig) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    images: list[Any] = []
    form = await read_form(request, limits.max_body_bytes)
    try:
        for name, part in form.multi_items():
            value = await part.read() if isinstance(part, UploadFile) else part
            if name == "image":
                images.append(value)
            else:
                _set_once(fields, name, value)
    finally:
        await form.close()
    return fields | ({"image": images} if images else {})


def _set_once(fields: dict[str, Any], name: str, value: Any) -> None:
    if name in fields:
        raise InvalidRequest(f"The field '{name}' was given more than once.", param=name)
    fields[name] = value


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise MalformedBody("The text is not UTF-8.", param="text") from None


def _decoded(fields: Mapping[str, Any], turn_id: str, accept: str, limits: GatewayConfig) -> tuple[Turn, Form]:
    """Everything that takes the processor: validation, base64 and media."""
    asked = validated(ChatRequest, fields)
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


def _user_message(asked: ChatRequest, limits: GatewayConfig) -> TurnMessage:
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
