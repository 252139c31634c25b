"""The responses of Ray Serve's proxy where no Gateway responds. Does not start Ray."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from graphs.http.proxy import ErrorFormatMiddleware
from tests.graphs.http.client import send

PATH = "/v1/models"


async def without_response(scope: Scope, receive: Receive, send: Send) -> None:
    """End without a response, as when the Gateway's replica dies."""


@pytest.mark.parametrize(
    "app", [without_response, PlainTextResponse("No replicas", 503), PlainTextResponse("no route", 404)]
)
def test_an_error_of_the_proxy_gets_the_form_of_all_errors(app: ASGIApp) -> None:
    response = send(ErrorFormatMiddleware(app), PATH)
    assert response.status_code == 503
    assert int(response.headers["retry-after"]) >= 1
    assert response.json()["error"]["code"] == "engine_unavailable"


def test_a_response_in_place_of_the_gateways_has_a_request_id() -> None:
    assert send(ErrorFormatMiddleware(without_response), PATH).headers["x-request-id"]


@pytest.mark.parametrize("status", [200, 401, 404, 503])
def test_a_json_response_of_the_gateway_passes_unchanged(status: int) -> None:
    response = send(ErrorFormatMiddleware(JSONResponse({"from": "the gateway"}, status)), PATH)
    assert (response.status_code, response.json()) == (status, {"from": "the gateway"})


def test_a_stream_passes_in_pieces() -> None:
    async def pieces() -> AsyncGenerator[str, None]:
        for piece in ("a", "b", "c"):
            yield piece

    response = StreamingResponse(pieces(), media_type="text/event-stream")
    assert send(ErrorFormatMiddleware(response), PATH).text == "abc"


def test_a_plain_text_response_of_another_status_passes_unchanged() -> None:
    response = PlainTextResponse("Disallowed CORS origin", 400)
    assert send(ErrorFormatMiddleware(response), PATH).text == "Disallowed CORS origin"


def test_the_proxys_own_paths_pass_unchanged() -> None:
    response = PlainTextResponse("draining", 503)
    assert send(ErrorFormatMiddleware(response), "/-/healthz").text == "draining"
