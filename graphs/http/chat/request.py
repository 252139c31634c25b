"""POST /chat: from a request to a turn. A form, JSON, and a raw body of one kind have the same meaning."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PositiveInt
from starlette.datastructures import UploadFile
from starlette.requests import ClientDisconnect, Request

from deployments.errors import InvalidRequest, MalformedBody, UnsupportedMedia
from deployments.messages import ChatOptions, Role, SpeakOptions, TranscribeOptions
from deployments.settings import LanguageCode
from graphs.http.body import (
    BoundedRequest,
    Media,
    RequestModel,
    Text,
    content_type,
    read_form,
    read_json,
    request_id,
    validated,
)
from graphs.http.chat.accept import Form, negotiate
from graphs.http.executor import DecodeExecutor
from graphs.http.media.formats import Kind, kind_of
from graphs.http.turns import TurnReader
from graphs.pipeline.turn import Output, Turn, TurnMessage
from graphs.settings import GatewayConfig

CONTENT_TYPES = "multipart/form-data, application/json, text/plain, audio/* or image/*"


def _as_list(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


def _json_in_form(value: Any) -> Any:
    """Parse a list, which is text in a form."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        raise ValueError('should be JSON such as [{"role": "user", "content": "Hi"}]') from None


class EarlierMessage(RequestModel):
    """An earlier message of the conversation."""

    role: Role
    content: Text


class ChatRequest(RequestModel):
    """The fields of POST /chat."""

    text: Text | None = Field(default=None, description="The prompt.")
    audio: Media | None = Field(default=None, description="A spoken prompt: WAV, FLAC, MP3, Ogg, WebM or M4A.")
    image: Annotated[list[Media], BeforeValidator(_as_list)] = Field(
        default_factory=list, description="Pictures: PNG, JPEG, WebP, GIF, or .npy of uint8 (H,W), (H,W,3), (H,W,4)."
    )
    output: Output | None = Field(default=None, description="The kind of answer. Overrides Accept.")
    system: Text | None = Field(default=None, description="A system prompt, in place of the service's own.")
    messages: Annotated[list[EarlierMessage], BeforeValidator(_json_in_form)] = Field(
        default_factory=list, description="The conversation so far, without the present message."
    )
    voice: Text | None = Field(default=None, description="A voice of the speech model.")
    language: LanguageCode | None = Field(default=None, description="The spoken language, as ISO 639-1, such as en.")
    max_tokens: PositiveInt | None = Field(default=None, description="Longest answer, in tokens.")
    temperature: float | None = Field(default=None, ge=0, le=2, description="0 always selects the likeliest token.")


class ChatReader:
    """Reads requests to POST /chat within the limits of ``config``."""

    def __init__(self, config: GatewayConfig, executor: DecodeExecutor) -> None:
        self._max_body_bytes = config.max_body_bytes
        self._turns = TurnReader(config)
        self._executor = executor

    async def read(self, request: Request) -> tuple[Turn, Form]:
        """Return the turn of a request and the form of its response. Raise types of ``deployments.errors``.

        A body above its limit is refused without being read to its end.
        """
        fields: dict[str, Any] = {}
        for name, value in request.query_params.multi_items():
            _set_once(fields, name, value)
        body = BoundedRequest(request, self._max_body_bytes)
        try:
            fields |= await self._read_body(body)
        except ClientDisconnect:
            raise MalformedBody("The body ended before it was complete.") from None
        run = self._executor.decode if fields.keys() & {"audio", "image"} else self._executor.parse
        accept = request.headers.get("accept", "*/*")
        return await run(body.received, self._turn, fields, request_id(request), accept)

    async def _read_body(self, request: BoundedRequest) -> dict[str, Any]:
        media_type = content_type(request)
        if media_type in ("multipart/form-data", "application/x-www-form-urlencoded"):  # the latter has no files
            return await self._read_form(request)
        data = await request.body()
        if media_type == "text/plain":
            return {"text": _text(data)}
        if not data:
            raise MalformedBody(f"The request has no body. Send {CONTENT_TYPES}.")
        if media_type == "application/json":
            return await self._executor.parse(len(data), read_json, data)
        if media_type.startswith(("audio/", "image/")):
            kind = kind_of(data) or Kind(media_type.partition("/")[0])
            return {kind.value: data}
        problem = f"{media_type} is not supported" if media_type else "is missing"
        raise UnsupportedMedia(f"Content-Type {problem}. Send {CONTENT_TYPES}.")

    async def _read_form(self, request: Request) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        images: list[Any] = []
        form = await read_form(request, self._max_body_bytes)
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

    def _turn(self, fields: Mapping[str, Any], turn_id: str, accept: str) -> tuple[Turn, Form]:
        """Validate the fields and decode base64 and media."""
        request = validated(ChatRequest, fields)
        output, form = negotiate(accept, request.output)
        self._turns.check_counts(images=len(request.image), recordings=request.audio is not None, param="image")
        system = [TurnMessage("system", request.system)] if request.system else []
        earlier = [TurnMessage(message.role, message.content) for message in request.messages]
        messages = self._turns.conversation((*system, *earlier, self._message(request)), param="text")
        turn = Turn(
            turn_id,
            messages,
            output,
            ChatOptions(max_tokens=request.max_tokens, temperature=request.temperature),
            SpeakOptions(voice=request.voice),
            TranscribeOptions(language=request.language),
        )
        return turn, form

    def _message(self, request: ChatRequest) -> TurnMessage:
        return TurnMessage(
            "user",
            (request.text or "").strip(),
            () if request.audio is None else (self._turns.audio(request.audio, "audio"),),
            tuple(self._turns.image(data, "image") for data in request.image),
        )


def _set_once(fields: dict[str, Any], name: str, value: Any) -> None:
    if name in fields:
        raise InvalidRequest(f"The field '{name}' was given more than once.", param=name)
    fields[name] = value


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise MalformedBody("The text is not UTF-8.", param="text") from None
