"""The eight rows of POST /chat with the bundled models: each answer has the right content."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from tests.e2e.conftest import DATA

CIRCLES = ("image", ("circles.png", (DATA / "two_red_circles.png").read_bytes(), "image/png"))


def speech(name: str) -> tuple[str, tuple[str, bytes, str]]:
    return "audio", (name, (DATA / name).read_bytes(), "audio/wav")


ROWS = {
    "text": ([], {"text": "What is the capital of France?"}, ["llm"], ["paris"]),
    "speech": ([speech("question.wav")], {}, ["asr", "llm"], ["paris"]),
    "picture and text": ([CIRCLES], {"text": "What do you see?"}, ["vision"], ["two", "red", "circles"]),
    "picture and speech": ([CIRCLES, speech("what_do_you_see.wav")], {}, ["asr", "vision"], ["two", "red", "circles"]),
}


@pytest.mark.parametrize("row", ROWS)
def test_answers_in_text(client: httpx.Client, row: str) -> None:
    files, fields, stages, expected = ROWS[row]
    response = client.post("/chat", files=files or None, data=fields)
    assert response.status_code == 200, response.text
    body = response.json()
    assert body["graph"] == stages
    assert [word for word in expected if word not in body["text"].lower()] == []


@pytest.mark.parametrize("row", ROWS)
def test_answers_in_voice(client: httpx.Client, transcribe: Callable[[bytes], str], row: str) -> None:
    files, fields, stages, expected = ROWS[row]
    response = client.post("/chat", files=files or None, data={**fields, "output": "voice"})
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("audio/wav")
    assert response.headers["x-graph"] == ",".join([*stages, "tts"])
    transcript = transcribe(response.content)
    assert [word for word in expected if word not in transcript] == []


def test_the_response_to_speech_has_its_transcript(client: httpx.Client) -> None:
    answer = client.post("/chat", files=[speech("question.wav")]).json()
    assert "capital of france" in answer["transcript"].lower()


def test_the_answer_uses_a_message_of_three_turns_ago(client: httpx.Client) -> None:
    messages: list[dict[str, str]] = []
    for question in ("My name is Anna.", "What is three plus four?", "What is the opposite of hot?"):
        answer = client.post("/chat", json={"text": question, "messages": messages}).json()["text"]
        messages += [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    answer = client.post("/chat", json={"text": "What is my name?", "messages": messages}).json()
    assert "anna" in answer["text"].lower()


def test_the_answer_to_a_picture_does_not_depend_on_earlier_pictures(client: httpx.Client) -> None:
    from PIL import Image, ImageDraw

    from tests.e2e.pictures import png

    def triangle() -> bytes:
        picture = Image.new("RGB", (300, 300), "white")
        ImageDraw.Draw(picture).polygon([(150, 60), (60, 240), (240, 240)], fill=(0, 140, 0))
        return png(picture)

    def describe(picture: bytes) -> str:
        files = {"image": ("p.png", picture, "image/png")}
        return client.post("/chat", files=files, data={"text": "What do you see?"}).json()["text"].lower()

    circles = CIRCLES[1][1]
    answers = [describe(circles), describe(triangle()), describe(circles)]
    assert "circles" in answers[0]
    assert "green triangle" in answers[1]
    assert answers[2] == answers[0]
