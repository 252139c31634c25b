"""The error types. Only these are raised across a deployment handle; they can be pickled.

A class has the HTTP status, the type and the code of OpenAI's error object. A message says what is wrong and what would
be right.
"""

from __future__ import annotations

from typing import ClassVar

MAX_CHARS = 1000  # of a message, and of the name of a field

_OMISSION = " ... "


class ParleyError(Exception):
    """Base class. ``param`` names the invalid field; ``retry_after_s`` becomes the header ``Retry-After``.

    Message and ``param`` may repeat what a client sent: they are cut to ``MAX_CHARS`` and made encodable.
    """

    status: ClassVar[int] = 500
    type: ClassVar[str] = "server_error"
    code: ClassVar[str] = "internal_error"

    def __init__(self, message: str, *, param: str | None = None, retry_after_s: float | None = None) -> None:
        self.message = _printable(message)
        super().__init__(self.message)
        self.param = None if param is None else _printable(param)
        self.retry_after_s = retry_after_s

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.message, self.param, self.retry_after_s)


def _printable(text: str) -> str:
    """Return ``text`` without lone surrogates, which no response can encode; its middle is left out if it is long."""
    return _cut(_cut(text).encode("utf-8", "backslashreplace").decode())


def _cut(text: str) -> str:
    half = (MAX_CHARS - len(_OMISSION)) // 2
    return text if len(text) <= MAX_CHARS else text[:half] + _OMISSION + text[-half:]


def _rebuild(kind: type[ParleyError], message: str, param: str | None, retry_after_s: float | None) -> ParleyError:
    return kind(message, param=param, retry_after_s=retry_after_s)


class InvalidRequest(ParleyError):
    """The request is invalid."""

    status = 400
    type = "invalid_request_error"
    code = "invalid_value"


class MalformedBody(InvalidRequest):
    code = "malformed_body"


class UnknownField(InvalidRequest):
    code = "unknown_field"


class ContextOverflow(InvalidRequest):
    """The conversation does not fit the model's context."""

    code = "context_length_exceeded"


class Unauthorized(ParleyError):
    status = 401
    type = "authentication_error"
    code = "invalid_api_key"


class BodyTimeout(ParleyError):
    """The body of the request arrives too slowly."""

    status = 408
    type = "timeout_error"
    code = "body_timeout"


class NotFound(ParleyError):
    status = 404
    type = "not_found_error"
    code = "not_found"


class TooLarge(ParleyError):
    """Bytes, seconds, characters or pixels exceed a limit of the settings."""

    status = 413
    type = "invalid_request_error"
    code = "too_large"


class UnsupportedMedia(ParleyError):
    """The content has no format that Parley decodes."""

    status = 415
    type = "invalid_request_error"
    code = "unsupported_media"


class BrokenMedia(InvalidRequest):
    """The content has a known format but is damaged."""

    code = "broken_media"


class NothingToAnswer(ParleyError):
    status = 422
    type = "invalid_request_error"
    code = "empty_prompt"


class NoSpeech(NothingToAnswer):
    code = "no_speech"


class RateLimited(ParleyError):
    status = 429
    type = "rate_limit_error"
    code = "rate_limited"


class Overloaded(ParleyError):
    """A limit of concurrent or queued requests is reached."""

    status = 503
    type = "overloaded_error"
    code = "overloaded"


class EngineUnavailable(ParleyError):
    """A replica failed, died or is starting; another attempt may succeed."""

    status = 503
    code = "engine_unavailable"


class DeadlineExceeded(ParleyError):
    status = 504
    type = "timeout_error"
    code = "deadline_exceeded"
