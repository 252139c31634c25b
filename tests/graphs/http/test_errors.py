"""Errors as responses, all with the same body."""

from __future__ import annotations

import pytest
from fastapi import FastAPI

from deployments.errors import Overloaded, RateLimited, TooLarge
from graphs.http import errors
from tests.graphs.http.client import send


@pytest.fixture
def app() -> FastAPI:
    app = FastAPI()
    errors.install(app)

    @app.get("/broken")
    async def broken() -> None:
        raise RuntimeError("secret")

    return app


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("DELETE", "/broken", 405, "method_not_allowed"),
        ("GET", "/broken", 500, "internal_error"),
    ],
)
def test_every_error_has_the_same_fields(app: FastAPI, method: str, path: str, status: int, code: str) -> None:
    response = send(app, path, method)
    assert response.status_code == status
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["code"] == code
    assert "secret" not in error["message"]


def test_a_wrong_method_has_the_allowed_ones_as_a_header(app: FastAPI) -> None:
    assert send(app, "/broken", "DELETE").headers["allow"] == "GET"


@pytest.mark.parametrize(("retry_after_s", "header"), [(None, "1"), (0.0, "1"), (0.2, "1"), (1.0, "1"), (1.2, "2")])
def test_retry_after_is_rounded_up_to_whole_seconds(retry_after_s: float | None, header: str) -> None:
    for kind in (Overloaded, RateLimited):
        assert errors.response(kind("Later.", retry_after_s=retry_after_s)).headers["retry-after"] == header


def test_an_error_that_a_retry_does_not_help_has_no_retry_after() -> None:
    assert "retry-after" not in errors.response(TooLarge("Too large.")).headers


def test_keeps_an_error_of_parley_and_hides_any_other() -> None:
    refusal = TooLarge("Too large.")
    assert errors.as_parley(refusal) is refusal
    hidden = errors.as_parley(ValueError("secret"))
    assert (hidden.code, hidden.status) == ("internal_error", 500)
    assert "secret" not in hidden.message
