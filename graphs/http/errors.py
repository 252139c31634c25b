"""Errors as HTTP responses, all with the body of OpenAI's API: ``{"error": {"message", "type", "param", "code"}}``.

Ray Serve's proxy adds the header X-Request-Id to every response.
"""

from __future__ import annotations

import logging
import math
from typing import Any

from fastapi import FastAPI, Request
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from deployments.errors import MalformedBody, NotFound, ParleyError
from deployments.metrics import REFUSALS

WITH_RETRY_AFTER = (429, 503)  # statuses that always have the header

logger = logging.getLogger("ray.serve")


class MethodNotAllowed(ParleyError):
    """The path exists, but not for this method."""

    status = 405
    type = "invalid_request_error"
    code = "method_not_allowed"


class InternalError(ParleyError):
    """A bug in Parley; the log has the traceback."""


def body(error: ParleyError) -> dict[str, Any]:
    """Return the body of an error, for a response or for a message of a stream."""
    return {"error": {"message": error.message, "type": error.type, "param": error.param, "code": error.code}}


def response(error: ParleyError) -> JSONResponse:
    """Return the response to an error, and count it in the metrics."""
    REFUSALS.record(1, reason=error.code)
    headers = {}
    if error.retry_after_s is not None or error.status in WITH_RETRY_AFTER:
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after_s or 0)))
    return JSONResponse(body(error), status_code=error.status, headers=headers)


def as_parley(error: Exception) -> ParleyError:
    """Return any exception as a ``ParleyError``; other types are logged and become ``InternalError``."""
    if isinstance(error, ParleyError):
        return error
    logger.error("a request failed", exc_info=error)
    return InternalError("Parley failed on this request; its log has the reason.")


def install(app: FastAPI) -> None:
    """Give every exception in ``app`` a response of this form."""
    app.add_exception_handler(ParleyError, _parley)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _parley)


async def _parley(_: Request, error: Exception) -> JSONResponse:
    return response(as_parley(error))


async def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    if error.status_code == NotFound.status:
        return response(NotFound(f"There is no route {request.url.path}. GET /docs lists the routes."))
    if error.status_code == MethodNotAllowed.status:
        allowed = Headers(error.headers)["allow"]
        refusal = response(MethodNotAllowed(f"{request.url.path} does not accept {request.method}, only {allowed}."))
        refusal.headers["Allow"] = allowed
        return refusal
    return response(MalformedBody(str(error.detail)))
