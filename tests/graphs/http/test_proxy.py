"""The responses of Ray Serve's proxy where no Gateway responds. Does not start Ray."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from ray.serve._private.http_util import RequestIdMiddleware
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from graphs.http.proxy import ErrorFormatMiddleware, HeaderMiddleware
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


async def nothing(*_: object) -> Any:
    """A client without a body that reads nothing."""


def headers_for_ray(kind: str, *given: tuple[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    """Return the headers with which the proxy's application is called."""
    scopes: list[Scope] = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        scopes.append(scope)

    scope: Scope = {"type": kind, "method": "GET", "path": PATH, "headers": [*given]}
    asyncio.run(HeaderMiddleware(application)(scope, nothing, nothing))
    assert scope["headers"] == [*given]
    headers: list[tuple[bytes, bytes]] = scopes[0]["headers"]
    return headers


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize(
    "given",
    [
        [],
        [b"\xe9"],
        [b"a\x07b"],
        [b"a b"],
        [b""],
        [b"x" * 129],
        [b"a\tb"],
        ["ä".encode()],
        [b"\xe9", b"\xff"],
    ],
)
def test_replaces_an_invalid_request_id(kind: str, given: list[bytes]) -> None:
    ((name, value),) = headers_for_ray(kind, *[(b"x-request-id", it) for it in given])
    assert name == b"x-request-id"
    assert re.fullmatch(rb"[0-9a-f]{32}", value)


def test_keeps_a_valid_request_id() -> None:
    valid = b"A.b_c-9" + b"x" * 121
    assert headers_for_ray("http", (b"x-request-id", valid)) == [(b"x-request-id", valid)]


def test_ray_receives_one_request_id() -> None:
    headers = headers_for_ray("http", (b"x-request-id", b"mine"), (b"x-request-id", b"\xe9"))
    assert headers == [(b"x-request-id", b"mine")]


@pytest.mark.parametrize(
    "name",
    [b"serve_multiplexed_model_id", b"serve-multiplexed-model-id", b"x-session-id", b"x_session_id"],
)
def test_removes_headers_that_select_a_replica(name: bytes) -> None:
    headers = headers_for_ray("http", (b"accept", b"*/*"), (name, b"\xe9"))
    assert [name for name, _ in headers] == [b"accept", b"x-request-id"]


def test_the_request_id_of_a_refusal_is_valid() -> None:
    app = HeaderMiddleware(ErrorFormatMiddleware(without_response))
    response = send(app, PATH, headers={"x-request-id": "a b"})
    assert re.fullmatch("[0-9a-f]{32}", response.headers["x-request-id"])


@pytest.mark.parametrize("given", [b"\xe9", b"a\x07b", b"mine"])
def test_rays_own_middleware_responds_with_the_valid_id(given: bytes) -> None:
    app = HeaderMiddleware(RequestIdMiddleware(JSONResponse({})))
    response = send(app, PATH, headers={b"x-request-id": given})
    assert response.status_code == 200
    assert re.fullmatch("[0-9a-f]{32}|mine", response.headers["x-request-id"])
