"""Errors of Parley as the exceptions of OpenAI's client."""

from __future__ import annotations

import asyncio

import httpx2 as httpx  # the library that the client uses
import openai
import pytest
from fastapi import FastAPI

from deployments import errors
from deployments.errors import ParleyError
from graphs.http.errors import InternalError, install

EXPECTED: dict[type[ParleyError], type[openai.APIStatusError]] = {
    errors.InvalidRequest: openai.BadRequestError,
    errors.MalformedBody: openai.BadRequestError,
    errors.UnknownField: openai.BadRequestError,
    errors.ContextOverflow: openai.BadRequestError,
    errors.BrokenMedia: openai.BadRequestError,
    errors.Unauthorized: openai.AuthenticationError,
    errors.NotFound: openai.NotFoundError,
    errors.TooLarge: openai.APIStatusError,
    errors.UnsupportedMedia: openai.APIStatusError,
    errors.NothingToAnswer: openai.UnprocessableEntityError,
    errors.NoSpeech: openai.UnprocessableEntityError,
    errors.RateLimited: openai.RateLimitError,
    errors.Overloaded: openai.InternalServerError,
    errors.EngineUnavailable: openai.InternalServerError,
    errors.BodyTimeout: openai.APIStatusError,
    errors.DeadlineExceeded: openai.InternalServerError,
    InternalError: openai.InternalServerError,
}


def kinds(base: type[ParleyError] = ParleyError) -> set[type[ParleyError]]:
    """Return all subclasses."""
    return {kind for child in base.__subclasses__() for kind in {child, *kinds(child)}}


def raised(error: Exception) -> openai.APIStatusError:
    """Return the exception of the client when a route raises ``error``."""
    app = FastAPI()
    install(app)

    @app.get("/v1/models/{name}")
    async def fails(name: str) -> None:
        raise error

    async def request() -> None:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with openai.AsyncOpenAI(
            base_url="http://parley/v1",
            api_key="none",
            max_retries=0,
            http_client=openai.DefaultAsyncHttpxClient(transport=transport),
        ) as client:
            await client.models.retrieve("x")

    with pytest.raises(openai.APIStatusError) as caught:
        asyncio.run(request())
    return caught.value


def test_every_error_type_is_expected() -> None:
    assert {kind for kind in kinds() if kind.__module__ == errors.__name__} <= EXPECTED.keys()


@pytest.mark.parametrize("kind", EXPECTED, ids=lambda kind: kind.__name__)
def test_the_client_raises_the_exception_of_the_errors_type(kind: type[ParleyError]) -> None:
    error = raised(kind("What is wrong, and what is valid.", param="it", retry_after_s=3))
    assert type(error) is EXPECTED[kind]
    assert (error.status_code, error.code, error.type, error.param) == (kind.status, kind.code, kind.type, "it")
    assert "What is wrong, and what is valid." in str(error)
    assert error.response.headers["retry-after"] == "3"


def test_an_internal_error_reveals_no_details() -> None:
    error = raised(RuntimeError("/secret/path"))
    assert type(error) is openai.InternalServerError
    assert "secret" not in str(error)
