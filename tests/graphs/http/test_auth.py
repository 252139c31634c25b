"""API keys: what opens the service, what does not, and that nobody is told a key."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from graphs.http.auth import Guard, Keys

FIRST, SECOND = "sk-parley-0123456789", "sk-parley-abcdefghij"
KEYS = Keys.load(None, {"PARLEY_API_KEYS": f"{FIRST}, {SECOND}"})


async def hello(_: object) -> PlainTextResponse:
    return PlainTextResponse("hello")


async def talk(socket: WebSocket) -> None:
    await socket.accept()
    await socket.close()


def client(keys: Keys) -> TestClient:
    routes = [Route("/chat", hello), Route("/health", hello), WebSocketRoute("/v1/realtime", talk)]
    return TestClient(Guard(Starlette(routes=routes), keys))


@pytest.mark.parametrize("header", [f"Bearer {FIRST}", f"bearer {SECOND}", f"Bearer  {FIRST} "])
def test_any_of_the_keys_opens(header: str) -> None:
    assert client(KEYS).get("/chat", headers={"Authorization": header}).text == "hello"


@pytest.mark.parametrize(
    "header", [None, "", FIRST, f"Basic {FIRST}", f"Bearer {FIRST}x", f"Bearer {FIRST[:-1]}", "Bearer"]
)
def test_nothing_else_does(header: str | None) -> None:
    response = client(KEYS).get("/chat", headers={} if header is None else {"Authorization": header})
    assert response.status_code == 401
    assert response.json()["error"]["code"] == "invalid_api_key"
    assert response.json()["error"]["type"] == "authentication_error"
    assert response.headers["www-authenticate"] == "Bearer"
    assert "sk-parley" not in response.text


@given(st.text(max_size=60))
def test_no_guess_does(guess: str) -> None:
    assert bool(KEYS.named_by(f"Bearer {guess}")) == (guess.strip() in (FIRST, SECOND))


def test_health_is_open_to_all() -> None:
    assert client(KEYS).get("/health").status_code == 200


def test_without_keys_everything_is() -> None:
    assert client(Keys.load(None, {})).get("/chat").status_code == 200
    assert client(Keys.load(None, {"PARLEY_API_KEYS": ""})).get("/chat").status_code == 200


def test_a_socket_without_a_key_is_refused() -> None:
    with pytest.raises(WebSocketDisconnect), client(KEYS).websocket_connect("/v1/realtime"):
        pass
    with client(KEYS).websocket_connect("/v1/realtime", headers={"Authorization": f"Bearer {FIRST}"}):
        pass


def test_keys_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(f"# of the office\n{FIRST}\n\n{SECOND}\n")
    assert Keys.load(path, {}).named_by(f"Bearer {SECOND}")
    path.write_text("# none yet\n")
    with pytest.raises(ValueError, match="no API key"):
        Keys.load(path, {})
    with pytest.raises(FileNotFoundError):
        Keys.load(tmp_path / "nowhere", {})


def test_a_key_is_never_told() -> None:
    assert FIRST not in repr(KEYS)
    with pytest.raises(ValueError, match="fewer than 16") as caught:
        Keys.load(None, {"PARLEY_API_KEYS": "tooshort"})
    assert "tooshort" not in str(caught.value)
