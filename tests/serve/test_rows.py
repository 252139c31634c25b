"""The eight rows of POST /chat, and the forms of its responses. The fake chat models repeat their input."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import httpx
import pytest
import soundfile
from PIL import Image

from tests.serve.serve_fakes import PICTURE, SPEECH

RECORDING_S = soundfile.info(io.BytesIO(SPEECH)).duration
TRANSCRIPT = f"it lasted {RECORDING_S:.1f} seconds"

INPUTS: dict[str, dict[str, Any]] = {
    "text": {"text": (None, "Good day.")},
    "speech": {"audio": ("question.wav", SPEECH)},
    "picture+text": {"image": ("p.png", PICTURE), "text": (None, "Good day.")},
    "picture+speech": {"image": ("p.png", PICTURE), "audio": ("question.wav", SPEECH)},
}
STAGES = {
    "text": ["llm"],
    "speech": ["asr", "llm"],
    "picture+text": ["vision"],
    "picture+speech": ["asr", "vision"],
}


def expected(name: str) -> str:
    text = TRANSCRIPT if "speech" in name else "Good day."
    return f"a picture of {_size()}. {text}" if "picture" in name else text


def _size() -> str:
    width, height = Image.open(io.BytesIO(PICTURE)).size
    return f"{width} by {height}"


@pytest.mark.parametrize("name", INPUTS)
def test_answers_each_kind_of_input_in_text(client: httpx.Client, name: str) -> None:
    response = client.post("/chat", files=INPUTS[name])
    assert response.status_code == 200, response.text
    body = response.json()
    assert body["text"] == expected(name)
    assert body["graph"] == STAGES[name]
    assert body.get("transcript") == (TRANSCRIPT if "speech" in name else None)
    assert body["finish_reason"] == "stop"
    assert body["usage"]["completion_tokens"] > 0
    assert response.headers["x-graph"] == ",".join(STAGES[name])
    assert response.headers["x-request-id"] == body["id"]
    assert all(f"{stage};dur=" in response.headers["server-timing"] for stage in STAGES[name])


@pytest.mark.parametrize("name", INPUTS)
def test_answers_each_kind_of_input_in_voice(client: httpx.Client, name: str) -> None:
    response = client.post("/chat", files=INPUTS[name] | {"output": (None, "voice")})
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "audio/wav"
    assert response.headers["x-graph"] == ",".join([*STAGES[name], "tts"])
    samples, rate = soundfile.read(io.BytesIO(response.content))
    words = len(expected(name).replace(".", " ").split())  # the fake voice reads a decimal as two words
    assert len(samples) / rate == pytest.approx(0.05 * words, abs=0.06)


def test_json_contains_the_audio_of_a_spoken_answer(client: httpx.Client) -> None:
    response = client.post("/chat", json={"text": "Good day."}, headers={"accept": "application/json"})
    assert "audio" not in response.json()
    body = client.post(
        "/chat", json={"text": "Good day.", "output": "voice"}, headers={"accept": "application/json"}
    ).json()
    assert body["text"] == "Good day."
    assert base64.b64decode(body["audio"]).startswith(b"RIFF")


def test_text_is_streamed_while_it_is_generated(client: httpx.Client) -> None:
    words = 40
    with client.stream(
        "POST", "/chat", json={"text": "word " * words}, headers={"accept": "text/event-stream"}
    ) as response:
        lines = [line for line in response.iter_lines() if line]
    names = [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]
    assert names.count("text") > 5
    assert names[-2:] == ["stage", "done"]
    assert json.loads(lines[-1].removeprefix("data: "))["text"].split() == ["word"] * words


def test_audio_is_streamed_while_the_text_is_generated(client: httpx.Client) -> None:
    sentences = "One two three four. " * 30  # generated in more than two seconds
    with client.stream("POST", "/chat", json={"text": sentences, "output": "voice"}) as response:
        first = next(response.iter_raw())
        assert first.startswith(b"RIFF")
        # The headers are sent before the last stage has ended.
        assert "server-timing" not in response.headers


def test_a_raw_body_is_answered_in_the_form_of_the_accept_header(client: httpx.Client) -> None:
    response = client.post("/chat", content=b"Good day.", headers={"content-type": "text/plain", "accept": "audio/wav"})
    assert response.content.startswith(b"RIFF")
    response = client.post("/chat", content=SPEECH, headers={"content-type": "audio/wav", "accept": "text/plain"})
    assert response.text == TRANSCRIPT


def test_the_response_has_the_request_id_of_the_client(client: httpx.Client) -> None:
    response = client.post("/chat", json={"text": "Good day."}, headers={"x-request-id": "mine-1"})
    assert response.headers.get_list("x-request-id") == ["mine-1"]
    assert response.json()["id"] == "mine-1"
