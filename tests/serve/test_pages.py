"""/graph, /health, /docs and /openapi.json."""

from __future__ import annotations

import re

import httpx


def test_graph_lists_the_rows_of_chats_of_transcription_and_of_speech(client: httpx.Client) -> None:
    rows = client.get("/graph").json()["rows"]
    assert len([row for row in rows if row["model"] is None]) == 8
    assert {
        "needs": ["image", "speech"],
        "may": ["text"],
        "output": "voice",
        "model": None,
        "stages": ["asr", "vision", "tts"],
    } in rows
    assert [row for row in rows if row["model"] is not None] == [
        {"needs": ["speech"], "may": [], "output": "text", "model": "asr", "stages": ["asr"]},
        {"needs": ["text"], "may": [], "output": "voice", "model": "tts", "stages": ["tts"]},
    ]


def test_health_names_every_deployment(client: httpx.Client) -> None:
    body = client.get("/health").json()
    assert body["status"] == "ready"
    assert set(body["deployments"]) == {"Gateway", "SpeechToText", "TextLLM", "VisionLLM", "TextToSpeech"}


def test_the_gateway_is_live(client: httpx.Client) -> None:
    assert client.get("/health/live").json() == {"status": "live"}


def test_the_documentation_page_loads_nothing_from_other_hosts(client: httpx.Client) -> None:
    response = client.get("/docs")
    assert response.headers["content-type"].startswith("text/html")
    assert "curl" in response.text
    assert not re.findall(r"(?:src|href)=[\"']?(?:https?:)?//", response.text)


def test_openapi_describes_every_form_response_and_error(client: httpx.Client) -> None:
    spec = client.get("/openapi.json").json()
    openai = {
        "chat/completions",
        "audio/speech",
        "audio/transcriptions",
        "audio/translations",
        "models",
        "models/{name}",
        "realtime/client_secrets",
    }
    assert set(spec["paths"]) == {"/chat", "/graph", "/health", "/health/live"} | {f"/v1/{route}" for route in openai}
    chat = spec["paths"]["/chat"]["post"]
    forms = chat["requestBody"]["content"]
    kinds = {"multipart/form-data", "application/x-www-form-urlencoded", "application/json"}
    assert set(forms) == kinds | {"text/plain", "audio/*", "image/*"}
    for form in ("multipart/form-data", "application/json"):
        assert {"text", "audio", "image", "output", "messages"} <= set(forms[form]["schema"]["properties"])
    assert set(chat["responses"]) == {*("200", "400", "401", "408", "413", "415", "422", "429", "431", "503", "504")}
    assert "audio/wav" in chat["responses"]["200"]["content"]
    assert {p["name"] for p in chat["parameters"]} >= {"output", "text"}
