"""All eight rows through HTTP, and the answers' forms. The fake models say back what they were given."""

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

SPOKEN_S = soundfile.info(io.BytesIO(SPEECH)).duration
TRANSCRIPT = f"it lasted {SPOKEN_S:.1f} seconds"

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
    said = TRANSCRIPT if "speech" in name else "Good day."
    return f"a picture of {_size()}. {said}" if "picture" in name else said


def _size() -> str:
    width, height = Image.open(io.BytesIO(PICTURE)).size
    return f"{width} by {height}"


@pytest.mark.parametrize("name", INPUTS)
def test_anything_to_text(client: httpx.Client, name: str) -> None:
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
def test_anything_to_voice(client: httpx.Client, name: str) -> None:
    response = client.post("/chat", files=INPUTS[name] | {"output": (None, "voice")})
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "audio/wav"
    assert response.headers["x-graph"] == ",".join([*STAGES[name], "tts"])
    samples, rate = soundfile.read(io.BytesIO(response.content))
    words = len(expected(name).replace(".", " ").split())  # a decimal is two words to the fake voice
    assert len(samples) / rate == pytest.approx(0.05 * words, abs=0.06)


def test_a_voice_in_json(client: httpx.Client) -> None:
    response = client.post("/chat", json={"text": "Good day."}, headers={"accept": "application/json"})
    assert "audio" not in response.json()
    body = client.post(
        "/chat", json={"text": "Good day.", "output": "voice"}, headers={"accept": "application/json"}
    ).json()
    assert body["text"] == "Good day."
    assert base64.b64decode(body["audio"]).startswith(b"RIFF")


def test_text_comes_while_it_is_thought(client: httpx.Client) -> None:
    words = 40
    with client.stream(
        "POST", "/chat", json={"text": "word " * words}, headers={"accept": "text/event-stream"}
    ) as response:
        lines = [line for line in response.iter_lines() if line]
    names = [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]
    assert names.count("text") > 5
    assert names[-2:] == ["stage", "done"]
    assert json.loads(lines[-1].removeprefix("data: "))["text"].split() == ["word"] * words


def test_a_voice_comes_while_the_rest_is_thought(client: httpx.Client) -> None:
    sentences = "One two three four. " * 30  # over two seconds of thinking
    with client.stream("POST", "/chat", json={"text": sentences, "output": "voice"}) as response:
        first = next(response.iter_raw())
        assert first.startswith(b"RIFF")
        # The model had not finished when the headers left.
        assert "server-timing" not in response.headers


def test_a_raw_body_and_accept(client: httpx.Client) -> None:
    response = client.post("/chat", content=b"Good day.", headers={"content-type": "text/plain", "accept": "audio/wav"})
    assert response.content.startswith(b"RIFF")
    response = client.post("/chat", content=SPEECH, headers={"content-type": "audio/wav", "accept": "text/plain"})
    assert response.text == TRANSCRIPT


def test_the_request_id_of_the_client_is_kept(client: httpx.Client) -> None:
    response = client.post("/chat", json={"text": "Good day."}, headers={"x-request-id": "mine-1"})
    assert response.headers.get_list("x-request-id") == ["mine-1"]
    assert response.json()["id"] == "mine-1"
