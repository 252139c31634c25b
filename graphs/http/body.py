"""Request bodies: read under a size limit, parsed, and validated with typed errors. The same for all routes."""

from __future__ import annotations

import binascii
import json
import re
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, TypeVar
from urllib.parse import parse_qsl
from uuid import uuid4

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.types import Message

from deployments.errors import InvalidRequest, MalformedBody, Overloaded, TooLarge, UnknownField, UnsupportedMedia
from graphs.http.auth import KEY
from graphs.http.budget import Reservation

MAX_FIELDS = 32
DISK_RETRY_AFTER_S = 60
REQUEST_ID = "x-request-id"

MAX_TEXT_CHARS = 1_000_000  # of one string; the settings have lower limits for what a model reads
MAX_NAME_CHARS = 200

_PIECE_CHARS = 65_536  # of a body that are processed at a time
_UNKNOWN_FIELD = "unknown_field"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_DATA_URI = re.compile(r"data:[^,]{0,200};base64,", re.IGNORECASE)

M = TypeVar("M", bound=BaseModel)


class RequestModel(BaseModel):
    """Base of the models of requests: strict and immutable. ``null`` is the same as leaving an optional field out."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _known_fields(cls, data: Any) -> Any:
        """Raise one error for the first unknown field: pydantic would collect one, of 3 kB, for each."""
        if not isinstance(data, dict):
            return data
        fields = {field.alias or name: field for name, field in cls.model_fields.items()}
        for name in data:
            if name not in fields:
                raise PydanticCustomError(_UNKNOWN_FIELD, "{name}", {"name": _printable(name)[:MAX_NAME_CHARS]})
        return {name: value for name, value in data.items() if value is not None or fields[name].is_required()}


def _printable(name: Any) -> str:
    return str(name).encode(errors="backslashreplace").decode()


def decoded(value: Any) -> Any:
    """Decode base64, bare or in a data URI; return bytes unchanged. Raise ``ValueError``."""
    if not isinstance(value, str):
        return value
    uri = _DATA_URI.match(value)
    try:
        data = b"".join(_base64(value, uri.end() if uri else 0))
    except ValueError:
        raise ValueError("should be base64, bare or as data:...;base64,...; URLs are not fetched") from None
    if not data:
        raise ValueError("should contain data in base64, and is empty")
    return data


def _base64(text: str, start: int) -> Iterator[bytes]:
    """Decode base64 with white space, in pieces: one call for all would keep other threads waiting, as it has the GIL.

    Raise ``ValueError``.
    """
    rest = ""
    for at in range(start, len(text), _PIECE_CHARS):
        piece = rest + "".join(text[at : at + _PIECE_CHARS].split())
        end = max(0, len(piece) - 4) // 4 * 4  # the last characters, which may be padding, stay for the end
        rest = piece[end:]
        if "=" in piece[:end]:
            raise ValueError("data after the padding")
        yield binascii.a2b_base64(piece[:end], strict_mode=True)
        time.sleep(0)  # releases the GIL: else the event loop waits 5 ms for it, many times for one request
    yield binascii.a2b_base64(rest, strict_mode=True)


def _encodable(text: str) -> str:
    """Refuse lone surrogates, which JSON can contain and UTF-8 cannot encode."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("should be valid Unicode, without a lone surrogate") from None
    return text


Text = Annotated[str, Field(max_length=MAX_TEXT_CHARS), AfterValidator(_encodable)]
Name = Annotated[Text, Field(max_length=MAX_NAME_CHARS)]
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
    except UnicodeEncodeError:  # from pydantic, where a message would contain the value
        raise InvalidRequest("The request contains a lone surrogate, which is not valid Unicode.") from None
    location = _without_tags(first["loc"], tags)
    name = ".".join(map(str, location))
    if first["type"] == _UNKNOWN_FIELD:
        known = f" Fields: {', '.join(model.model_fields)}." if not location else ""
        name = f"{name}.{first['msg']}" if location else first["msg"]
        raise UnknownField(f"There is no field '{name}'.{known}", param=name)
    message = "should be an object" if first["type"] == "model_type" else first["msg"]  # pydantic's names the class
    message = message.removeprefix("Value error, ").removeprefix("Input ")
    raise InvalidRequest(f"The field '{name}' {message}.", param=name or None)


def _without_tags(location: Iterable[int | str], tags: frozenset[str]) -> list[int | str]:
    """Return the location without tags; after a tag, a part of the same name is a field."""
    parts: list[int | str] = []
    after_tag = False
    for part in location:
        after_tag = part in tags and not after_tag
        if not after_tag:
            parts.append(part)
    return parts


class BoundedRequest(Request):
    """A request of at most ``max_bytes``, whose body counts in ``reservation``. ``received`` counts the bytes read.

    Reading raises ``TooLarge`` above the limit, ``Overloaded`` where all requests together exceed theirs, and
    ``RateLimited`` where those of the same API key do. With ``min_free_disk_bytes`` the body is for the disk:
    ``Overloaded`` is raised where less would be left on it.
    """

    def __init__(
        self, request: Request, max_bytes: int, reservation: Reservation, min_free_disk_bytes: int = 0
    ) -> None:
        super().__init__(request.scope, self._receive_counted)
        self.received = 0
        self._inner = request.receive
        self._max_bytes = max_bytes
        self._reservation = reservation
        reservation.key = request.scope.get(KEY)
        self._min_free_disk_bytes = min_free_disk_bytes
        length = request.headers.get("content-length", "0")
        if length.isdecimal():
            self._require_within(int(length))
            self._require_disk(int(length), int(length))

    async def _receive_counted(self) -> Message:
        message = await self._inner()
        size_bytes = len(message.get("body", b""))
        self.received += size_bytes
        self._require_within(self.received)
        self._reservation.add(size_bytes)
        self._require_disk(size_bytes, self.received)
        return message

    def _require_within(self, size_bytes: int) -> None:
        if size_bytes > self._max_bytes:
            raise TooLarge(f"The request is larger than {self._max_bytes:,} bytes, the limit.")

    def _require_disk(self, size_bytes: int, total_bytes: int) -> None:
        """Check the disk before each piece of the body, so that concurrent uploads together leave enough.

        A body below the parser's limit stays in memory.
        """
        if self._min_free_disk_bytes and total_bytes > MultiPartParser.spool_max_size:
            free_bytes = shutil.disk_usage(tempfile.gettempdir()).free
            if free_bytes < size_bytes + self._min_free_disk_bytes:
                raise _disk_is_full()


def request_id(request: HTTPConnection) -> str:
    """Return the request's id, which the client or Ray Serve's proxy has set; a new one if that is not valid."""
    given = request.headers.get(REQUEST_ID, "")
    return given if _REQUEST_ID.fullmatch(given) else uuid4().hex


def content_type(request: Request) -> str:
    """Return the media type of the body without parameters; empty if the header is missing."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def json_body(request: Request, max_bytes: int, max_items: int, reservation: Reservation) -> bytes:
    """Return the bytes of a JSON body. Raise ``UnsupportedMedia``, ``TooLarge`` or ``MalformedBody``."""
    if content_type(request) != "application/json":
        raise UnsupportedMedia(f"{request.url.path} accepts application/json; set it as Content-Type.")
    try:
        data = await read_json_body(BoundedRequest(request, max_bytes, reservation), max_items)
    except ClientDisconnect:
        raise MalformedBody("The body ended before it was complete.") from None
    if not data:
        raise MalformedBody("The request has no body. Send JSON.")
    return data


async def read_json_body(request: BoundedRequest, max_items: int) -> bytes:
    """Return the bytes of a JSON body. Raise ``TooLarge`` as soon as ``max_items`` are exceeded.

    The rest is then not read: the proxy would copy it to this process piece by piece, which delays all requests.
    """
    pieces: list[bytes] = []
    items = _JsonItems(max_items)
    async for piece in request.stream():
        pieces.append(piece)
        if json.detect_encoding(pieces[0]).startswith("utf-8"):  # others are counted when they are decoded
            items.add(piece)
    return b"".join(pieces)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def read_json(data: bytes, max_items: int) -> dict[str, Any]:
    """Parse the JSON object of a body; see ``parse_json`` for what it raises."""
    try:
        fields = parse_json(data.decode(json.detect_encoding(data), "surrogatepass"), max_items)
    except UnicodeDecodeError:
        raise MalformedBody("The JSON is not UTF-8.") from None
    if not isinstance(fields, dict):
        raise MalformedBody('The JSON should be an object such as {"text": "Hello"}.')
    return fields


def parse_json(text: str, max_items: int) -> Any:
    """Parse JSON. Raise ``MalformedBody``, or ``TooLarge`` for more than ``max_items`` separators."""
    items = _JsonItems(max_items)
    for start in range(0, len(text), _PIECE_CHARS):
        items.add(text[start : start + _PIECE_CHARS].encode(errors="surrogatepass"))
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise MalformedBody(f"The JSON is broken: {error.msg} at line {error.lineno}, column {error.colno}.") from None
    except (ValueError, RecursionError):
        raise MalformedBody(
            "The JSON is nested too deeply, or contains NaN, an infinity, or a number that is too long."
        ) from None


class _JsonItems:
    """Counts the separators of JSON in UTF-8 while its pieces arrive.

    Commas, colons and opening brackets outside of strings bound the number of values, each of which takes up to 100
    times its characters. Valid JSON has one between two strings, so that strings are counted as well.
    """

    def __init__(self, max_items: int) -> None:
        self._max_items = max_items
        self._separators = 0
        self._quotes = 0
        self._rest = b""  # a backslash whose next character has not arrived

    def add(self, piece: bytes) -> None:
        """Count in the next piece. Raise ``TooLarge`` above the limit."""
        piece = self._rest + piece
        if self._quotes % 2 and b'"' not in piece and b"\\" not in piece:  # inside of a string, such as base64
            self._rest = b""
            return
        backslashes = len(piece) - len(piece.rstrip(b"\\"))
        self._rest = piece[-1:] if backslashes % 2 else b""
        stretches = piece.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')
        outside = b"".join(stretches[self._quotes % 2 :: 2])
        self._quotes += len(stretches) - 1
        self._separators += sum(map(outside.count, (b",", b":", b"[", b"{")))
        if max(self._separators, self._quotes // 2 - 1) > self._max_items:
            raise TooLarge(f"The JSON has more than {self._max_items:,} commas, colons and brackets, the limit.")


def read_urlencoded(data: bytes) -> list[tuple[str, str]]:
    """Parse a form of type application/x-www-form-urlencoded. Raise ``MalformedBody``."""
    try:
        return parse_qsl(data.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict")
    except ValueError:
        raise MalformedBody(f"The form is not UTF-8, or has more than {MAX_FIELDS} fields.") from None


async def read_form(request: BoundedRequest, max_field_bytes: int) -> FormData:
    """Read a form; larger files are spooled to disk, so close it after use.

    ``max_field_bytes`` limits each field that is not a file, as these are in memory. Raises ``MalformedBody``, and what
    reading ``request`` raises.
    """
    try:
        return await request.form(max_files=MAX_FIELDS, max_fields=MAX_FIELDS, max_part_size=max_field_bytes)
    except ClientDisconnect:
        raise MalformedBody("The body ended before it was complete.") from None
    except OSError:
        raise _disk_is_full() from None
    except (MultiPartException, HTTPException, KeyError) as error:
        reason = getattr(error, "message", None) or getattr(error, "detail", None) or "it has no boundary"
        raise MalformedBody(f"The form cannot be read: {reason}") from None


def _disk_is_full() -> Overloaded:
    return Overloaded("The disk has no room for this upload. Try again later.", retry_after_s=DISK_RETRY_AFTER_S)
