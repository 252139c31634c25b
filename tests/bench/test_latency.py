"""bench.latency measures only a service that has the models of its configuration."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest

from bench.direct import Configuration
from bench.latency import require_served

CONFIG = Path("configs/pocket.yaml")
MODELS = Configuration.load(CONFIG).models


def check(served: list[str]) -> None:
    async def body() -> None:
        answer = httpx.Response(200, json={"data": [{"id": name} for name in served]})
        transport = httpx.MockTransport(lambda request: answer)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            await require_served(client, MODELS, CONFIG)

    asyncio.run(body())


def test_a_configuration_names_its_four_models() -> None:
    assert MODELS == ["pocket-asr", "pocket-llm", "pocket-vision", "pocket-tts"]


def test_a_service_with_the_models_of_the_configuration_is_measured() -> None:
    check(["parley", *MODELS])


def test_a_service_with_another_model_is_not_measured() -> None:
    with pytest.raises(SystemExit, match=r"has pocket-asr; the service has whisper-base, .*--config"):
        check(["whisper-base", *MODELS[1:]])
