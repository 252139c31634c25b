"""Errors to HTTP answers, in one place and one shape: ``{"error": {"message", "type", "param", "code"}}``.

Knows no route. The request's id is added to every answer by Ray Serve's proxy (X-Request-Id).
"""

from __future__ import annotations

import logging
import math
from typing import Any

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from deployments.errors import MalformedBody, NotFound, ParleyError
from deployments.metrics import REFUSALS

ALWAYS_SAY_WHEN = (429, 503)  # Retry-After is part of these, whoever raised them

logger = logging.getLogger("ray.serve")


class MethodNotAllowed(ParleyError):
    """The path exists, but not for this method."""

    status = 405
    type = "invalid_request_error"
    code = "method_not_allowed"


class InternalError(ParleyError):
    """A fault of ours; the log has the traceback."""


def shape(error: ParleyError) -> dict[str, Any]:
    """The body of an error, wherever it is sent: as an answer, or as an event of a stream."""
    return {"error": {"message": error.message, "type": error.type, "param": error.param, "code": error.code}}


def answer(error: ParleyError) -> JSONResponse:
    """The HTTP answer to an error, which is counted."""
    REFUSALS.record(1, reason=error.code)
    return in_words(error)


def in_words(error: ParleyError) -> JSONResponse:
    """What a client is told of an error."""
    headers = {}
    if error.retry_after_s is not None or error.status in ALWAYS_SAY_WHEN:
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after_s or 0)))
    return JSONResponse(shape(error), status_code=error.status, headers=headers)


def as_parley(error: Exception) -> ParleyError:
    """Any exception as one that a client can read; one of ours stays as it is, others are logged."""
    if isinstance(error, ParleyError):
        return error
    logger.error("an answer failed", exc_info=error)
    return InternalError("Parley failed on this request; its log says why.")


def install(app: FastAPI) -> None:
    """Answer every exception of ``app`` in the one shape."""
    app.add_exception_handler(ParleyError, _parley)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _parley)


async def _parley(_: Request, error: Exception) -> JSONResponse:
    return answer(as_parley(error))


async def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    if error.status_code == NotFound.status:
        return answer(NotFound(f"There is nothing at {request.url.path}. GET /docs lists what there is."))
    if error.status_code == MethodNotAllowed.status:
        allowed = (error.headers or {}).get("allow", "another method")
        response = answer(MethodNotAllowed(f"{request.url.path} does not take {request.method}; it takes {allowed}."))
        response.headers["Allow"] = allowed
        return response
    return answer(MalformedBody(str(error.detail)))
