"""The eight rows of the graph, each judged by what it says."""

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
def test_is_answered_in_text(client: httpx.Client, row: str) -> None:
    files, fields, stages, expected = ROWS[row]
    answer = client.post("/chat", files=files or None, data=fields)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["graph"] == stages
    assert [word for word in expected if word not in body["text"].lower()] == []


@pytest.mark.parametrize("row", ROWS)
def test_is_answered_in_voice(client: httpx.Client, hear: Callable[[bytes], str], row: str) -> None:
    files, fields, stages, expected = ROWS[row]
    answer = client.post("/chat", files=files or None, data={**fields, "output": "voice"})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("audio/wav")
    assert answer.headers["x-graph"] == ",".join([*stages, "tts"])
    heard = hear(answer.content)
    assert [word for word in expected if word not in heard] == []


def test_the_transcript_of_a_spoken_question_comes_with_the_answer(client: httpx.Client) -> None:
    answer = client.post("/chat", files=[speech("question.wav")]).json()
    assert "capital of france" in answer["transcript"].lower()


def test_what_was_said_three_turns_ago_is_remembered(client: httpx.Client) -> None:
    messages: list[dict[str, str]] = []
    for said in ("My name is Anna.", "What is three plus four?", "What is the opposite of hot?"):
        answer = client.post("/chat", json={"text": said, "messages": messages}).json()["text"]
        messages += [{"role": "user", "content": said}, {"role": "assistant", "content": answer}]
    answer = client.post("/chat", json={"text": "What is my name?", "messages": messages}).json()
    assert "anna" in answer["text"].lower()


def test_each_picture_is_answered_for_itself(client: httpx.Client) -> None:
    from PIL import Image, ImageDraw

    from tests.e2e.pictures import png

    def triangle() -> bytes:
        picture = Image.new("RGB", (300, 300), "white")
        ImageDraw.Draw(picture).polygon([(150, 60), (60, 240), (240, 240)], fill=(0, 140, 0))
        return png(picture)

    def ask(picture: bytes) -> str:
        files = {"image": ("p.png", picture, "image/png")}
        return client.post("/chat", files=files, data={"text": "What do you see?"}).json()["text"].lower()

    circles = CIRCLES[1][1]
    answers = [ask(circles), ask(triangle()), ask(circles)]
    assert "circles" in answers[0]
    assert "green triangle" in answers[1]
    assert answers[2] == answers[0]
