"""A service with API keys, and with pages that may call it: through the stock client, on fakes."""

from __future__ import annotations

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


def test_only_the_page_that_may_is_let_in(closed: str) -> None:
    asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    allowed = httpx.options(f"{closed}/v1/chat/completions", headers={"Origin": PAGE, **asks})
    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == PAGE
    other = httpx.options(f"{closed}/v1/chat/completions", headers={"Origin": "https://other.example", **asks})
    assert "access-control-allow-origin" not in other.headers
