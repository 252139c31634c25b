"""A service with API keys, and with pages that may call it: through the stock client, on fakes."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI
from serve_fakes import FAKES

KEY = "sk-parley-of-these-tests"
PAGE = "https://page.example"


@pytest.fixture(scope="module")
def closed(service: Callable[[dict[str, Any]], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service that knows one key and one page; the open one comes back after these tests."""
    path: Path = tmp_path_factory.mktemp("keys") / "keys"
    path.write_text(f"{KEY}\n")
    gateway = {"api_keys_file": str(path), "cors_origins": [PAGE]}
    yield service(FAKES | {"args": FAKES["args"] | {"gateway": gateway}})
    service(FAKES)


@pytest.mark.parametrize("path", ["/v1/models", "/graph", "/docs", "/openapi.json", "/nowhere"])
def test_every_route_asks_for_a_key(closed: str, path: str) -> None:
    refused = httpx.get(f"{closed}{path}")
    assert refused.status_code == 401
    assert refused.json()["error"]["code"] == "invalid_api_key"
    assert httpx.get(f"{closed}{path}", headers={"Authorization": f"Bearer {KEY}"}).status_code in (200, 404)


def test_but_not_the_health_check(closed: str) -> None:
    assert httpx.get(f"{closed}/health").status_code == 200


def test_the_client_says_so_in_its_own_way(closed: str) -> None:
    with pytest.raises(openai.AuthenticationError) as caught:
        OpenAI(base_url=f"{closed}/v1", api_key="sk-wrong-wrong-wrong").models.list()
    assert "sk-" not in str(caught.value)
    assert OpenAI(base_url=f"{closed}/v1", api_key=KEY).models.list().data


def test_no_key_is_written_into_a_log(closed: str) -> None:
    """After a request with a key, one with a wrong one, and one that fails on the way."""
    wrong = "sk-parley-that-is-wrong"
    with OpenAI(base_url=f"{closed}/v1", api_key=KEY, max_retries=0) as client:
        assert client.models.list().data
        with pytest.raises(openai.BadRequestError) as caught:
            client.chat.completions.create(model="none", messages=[{"role": "user", "content": "hi"}])
    assert KEY not in str(caught.value)
    assert httpx.get(f"{closed}/v1/models", headers={"Authorization": f"Bearer {wrong}"}).status_code == 401
    logs = [path for path in Path(tempfile.gettempdir()).glob("parley-ray-*/session_*/logs/**/*") if path.is_file()]
    texts = {path.name: path.read_bytes() for path in logs}
    assert any(b"/v1/chat/completions" in text for text in texts.values())  # requests are logged
    assert [name for name, text in texts.items() if KEY.encode() in text or wrong.encode() in text] == []


def test_only_the_page_that_may_is_let_in(closed: str) -> None:
    asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    allowed = httpx.options(f"{closed}/v1/chat/completions", headers={"Origin": PAGE, **asks})
    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == PAGE
    other = httpx.options(f"{closed}/v1/chat/completions", headers={"Origin": "https://other.example", **asks})
    assert "access-control-allow-origin" not in other.headers


def test_answers_and_refusals_can_be_read_by_that_page_alone(closed: str) -> None:
    for headers in ({"Authorization": f"Bearer {KEY}"}, {}):
        answer = httpx.get(f"{closed}/v1/models", headers={"Origin": PAGE, **headers})
        assert answer.headers["access-control-allow-origin"] == PAGE
    other = httpx.get(f"{closed}/v1/models", headers={"Origin": "https://other.example"})
    assert "access-control-allow-origin" not in other.headers
