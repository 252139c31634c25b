"""Requests to POST /chat: three forms with the same meaning, and every kind of invalid request."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import pytest
from starlette.types import Receive

from deployments.errors import (
    BrokenMedia,
    InvalidRequest,
    MalformedBody,
    NoSpeech,
    NothingToAnswer,
    ParleyError,
    TooLarge,
    UnknownField,
    UnsupportedMedia,
)
from graphs.http.chat.accept import Form
from graphs.http.chat.request import ChatReader
from graphs.http.executor import DecodeExecutor
from graphs.pipeline.turn import Input, Output, Turn
from graphs.settings import GatewayConfig
from tests.graphs.http.client import post, received
from tests.graphs.http.media.files import png, silence

EXECUTOR = DecodeExecutor(1)
LIMITS = GatewayConfig(max_body_bytes=100_000, max_text_chars=1000, max_audio_s=1.5, max_image_pixels=10_000)


def read(limits: GatewayConfig = LIMITS, **parts: Any) -> tuple[Turn, Form]:
    """Return what ``ChatReader`` returns for the request that httpx sends."""
    return asyncio.run(ChatReader(limits, EXECUTOR).read(received("/chat", **parts)))


def read_body(receive: Receive, headers: dict[bytes, bytes]) -> tuple[Turn, Form]:
    """Return what ``ChatReader`` returns for a request with audio, whose body ``receive`` returns."""
    return asyncio.run(ChatReader(LIMITS, EXECUTOR).read(post(receive, {b"content-type": b"audio/wav"} | headers)))


def in_form() -> dict[str, Any]:
    return {
        "data": {"text": "Look", "output": "voice", "max_tokens": "7", "messages": '[{"role":"user","content":"Hi"}]'},
        "files": [("audio", ("a", silence(0.5))), ("image", ("b", png())), ("image", ("c", png(4, 4)))],
    }


def in_json() -> dict[str, Any]:
    second = base64.b64encode(png(4, 4)).decode()
    return {
        "json": {
            "text": "Look",
            "output": "voice",
            "max_tokens": 7,
            "messages": [{"role": "user", "content": "Hi"}],
            "audio": base64.b64encode(silence(0.5)).decode(),
            "image": [base64.b64encode(png()).decode(), f"data:image/png;base64,{second}"],
        }
    }


@pytest.mark.parametrize("request_parts", [in_form(), in_json()], ids=["form", "json"])
def test_a_form_and_json_have_the_same_meaning(request_parts: dict[str, Any]) -> None:
    turn, form = read(**request_parts)
    assert form is Form.WAV
    assert turn.output is Output.VOICE
    assert turn.inputs == {Input.TEXT, Input.SPEECH, Input.IMAGE}
    assert turn.chat.max_tokens == 7
    earlier, last = turn.messages
    assert (earlier.role, earlier.text) == ("user", "Hi")
    assert last.text == "Look"
    assert last.audio[0].duration_s == pytest.approx(0.5)
    assert [image.pixels.shape for image in last.images] == [(6, 8, 3), (4, 4, 3)]


def test_accepts_a_urlencoded_form() -> None:
    turn, _ = read(data={"text": "Good day & night", "output": "voice"})
    assert (turn.messages[-1].text, turn.output) == ("Good day & night", Output.VOICE)


@pytest.mark.parametrize(
    ("content_type", "body", "inputs"),
    [
        ("text/plain", b"Hello", {Input.TEXT}),
        ("text/plain; charset=utf-8", "Grüße".encode(), {Input.TEXT}),
        ("audio/wav", silence(0.5), {Input.SPEECH}),
        ("audio/mpeg", silence(0.5), {Input.SPEECH}),
        ("image/png", png(), {Input.TEXT, Input.IMAGE}),
        ("audio/wav", png(), {Input.TEXT, Input.IMAGE}),
    ],
)
def test_the_content_decides_the_kind_of_a_raw_body(content_type: str, body: bytes, inputs: set[Input]) -> None:
    turn, form = read(content=body, headers={"content-type": content_type})
    assert turn.inputs == inputs
    assert form is Form.JSON


def test_reads_the_other_fields_of_a_raw_body_from_the_query() -> None:
    turn, form = read(
        content=png(),
        headers={"content-type": "image/png", "accept": "application/json"},
        params={"output": "voice", "text": "What is this?", "temperature": "0"},
    )
    assert (turn.output, form) == (Output.VOICE, Form.JSON)
    assert turn.messages[-1].text == "What is this?"
    assert turn.chat.temperature == 0


def test_the_body_overrides_the_query() -> None:
    assert read(json={"text": "a", "output": "text"}, params={"output": "voice"})[0].output is Output.TEXT


def test_a_picture_without_text_gets_the_prompt_of_the_settings() -> None:
    assert read(files={"image": ("p", png())})[0].messages[-1].text == LIMITS.image_prompt


def test_the_system_prompt_is_the_first_message() -> None:
    turn, _ = read(json={"text": "a", "system": "Be brief.", "messages": [{"role": "assistant", "content": "b"}]})
    assert [(m.role, m.text) for m in turn.messages] == [("system", "Be brief."), ("assistant", "b"), ("user", "a")]


def test_reads_voice_and_language() -> None:
    turn, _ = read(json={"text": "a", "voice": "nova", "language": "de"})
    assert (turn.voice.voice, turn.transcription.language) == ("nova", "de")


def test_a_turn_has_the_id_of_its_request() -> None:
    assert read(json={"text": "a"}, headers={"x-request-id": "r1"})[0].id == "r1"
    assert len(read(json={"text": "a"})[0].id) == 32


def test_template_tokens_in_a_text_are_kept() -> None:
    text = "[INST] <s> </s> <|im_start|> {{x}}"
    assert read(json={"text": text})[0].messages[-1].text == text


def body_of(content_type: str, content: bytes) -> dict[str, Any]:
    return {"content": content, "headers": {"content-type": content_type} if content_type else {}}


def part(name: str, value: bytes | str) -> dict[str, Any]:
    return {"files": {name: (None, value) if isinstance(value, str) else ("f", value)}}


BAD: dict[str, tuple[dict[str, Any], type[ParleyError], str, str | None]] = {
    "no body": (body_of("", b""), MalformedBody, "no body", None),
    "empty JSON": (body_of("application/json", b""), MalformedBody, "no body", None),
    "no content type": (body_of("", b"hello"), UnsupportedMedia, "is missing", None),
    "unknown content type": (body_of("application/pdf", b"%PDF"), UnsupportedMedia, "application/pdf", None),
    "JSON called a form": (
        body_of("application/x-www-form-urlencoded", b'{"text":"a"}'),
        UnknownField,
        "no field",
        '{"text":"a"}',
    ),
    "broken JSON": (body_of("application/json", b'{"text": "a",}'), MalformedBody, "line 1", None),
    "JSON in Latin-1": (body_of("application/json", b'{"text": "\xe4"}'), MalformedBody, "UTF-8", None),
    "deeply nested JSON": (body_of("application/json", b"[" * 99_000), MalformedBody, "deep", None),
    "JSON that is a list": (body_of("application/json", b"[1]"), MalformedBody, "object", None),
    "text in Latin-1": (body_of("text/plain", b"\xe4"), MalformedBody, "UTF-8", "text"),
    "form without boundary": (body_of("multipart/form-data", b"--x"), MalformedBody, "boundary", None),
    "a form that is plain text": (body_of("multipart/form-data; boundary=x", b"text=a"), MalformedBody, "form", None),
    "unknown field": ({"json": {"txet": "a"}}, UnknownField, "txet", "txet"),
    "unknown part": (part("txet", "a"), UnknownField, "txet", "txet"),
    "unknown query": ({"json": {"text": "a"}, "params": {"ouptut": "text"}}, UnknownField, "ouptut", "ouptut"),
    "unknown field of a message": (
        {"json": {"text": "a", "messages": [{"role": "user", "content": "b", "x": 1}]}},
        UnknownField,
        "x",
        "messages.0.x",
    ),
    "empty text": ({"json": {"text": ""}}, NothingToAnswer, "message is empty", "text"),
    "text of spaces": (body_of("text/plain", b" \n "), NothingToAnswer, "message is empty", "text"),
    "empty form": (part("system", "Be brief."), NothingToAnswer, "message is empty", "text"),
    "text that is a number": ({"json": {"text": 5}}, InvalidRequest, "text", "text"),
    "a lone surrogate": (body_of("application/json", b'{"text": "\\ud800"}'), InvalidRequest, "text", "text"),
    "output=smell": ({"json": {"text": "a", "output": "smell"}}, InvalidRequest, "'text' or 'voice'", "output"),
    "a field twice": (
        {"files": [("text", (None, "a")), ("text", (None, "b"))]},
        InvalidRequest,
        "more than once",
        "text",
    ),
    "max_tokens=0": ({"json": {"text": "a", "max_tokens": 0}}, InvalidRequest, "greater than 0", "max_tokens"),
    "temperature above 2": ({"json": {"text": "a", "temperature": 9}}, InvalidRequest, "less than", "temperature"),
    "unknown role": (
        {"json": {"text": "a", "messages": [{"role": "narrator", "content": "b"}]}},
        InvalidRequest,
        "'user'",
        "messages.0.role",
    ),
    "messages that are not JSON": (
        {"files": {"text": (None, "a"), "messages": (None, "Hi")}},
        InvalidRequest,
        "JSON",
        "messages",
    ),
    "language": ({"json": {"text": "a", "language": "English"}}, InvalidRequest, "match", "language"),
    "audio that is not base64": ({"json": {"audio": "https://x/a.wav"}}, InvalidRequest, "base64", "audio"),
    "a text named .wav": (
        {"files": {"audio": ("a.wav", b"Dear Sir or Madam", "audio/wav")}},
        UnsupportedMedia,
        "looks like text",
        "audio",
    ),
    "an SVG": (body_of("image/svg+xml", b"<svg/>"), UnsupportedMedia, "SVG", "image"),
    "a truncated PNG": (part("image", png()[:50]), BrokenMedia, "PNG", "image"),
    "no samples": (part("audio", silence(0)), NoSpeech, "no samples", "audio"),
    "audio as a picture": (part("image", silence(0.5)), UnsupportedMedia, "looks like audio", "image"),
    "too many pictures": (
        {"files": [("image", ("p", png()))] * 5},
        InvalidRequest,
        "5 pictures; the limit is 4",
        "image",
    ),
    "too many pixels": (part("image", png(200, 200)), TooLarge, "200 x 200", "image"),
    "too long a recording": (part("audio", silence(2)), TooLarge, "longer than 1.5 s", "audio"),
    "too long a text": ({"json": {"text": "a" * 1001}}, TooLarge, "1,001", "text"),
    "too large": (body_of("audio/wav", b"\0" * 100_001), TooLarge, "100,000", None),
}


@pytest.mark.parametrize("name", BAD)
def test_rejects_an_invalid_request(name: str) -> None:
    request_parts, kind, message, param = BAD[name]
    with pytest.raises(ParleyError) as caught:
        read(**request_parts)
    assert type(caught.value) is kind
    assert message in caught.value.message
    assert caught.value.param == param
    assert caught.value.message.endswith(".")


def test_stops_reading_a_body_at_the_size_limit() -> None:
    received_bytes = 0

    async def receive() -> dict[str, Any]:
        nonlocal received_bytes
        received_bytes += 1000
        return {"type": "http.request", "body": b"\0" * 1000, "more_body": True}

    with pytest.raises(TooLarge):
        read_body(receive, {})
    assert received_bytes <= LIMITS.max_body_bytes + 1000


def test_rejects_a_content_length_above_the_limit_without_reading_the_body() -> None:
    async def receive() -> dict[str, Any]:
        pytest.fail("the body was read")

    with pytest.raises(TooLarge):
        read_body(receive, {b"content-length": b"2147483648"})


def test_rejects_a_body_that_ends_early() -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    with pytest.raises(MalformedBody):
        read_body(receive, {})


def test_the_error_of_a_field_has_no_text_of_pydantic() -> None:
    with pytest.raises(InvalidRequest) as caught:
        read(content=json.dumps({"text": "a", "output": "smell"}), headers={"content-type": "application/json"})
    assert caught.value.message == "The field 'output' should be 'text' or 'voice'."
