"""POST /chat: from a request to a turn. A form, JSON, and a raw body of one kind have the same meaning."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PositiveInt
from starlette.datastructures import UploadFile
from starlette.requests import ClientDisconnect, Request

from deployments.errors import InvalidRequest, MalformedBody, UnsupportedMedia
from deployments.messages import ChatOptions, Role, SpeakOptions, TranscribeOptions
from graphs.http.body import (
    BoundedRequest,
    Media,
    Name,
    RequestModel,
    Text,
    content_type,
    parse_json,
    read_form,
    read_json,
    read_json_body,
    read_urlencoded,
    request_id,
    validated,
)
from graphs.http.budget import ByteBudget
from graphs.http.chat.accept import Form, negotiate
from graphs.http.executor import CodecExecutor
from graphs.http.language import SpokenLanguage
from graphs.http.media.formats import Kind, kind_of
from graphs.http.media.sandbox import Sandbox
from graphs.http.turns import TurnReader
from graphs.pipeline.turn import Output, Turn, TurnMessage
from graphs.settings import GatewayConfig

FORM = "multipart/form-data"
MAX_ITEMS = 1000  # of a list
CONTENT_TYPES = "multipart/form-data, application/json, text/plain, audio/* or image/*"


def _as_list(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


class EarlierMessage(RequestModel):
    """An earlier message of the conversation."""

    role: Role
    content: Text


Images = Annotated[list[Media], Field(fail_fast=True, max_length=MAX_ITEMS)]
EarlierMessages = Annotated[list[EarlierMessage], Field(fail_fast=True, max_length=MAX_ITEMS)]


class ChatRequest(RequestModel):
    """The fields of POST /chat."""

    text: Text | None = Field(default=None, description="The prompt.")
    audio: Media | None = Field(default=None, description="A spoken prompt: WAV, FLAC, MP3, AAC, Ogg, WebM or M4A.")
    image: Annotated[Images, BeforeValidator(_as_list)] = Field(
        default_factory=list,
        description="Pictures: PNG, JPEG, WebP, GIF, or .npy of uint8 (H,W), (H,W,3), (H,W,4).",
    )
    output: Output | None = Field(default=None, description="The kind of answer. Overrides Accept.")
    system: Text | None = Field(default=None, description="A system prompt, in place of the service's own.")
    messages: EarlierMessages = Field(
        default_factory=list, description="The conversation so far, without the present message."
    )
    voice: Name | None = Field(default=None, description="A voice of the speech model.")
    language: SpokenLanguage = None
    max_tokens: PositiveInt | None = Field(default=None, description="Longest answer, in tokens.")
    temperature: float | None = Field(default=None, ge=0, le=2, description="0 always selects the likeliest token.")


class ChatReader:
    """Reads requests to POST /chat within the limits of ``config``."""

    def __init__(self, config: GatewayConfig, executor: CodecExecutor, sandbox: Sandbox, budget: ByteBudget) -> None:
        """``budget`` limits the bodies of all requests together."""
        self._config = config
        self._budget = budget
        self._turns = TurnReader(config, sandbox)
        self._executor = executor

    async def read(self, request: Request) -> tuple[Turn, Form]:
        """Return the turn of a request and the form of its response. Raise types of ``deployments.errors``.

        A body above its limit is refused without being read to its end.
        """
        fields = _once_each(request.query_params.multi_items())
        with self._budget.reservation() as reservation:
            free_bytes = self._config.min_free_disk_bytes if content_type(request) == FORM else 0
            body = BoundedRequest(request, self._config.max_body_bytes, reservation, free_bytes)
            try:
                fields |= await self._read_body(body)
            except ClientDisconnect:
                raise MalformedBody("The body ended before it was complete.") from None
            asked = await self._executor.parse(body.received, self._validated, fields)
            return await self._turn(asked, request_id(request), request.headers.get("accept", "*/*"))

    def _validated(self, fields: dict[str, Any]) -> ChatRequest:
        messages = fields.get("messages")
        if isinstance(messages, str):  # in a form
            fields["messages"] = _parsed_messages(messages, self._config.max_json_items)
        return validated(ChatRequest, fields)

    async def _read_body(self, request: BoundedRequest) -> dict[str, Any]:
        media_type = content_type(request)
        if media_type == FORM:
            return await self._read_form(request)
        data = await self._read_data(request, media_type)
        if media_type == "application/x-www-form-urlencoded":
            return _once_each(_filled(await self._executor.parse(len(data), read_urlencoded, data)))
        if media_type == "text/plain":
            return {"text": _text(data)}
        if not data:
            raise MalformedBody(f"The request has no body. Send {CONTENT_TYPES}.")
        if media_type == "application/json":
            return await self._executor.parse(len(data), read_json, data, self._config.max_json_items)
        if media_type.startswith(("audio/", "image/")):
            kind = kind_of(data) or Kind(media_type.partition("/")[0])
            return {kind.value: data}
        problem = f"{media_type} is not supported" if media_type else "is missing"
        raise UnsupportedMedia(f"Content-Type {problem}. Send {CONTENT_TYPES}.")

    async def _read_data(self, request: BoundedRequest, media_type: str) -> bytes:
        if media_type == "application/json":
            return await read_json_body(request, self._config.max_json_items)
        return await request.body()

    async def _read_form(self, request: BoundedRequest) -> dict[str, Any]:
        form = await read_form(request, self._config.max_body_bytes)
        try:
            parts = [
                (name, await part.read() if isinstance(part, UploadFile) else part)
                for name, part in _filled(form.multi_items())
            ]
        finally:
            await form.close()
        return _once_each(parts)

    async def _turn(self, request: ChatRequest, turn_id: str, accept: str) -> tuple[Turn, Form]:
        """Decode the media of a validated request."""
        output, form = negotiate(accept, request.output)
        self._turns.check_counts(images=len(request.image), recordings=request.audio is not None, param="image")
        system = [TurnMessage("system", request.system)] if request.system else []
        earlier = [TurnMessage(message.role, message.content) for message in request.messages]
        messages = self._turns.conversation((*system, *earlier, await self._message(request)), param="text")
        turn = Turn(
            turn_id,
            messages,
            output,
            ChatOptions(max_tokens=request.max_tokens, temperature=request.temperature),
            SpeakOptions(voice=request.voice),
            TranscribeOptions(language=request.language),
        )
        return turn, form

    async def _message(self, request: ChatRequest) -> TurnMessage:
        audio = () if request.audio is None else (await self._turns.audio(request.audio, "audio"),)
        images = [await self._turns.image(data, "image") for data in request.image]
        return TurnMessage("user", (request.text or "").strip(), audio, tuple(images))


def _filled(items: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    """Yield the parts of a form without those that its user left empty, which browsers send as well.

    Browsers send a file input without a file as an empty file without a name. An unknown field that is empty remains,
    and is an error.
    """
    for name, value in items:
        is_filled = value.filename or value.size if isinstance(value, UploadFile) else value
        if is_filled or name not in ChatRequest.model_fields:
            yield name, value


def _once_each(items: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Return the fields by name; ``image`` as a list. Raise ``InvalidRequest`` for another one that is repeated."""
    fields: dict[str, Any] = {}
    for name, value in items:
        if name == "image":
            fields.setdefault(name, []).append(value)
        elif name in fields:
            raise InvalidRequest(f"The field '{name}' was given more than once.", param=name)
        else:
            fields[name] = value
    return fields


def _parsed_messages(text: str, max_items: int) -> Any:
    try:
        return parse_json(text, max_items)
    except MalformedBody:
        raise InvalidRequest(
            'The field \'messages\' should be JSON such as [{"role": "user", "content": "Hi"}].', param="messages"
        ) from None


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise MalformedBody("The text is not UTF-8.", param="text") from None
