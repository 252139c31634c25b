"""The events that a client sends, from the text of a message to validated values.

A message is bounded before it is parsed. Base64 is decoded here, so that a large message can be parsed in a thread.
"""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, PrivateAttr, model_validator

from deployments.errors import InvalidRequest, MalformedBody, ParleyError, TooLarge
from graphs.http.body import Name, RequestModel, Text, decoded, parse_json, validated
from graphs.http.openai.parameters import Ignored, VoiceName
from graphs.http.openai.realtime.configuration import TAGS, Format, Generation

MAX_EVENT_ID_CHARS = 512
MAX_PARTS = 64  # of one item
MAX_INPUTS = 1000  # items of one response.create; the session has a lower limit
MAX_METADATA = 16
MAX_MS = 2**31 - 1

ITEM_TAGS = TAGS | {
    "input_text", "input_audio", "input_image", "output_text", "output_audio", "message", "item_reference",
}  # fmt: skip


class EventError(Exception):
    """What was wrong with a client's event, as the error event has it. ``event_id`` is the client's, if it gave one."""

    def __init__(self, error: ParleyError, *, event_id: str | None = None, code: str | None = None) -> None:
        super().__init__(error.message)
        self.type = error.type
        self.code = code or error.code
        self.message = error.message
        self.param = error.param
        self.event_id = event_id
        self.size = 0  # nothing of the message is kept


def _bytes(value: Any) -> Any:
    """Decode base64, which may be empty."""
    if not isinstance(value, str):
        raise ValueError("should be a string of base64")
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("should be audio in base64") from None


def _picture(value: Any) -> Any:
    """Decode a data: URI."""
    if not isinstance(value, str) or value[:5].lower() != "data:":
        raise ValueError("should be a picture as data:image/png;base64,...; URLs are not fetched")
    return decoded(value)


Base64 = Annotated[bytes, BeforeValidator(_bytes)]


class InputText(RequestModel):
    type: Literal["input_text"]
    text: Text


class InputAudio(RequestModel):
    """Audio in the session's input format, or the transcript of audio from before."""

    type: Literal["input_audio"]
    audio: Base64 | None = None
    transcript: Text | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.audio and self.transcript is None:
            raise ValueError("should have audio in base64, or a transcript")
        return self


class InputImage(RequestModel):
    type: Literal["input_image"]
    image_url: Annotated[bytes, BeforeValidator(_picture)]
    detail: Ignored = None


class OutputText(RequestModel):
    type: Literal["output_text"]
    text: Text


class OutputAudio(RequestModel):
    """An answer that was spoken before; only its transcript is used."""

    type: Literal["output_audio"]
    transcript: Text
    audio: Ignored = None


ContentPart = Annotated[
    InputText | InputAudio | InputImage | OutputText | OutputAudio, Field(discriminator="type")
]  # fmt: skip

_PARTS_OF_ROLE = {
    "system": {"input_text"},
    "user": {"input_text", "input_audio", "input_image"},
    "assistant": {"output_text", "output_audio"},
}


class MessageFields(RequestModel):
    """A message item, as a client creates it."""

    type: Literal["message"]
    role: Literal["system", "user", "assistant"]
    content: Annotated[list[ContentPart], Field(max_length=MAX_PARTS, fail_fast=True)]
    id: Annotated[Name, Field(min_length=1)] | None = None
    object: Ignored = None
    status: Ignored = None

    @model_validator(mode="after")
    def _content_fits_role(self) -> Self:
        allowed = _PARTS_OF_ROLE[self.role]
        for part in self.content:
            if part.type not in allowed:
                raise ValueError(
                    f"contains {part.type}; a {self.role} message can contain {', '.join(sorted(allowed))}"
                )
        if sum(part.type == "input_audio" for part in self.content) > 1:
            raise ValueError("contains several recordings; create an item for each")
        return self


def _message(value: Any) -> Any:
    """Refuse other items by their type, before their fields."""
    if isinstance(value, dict) and value.get("type") != "message":
        raise ValueError("should be of type message; functions and tools are not supported")
    return value


class ItemReference(RequestModel):
    """An item of the conversation, in the input of a response."""

    type: Literal["item_reference"]
    id: Name


class ClientEvent(RequestModel):
    """Base of all client events."""

    event_id: Annotated[Text, Field(max_length=MAX_EVENT_ID_CHARS)] | None = None
    _size: int = PrivateAttr(default=0)

    @property
    def size(self) -> int:
        """The length of the message, in bytes."""
        return self._size


class SessionUpdate(ClientEvent):
    """``session`` is validated when it is merged with the session's configuration."""

    type: Literal["session.update"]
    session: dict[str, Any]


class AudioAppend(ClientEvent):
    type: Literal["input_audio_buffer.append"]
    audio: Base64


class AudioCommit(ClientEvent):
    type: Literal["input_audio_buffer.commit"]


class AudioClear(ClientEvent):
    type: Literal["input_audio_buffer.clear"]


class OutputAudioClear(ClientEvent):
    type: Literal["output_audio_buffer.clear"]


class ItemCreate(ClientEvent):
    """``previous_item_id`` is the item before the new one; "root" is the beginning, and None the end."""

    type: Literal["conversation.item.create"]
    item: Annotated[MessageFields, BeforeValidator(_message)]
    previous_item_id: Name | None = None


class ItemRetrieve(ClientEvent):
    type: Literal["conversation.item.retrieve"]
    item_id: Name


class ItemTruncate(ClientEvent):
    type: Literal["conversation.item.truncate"]
    item_id: Name
    content_index: int = Field(ge=0, le=MAX_PARTS)
    audio_end_ms: int = Field(ge=0, le=MAX_MS)


class ItemDelete(ClientEvent):
    type: Literal["conversation.item.delete"]
    item_id: Name


def _few(value: Any) -> Any:
    """Refuse a large object before its entries are validated: for each invalid one there would be an error."""
    if isinstance(value, dict) and len(value) > MAX_METADATA:
        raise ValueError(f"should have at most {MAX_METADATA} entries")
    return value


Metadata = Annotated[
    dict[Annotated[Text, Field(max_length=64)], Annotated[Text, Field(max_length=512)]], BeforeValidator(_few)
]


class ResponseOutput(RequestModel):
    format: Format | None = None
    voice: VoiceName = None


class ResponseAudio(RequestModel):
    output: ResponseOutput = ResponseOutput()


class ResponseFields(Generation):
    """What one response does differently from the session.

    Its ``input`` replaces the conversation; with ``conversation`` "none" its answer does not become part of it.
    """

    conversation: Literal["auto", "none"] = "auto"
    input: (
        Annotated[
            list[Annotated[MessageFields | ItemReference, Field(discriminator="type")]],
            Field(max_length=MAX_INPUTS, fail_fast=True),
        ]
        | None
    ) = None
    metadata: Metadata | None = None
    audio: ResponseAudio = ResponseAudio()


class ResponseCreate(ClientEvent):
    type: Literal["response.create"]
    response: ResponseFields = ResponseFields()


class ResponseCancel(ClientEvent):
    type: Literal["response.cancel"]
    response_id: Name | None = None


_EVENTS: dict[str, type[ClientEvent]] = {
    "session.update": SessionUpdate,
    "input_audio_buffer.append": AudioAppend,
    "input_audio_buffer.commit": AudioCommit,
    "input_audio_buffer.clear": AudioClear,
    "output_audio_buffer.clear": OutputAudioClear,
    "conversation.item.create": ItemCreate,
    "conversation.item.retrieve": ItemRetrieve,
    "conversation.item.truncate": ItemTruncate,
    "conversation.item.delete": ItemDelete,
    "response.create": ResponseCreate,
    "response.cancel": ResponseCancel,
}


def parse(message: str | bytes, *, max_bytes: int, max_items: int) -> ClientEvent:
    """Return the event of a message of at most ``max_bytes``, whose JSON has at most ``max_items`` separators.

    Raises ``EventError``, and nothing else.
    """
    event_id, size = None, _size(message)
    try:
        if size > max_bytes:
            raise TooLarge(f"The event is larger than {max_bytes:,} bytes, the limit.")
        fields = _fields(message, max_items)
        event_id = _event_id(fields)
        model = _EVENTS.get(fields["type"]) if isinstance(fields.get("type"), str) else None
        if model is None:
            raise InvalidRequest(f"The event's type should be one of {', '.join(_EVENTS)}.", param="type")
        event = validated(model, fields, ITEM_TAGS)
        event._size = size
        return event
    except MalformedBody as error:
        raise EventError(error, code="malformed_event") from None
    except ParleyError as error:
        raise EventError(error, event_id=event_id) from None


def _size(message: str | bytes) -> int:
    """Return the bytes of a message."""
    if isinstance(message, bytes) or message.isascii():
        return len(message)
    return len(message.encode(errors="surrogatepass"))


def _fields(message: str | bytes, max_items: int) -> dict[str, Any]:
    if isinstance(message, bytes):
        try:
            message = message.decode()
        except UnicodeDecodeError:
            raise MalformedBody("The event is not UTF-8.") from None
    fields = parse_json(message, max_items)
    if not isinstance(fields, dict):
        raise MalformedBody('The event should be a JSON object such as {"type": "response.create"}.')
    return fields


def _event_id(fields: dict[str, Any]) -> str | None:
    """Return the client's id of the event where it is a valid one."""
    value = fields.get("event_id")
    if not isinstance(value, str) or len(value) > MAX_EVENT_ID_CHARS:
        return None
    try:
        value.encode()
    except UnicodeEncodeError:
        return None
    return value
