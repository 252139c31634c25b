"""Every error of Parley is the exception that OpenAI's own client raises for its kind, with its words and its code."""

from __future__ import annotations

import asyncio

import httpx2 as httpx  # what the client is made of
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
    errors.DeadlineExceeded: openai.InternalServerError,
    InternalError: openai.InternalServerError,
}


def kinds(base: type[ParleyError] = ParleyError) -> set[type[ParleyError]]:
    return {kind for child in base.__subclasses__() for kind in {child, *kinds(child)}}


def raised(error: Exception) -> openai.APIStatusError:
    """What the client raises when a route raises ``error``."""
    app = FastAPI()
    install(app)

    @app.get("/v1/models/{name}")
    async def fails(name: str) -> None:
        raise error

    async def ask() -> None:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with openai.AsyncOpenAI(
            base_url="http://parley/v1",
            api_key="none",
            max_retries=0,
            http_client=openai.DefaultAsyncHttpxClient(transport=transport),
        ) as client:
            await client.models.retrieve("x")

    with pytest.raises(openai.APIStatusError) as caught:
        asyncio.run(ask())
    return caught.value


def test_none_is_left_out() -> None:
    ours = {kind for kind in kinds() if kind.__module__ == errors.__name__}
    assert ours <= EXPECTED.keys()


@pytest.mark.parametrize("kind", EXPECTED, ids=lambda kind: kind.__name__)
def test_an_error_is_the_exception_of_its_kind(kind: type[ParleyError]) -> None:
    error = raised(kind("What was wrong, and what would be right.", param="it", retry_after_s=3))
    assert type(error) is EXPECTED[kind]
    assert (error.status_code, error.code, error.type, error.param) == (kind.status, kind.code, kind.type, "it")
    assert "What was wrong, and what would be right." in str(error)
    assert error.response.headers["retry-after"] == "3"


def test_a_fault_of_ours_tells_nothing_of_the_inside() -> None:
    error = raised(RuntimeError("/secret/path"))
    assert type(error) is openai.InternalServerError
    assert "secret" not in str(error)
