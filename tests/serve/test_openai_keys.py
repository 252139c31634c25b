"""A service with API keys and with web pages that may call it, on fakes."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI

from tests.serve.serve_fakes import FAKES

KEY = "sk-parley-of-these-tests"
PAGE = "https://page.example"


@pytest.fixture(scope="module")
def protected(service: Callable[[dict[str, Any]], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service with one key and one allowed web page; the usual service is restored after these tests."""
    path: Path = tmp_path_factory.mktemp("keys") / "keys"
    path.write_text(f"{KEY}\n")
    gateway = {"api_keys_file": str(path), "cors_origins": [PAGE]}
    yield service(FAKES | {"args": FAKES["args"] | {"gateway": gateway}})
    service(FAKES)


@pytest.mark.parametrize("path", ["/v1/models", "/graph", "/docs", "/openapi.json", "/nowhere"])
def test_every_route_requires_a_key(protected: str, path: str) -> None:
    refused = httpx.get(f"{protected}{path}")
    assert refused.status_code == 401
    assert refused.json()["error"]["code"] == "invalid_api_key"
    assert httpx.get(f"{protected}{path}", headers={"Authorization": f"Bearer {KEY}"}).status_code in (200, 404)


def test_the_health_check_requires_no_key(protected: str) -> None:
    assert httpx.get(f"{protected}/health").status_code == 200


def test_a_wrong_key_is_the_clients_authentication_error(protected: str) -> None:
    with pytest.raises(openai.AuthenticationError) as caught:
        OpenAI(base_url=f"{protected}/v1", api_key="sk-wrong-wrong-wrong").models.list()
    assert "sk-" not in str(caught.value)
    assert OpenAI(base_url=f"{protected}/v1", api_key=KEY).models.list().data


def test_no_key_is_logged(protected: str) -> None:
    """Neither the key of a request, nor a wrong key, nor the key of a request that fails."""
    wrong = "sk-parley-that-is-wrong"
    with OpenAI(base_url=f"{protected}/v1", api_key=KEY, max_retries=0) as client:
        assert client.models.list().data
        with pytest.raises(openai.BadRequestError) as caught:
            client.chat.completions.create(model="none", messages=[{"role": "user", "content": "hi"}])
    assert KEY not in str(caught.value)
    assert httpx.get(f"{protected}/v1/models", headers={"Authorization": f"Bearer {wrong}"}).status_code == 401
    logs = [path for path in Path(tempfile.gettempdir()).glob("parley-ray-*/session_*/logs/**/*") if path.is_file()]
    texts = {path.name: path.read_bytes() for path in logs}
    assert any(b"/v1/chat/completions" in text for text in texts.values())  # requests are logged
    assert [name for name, text in texts.items() if KEY.encode() in text or wrong.encode() in text] == []


def test_only_the_allowed_web_page_may_send_requests(protected: str) -> None:
    preflight = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    allowed = httpx.options(f"{protected}/v1/chat/completions", headers={"Origin": PAGE, **preflight})
    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == PAGE
    other = httpx.options(f"{protected}/v1/chat/completions", headers={"Origin": "https://other.example", **preflight})
    assert "access-control-allow-origin" not in other.headers


def test_only_the_allowed_web_page_may_read_responses_and_errors(protected: str) -> None:
    for headers in ({"Authorization": f"Bearer {KEY}"}, {}):
        response = httpx.get(f"{protected}/v1/models", headers={"Origin": PAGE, **headers})
        assert response.headers["access-control-allow-origin"] == PAGE
    other = httpx.get(f"{protected}/v1/models", headers={"Origin": "https://other.example"})
    assert "access-control-allow-origin" not in other.headers
