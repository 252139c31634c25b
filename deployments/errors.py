"""The error tree. Only these types are raised across a deployment handle; they survive pickling.

The HTTP status, the machine-readable code and whether a client may retry stand on the class.
A message says what was wrong and what would be right.
"""

from __future__ import annotations

from typing import ClassVar


class ParleyError(Exception):
    """Base of all. ``param`` names the field at fault; ``retry_after_s`` is advice to the client."""

    status: ClassVar[int] = 500
    type: ClassVar[str] = "server_error"
    code: ClassVar[str] = "internal_error"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, param: str | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after_s = retry_after_s

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.message, self.param, self.retry_after_s)


def _rebuild(kind: type[ParleyError], message: str, param: str | None, retry_after_s: float | None) -> ParleyError:
    return kind(message, param=param, retry_after_s=retry_after_s)


class InvalidRequest(ParleyError):
    """The request cannot be understood as it stands."""

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


class NotFound(ParleyError):
    status = 404
    type = "not_found_error"
    code = "not_found"


class TooLarge(ParleyError):
    """Bytes, seconds or pixels over a limit of the settings."""

    status = 413
    type = "invalid_request_error"
    code = "too_large"


class UnsupportedMedia(ParleyError):
    """The content is of no kind that Parley reads."""

    status = 415
    type = "invalid_request_error"
    code = "unsupported_media"


class BrokenMedia(InvalidRequest):
    """The content is of a known kind but damaged."""

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
    retryable = True


class Overloaded(ParleyError):
    """Every place in a queue is taken."""

    status = 503
    type = "overloaded_error"
    code = "overloaded"
    retryable = True


class EngineUnavailable(ParleyError):
    """A replica died, is starting or failed; another attempt may find it well."""

    status = 503
    code = "engine_unavailable"
    retryable = True


class DeadlineExceeded(ParleyError):
    status = 504
    type = "timeout_error"
    code = "deadline_exceeded"
    retryable = True
