"""What a client reads when Ray's proxy has to answer by itself. No Ray is started."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from graphs.http.proxy import InShape


def get(app: ASGIApp, path: str = "/v1/models") -> httpx.Response:
    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(InShape(app)), base_url="http://parley") as client:
            return await client.get(path)

    return asyncio.run(ask())


async def silent(scope: Scope, receive: Receive, send: Send) -> None:
    """The Gateway died before it said anything."""


@pytest.mark.parametrize("app", [silent, PlainTextResponse("No replicas", 503), PlainTextResponse("no route", 404)])
def test_without_a_gateway_it_says_so_in_the_one_shape(app: ASGIApp) -> None:
    response = get(app)
    assert response.status_code == 503
    assert int(response.headers["retry-after"]) >= 1
    assert response.json()["error"]["code"] == "engine_unavailable"


@pytest.mark.parametrize("status", [200, 401, 404, 503])
def test_a_gateways_answer_passes_as_it_is(status: int) -> None:
    response = get(JSONResponse({"said": "by a gateway"}, status))
    assert (response.status_code, response.json()) == (status, {"said": "by a gateway"})


def test_a_stream_passes_piece_by_piece() -> None:
    async def pieces() -> object:
        for piece in ("a", "b", "c"):
            yield piece

    assert get(StreamingResponse(pieces(), media_type="text/event-stream")).text == "abc"  # type: ignore[arg-type]


def test_so_does_what_is_no_error_of_the_proxys() -> None:
    assert get(PlainTextResponse("Disallowed CORS origin", 400)).text == "Disallowed CORS origin"


def test_what_ray_says_of_itself_passes() -> None:
    assert get(PlainTextResponse("draining", 503), "/-/healthz").text == "draining"
