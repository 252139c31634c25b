"""Request bodies: read under a size limit, parsed, and validated with typed errors. The same for all routes."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar
from uuid import uuid4

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationError, WithJsonSchema
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from deployments.errors import InvalidRequest, MalformedBody, TooLarge, UnknownField, UnsupportedMedia

MAX_FIELDS = 32
REQUEST_ID = "x-request-id"

_DATA_URI = re.compile(r"data:[^,]{0,200};base64,", re.IGNORECASE)

M = TypeVar("M", bound=BaseModel)


class RequestModel(BaseModel):
    """Base of the models of requests: strict and immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def decoded(value: Any) -> Any:
    """Decode base64, bare or in a data URI; return bytes unchanged. Raise ``ValueError``."""
    if not isinstance(value, str):
        return value
    uri = _DATA_URI.match(value)
    try:
        return base64.b64decode("".join(value[uri.end() if uri else 0 :].split()), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("should be base64, bare or as data:...;base64,...; URLs are not fetched") from None


def _encodable(text: str) -> str:
    """Refuse lone surrogates, which JSON can contain and UTF-8 cannot encode."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("should be valid Unicode, without a lone surrogate") from None
    return text


Text = Annotated[str, AfterValidator(_encodable)]
Media = Annotated[bytes, BeforeValidator(decoded), WithJsonSchema({"type": "string", "format": "byte"})]


def validated(model: type[M], fields: Mapping[str, Any], tags: frozenset[str] = frozenset()) -> M:
    """Return ``fields`` as an instance of ``model``.

    Raises ``UnknownField`` or ``InvalidRequest`` with the field's name and what is valid. ``tags`` are discriminators
    of unions, which pydantic adds to an error's location although the request does not contain them.
    """
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
    location = first["loc"]
    name = ".".join(
        str(part)
        for previous, part in zip((None, *location), location, strict=False)
        if not (isinstance(previous, int) and part in tags)
    )
    if first["type"] == "extra_forbidden":
        known = f" Fields: {', '.join(model.model_fields)}." if len(location) == 1 else ""
        raise UnknownField(f"There is no field '{name}'.{known}", param=name)
    message = first["msg"].removeprefix("Value error, ").removeprefix("Input ")
    raise InvalidRequest(f"The field '{name}' {message}.", param=name or None)


class BoundedRequest(Request):
    """A request of at most ``max_bytes``: reading more raises ``TooLarge``. ``received`` counts the bytes read."""

    def __init__(self, request: Request, max_bytes: int) -> None:
        super().__init__(request.scope, self._receive_counted)
        self.received = 0
        self._inner = request.receive
        self._max_bytes = max_bytes
        length = request.headers.get("content-length", "0")
        if length.isdecimal():
            self._require_within(int(length))

    async def _receive_counted(self) -> Message:
        message = await self._inner()
        self.received += len(message.get("body", b""))
        self._require_within(self.received)
        return message

    def _require_within(self, size_bytes: int) -> None:
        if size_bytes > self._max_bytes:
            raise TooLarge(f"The request is larger than {self._max_bytes:,} bytes, the limit.")


def request_id(request: Request) -> str:
    """Return the request's id, which the client or Ray Serve's proxy has set."""
    return request.headers.get(REQUEST_ID) or uuid4().hex


def content_type(request: Request) -> str:
    """Return the media type of the body without parameters; empty if the header is missing."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def json_body(request: Request, max_bytes: int) -> bytes:
    """Return the bytes of a JSON body. Raise ``UnsupportedMedia``, ``TooLarge`` or ``MalformedBody``."""
    if content_type(request) != "application/json":
        raise UnsupportedMedia(f"{request.url.path} accepts application/json; set it as Content-Type.")
    try:
        data = await BoundedRequest(request, max_bytes).body()
    except ClientDisconnect:
        raise MalformedBody("The body ended before it was complete.") from None
    if not data:
        raise MalformedBody("The request has no body. Send JSON.")
    return data


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def read_json(data: bytes) -> dict[str, Any]:
    """Parse a JSON object. Raise ``MalformedBody``."""
    try:
        fields = json.loads(data, parse_constant=_refuse_constant)
    except UnicodeDecodeError:
        raise MalformedBody("The JSON is not UTF-8.") from None
    except json.JSONDecodeError as error:
        raise MalformedBody(f"The JSON is broken: {error.msg} at line {error.lineno}, column {error.colno}.") from None
    except (ValueError, RecursionError):
        raise MalformedBody(
            "The JSON is nested too deeply, or contains NaN, an infinity, or a number that is too long."
        ) from None
    if not isinstance(fields, dict):
        raise MalformedBody('The JSON should be an object such as {"text": "Hello"}.')
    return fields


async def read_form(request: Request, max_bytes: int) -> FormData:
    """Read a form; larger files are spooled to disk, so close it after use. Raise ``TooLarge`` or ``MalformedBody``."""
    try:
        return await BoundedRequest(request, max_bytes).form(
            max_files=MAX_FIELDS, max_fields=MAX_FIELDS, max_part_size=max_bytes
        )
    except ClientDisconnect:
        raise MalformedBody("The body ended before it was complete.") from None
    except (MultiPartException, HTTPException, KeyError) as error:
        reason = getattr(error, "message", None) or getattr(error, "detail", None) or "it has no boundary"
        raise MalformedBody(f"The form cannot be read: {reason}") from None
