"""API keys: which requests pass, and that no key is in a message."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from graphs.http.auth import ApiKeys, AuthMiddleware
from graphs.http.client_secrets import Grant, issue

FIRST, SECOND = "sk-parley-0123456789", "sk-parley-abcdefghij"
KEYS = ApiKeys.load(None, {"PARLEY_API_KEYS": f"{FIRST}, {SECOND}"})


async def hello(_: object) -> PlainTextResponse:
    return PlainTextResponse("hello")


async def accept(socket: WebSocket) -> None:
    await socket.accept()
    await socket.close()


def client(keys: ApiKeys, origins: tuple[str, ...] = ()) -> TestClient:
    routes = [
        Route("/chat", hello),
        Route("/health", hello),
        Route("/health/live", hello),
        WebSocketRoute("/v1/realtime", accept),
    ]
    return TestClient(AuthMiddleware(Starlette(routes=routes), keys, origins))


@pytest.mark.parametrize("header", [f"Bearer {FIRST}", f"bearer {SECOND}", f"Bearer  {FIRST} "])
def test_passes_a_request_with_any_of_the_keys(header: str) -> None:
    assert client(KEYS).get("/chat", headers={"Authorization": header}).text == "hello"


@pytest.mark.parametrize(
    "header", [None, "", FIRST, f"Basic {FIRST}", f"Bearer {FIRST}x", f"Bearer {FIRST[:-1]}", "Bearer"]
)
def test_refuses_a_request_without_a_valid_key(header: str | None) -> None:
    response = client(KEYS).get("/chat", headers={} if header is None else {"Authorization": header})
    assert response.status_code == 401
    assert response.json()["error"]["code"] == "invalid_api_key"
    assert response.json()["error"]["type"] == "authentication_error"
    assert response.headers["www-authenticate"] == "Bearer"
    assert "sk-parley" not in response.text


@given(st.text(max_size=60))
def test_matches_only_the_keys(guess: str) -> None:
    assert bool(KEYS.match(f"Bearer {guess}")) == (guess.strip() in (FIRST, SECOND))


@pytest.mark.parametrize("path", ["/health", "/health/live"])
def test_health_needs_no_key(path: str) -> None:
    assert client(KEYS).get(path).status_code == 200


def test_without_keys_every_request_passes() -> None:
    assert client(ApiKeys.load(None, {})).get("/chat").status_code == 200


@pytest.mark.parametrize("value", ["", " ", ","])
def test_refuses_a_variable_that_is_set_without_a_key(value: str) -> None:
    with pytest.raises(ValueError, match="PARLEY_API_KEYS is set but has no API key"):
        ApiKeys.load(None, {"PARLEY_API_KEYS": value})


def test_refuses_a_websocket_without_a_key() -> None:
    with pytest.raises(WebSocketDisconnect), client(KEYS).websocket_connect("/v1/realtime"):
        pass
    with client(KEYS).websocket_connect("/v1/realtime", headers={"Authorization": f"Bearer {FIRST}"}):
        pass


def opens(keys: ApiKeys, origins: tuple[str, ...] = (), **request: Any) -> bool:
    """Return whether a WebSocket with these subprotocols and headers is accepted."""
    try:
        with client(keys, origins).websocket_connect("/v1/realtime", **request):
            return True
    except WebSocketDisconnect:
        return False


def test_reads_the_key_of_a_websocket_from_a_subprotocol() -> None:
    assert opens(KEYS, subprotocols=["realtime", f"openai-insecure-api-key.{SECOND}"])
    assert not opens(KEYS, subprotocols=["realtime", f"openai-insecure-api-key.{SECOND}x"])
    assert not opens(KEYS, subprotocols=["realtime"])


def test_accepts_a_client_secret_for_a_websocket_only() -> None:
    secret = issue(Grant({}, int(time.time()) + 60, hashlib.sha256(FIRST.encode()).digest()))
    assert opens(KEYS, headers={"Authorization": f"Bearer {secret}"})
    assert opens(KEYS, subprotocols=["realtime", f"openai-insecure-api-key.{secret}"])
    assert client(KEYS).get("/chat", headers={"Authorization": f"Bearer {secret}"}).status_code == 401


def test_an_open_service_accepts_any_key_of_a_websocket() -> None:
    assert opens(ApiKeys(), headers={"Authorization": "Bearer anything"})


@pytest.mark.parametrize(("origin", "accepted"), [("http://testserver", True), ("https://evil.example", False)])
def test_an_open_service_refuses_websockets_of_other_pages(origin: str, accepted: bool) -> None:
    assert opens(ApiKeys(), headers={"Origin": origin}) is accepted


def test_pages_of_allowed_origins_and_pages_with_a_key_may_open_a_websocket() -> None:
    other = {"Origin": "https://app.example"}
    assert opens(ApiKeys(), origins=("https://app.example",), headers=other)
    assert opens(KEYS, headers=other | {"Authorization": f"Bearer {FIRST}"})


def test_reads_keys_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(f"# a comment\n{FIRST}\n\n{SECOND}\n")
    assert ApiKeys.load(path, {}).match(f"Bearer {SECOND}")
    path.write_text("# only a comment\n")
    with pytest.raises(ValueError, match="no API key"):
        ApiKeys.load(path, {})
    with pytest.raises(FileNotFoundError):
        ApiKeys.load(tmp_path / "missing", {})


def test_no_key_is_in_a_message_or_a_repr() -> None:
    assert FIRST not in repr(KEYS)
    with pytest.raises(ValueError, match="fewer than 16") as caught:
        ApiKeys.load(None, {"PARLEY_API_KEYS": "tooshort"})
    assert "tooshort" not in str(caught.value)
