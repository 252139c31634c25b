"""Requests to turns: three forms with one meaning, and every way in which a request can be wrong."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import wave
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image as Pillow
from starlette.requests import Request

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
from deployments.settings import GatewayConfig
from graphs.pipeline.turn import Input, Output, Turn
from graphs.http.chat.accept import Form
from graphs.http.chat.request import read_chat
from graphs.http.executor import Lanes

LANES = Lanes(1)
LIMITS = GatewayConfig(max_body_bytes=100_000, max_text_chars=1000, max_audio_s=1.5, max_image_pixels=10_000)


def wav(seconds: float = 0.5) -> bytes:
    target = io.BytesIO()
    with wave.open(target, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(np.zeros(int(16_000 * seconds), np.int16).tobytes())
    return target.getvalue()


def png(width: int = 8, height: int = 6) -> bytes:
    target = io.BytesIO()
    Pillow.new("RGB", (width, height), "red").save(target, "PNG")
    return target.getvalue()


def read(limits: GatewayConfig = LIMITS, chunk_bytes: int = 1000, **parts: Any) -> tuple[Turn, Form]:
    """What ``read_chat`` makes of the request that httpx would send."""
    sent = httpx.Request("POST", "http://parley/chat", **parts)
    body = sent.read()
    chunks = [body[i : i + chunk_bytes] for i in range(0, len(body), chunk_bytes)] or [b""]
    messages = iter(
        {"type": "http.request", "body": chunk, "more_body": i + 1 < len(chunks)} for i, chunk in enumerate(chunks)
    )

    async def receive() -> dict[str, Any]:
        return next(messages)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/chat",
        "query_string": sent.url.query,
        "headers": [(name.lower(), value) for name, value in sent.headers.raw],
    }
    return asyncio.run(read_chat(Request(scope, receive), limits, LANES))


def in_form() -> dict[str, Any]:
    return {
        "data": {"text": "Look", "output": "voice", "max_tokens": "7", "messages": '[{"role":"user","content":"Hi"}]'},
        "files": [("audio", ("a", wav())), ("image", ("b", png())), ("image", ("c", png(4, 4)))],
    }


def in_json() -> dict[str, Any]:
    picture = base64.b64encode(png(4, 4)).decode()
    return {
        "json": {
            "text": "Look",
            "output": "voice",
            "max_tokens": 7,
            "messages": [{"role": "user", "content": "Hi"}],
            "audio": base64.b64encode(wav()).decode(),
            "image": [base64.b64encode(png()).decode(), f"data:image/png;base64,{picture}"],
        }
    }


@pytest.mark.parametrize("request_parts", [in_form(), in_json()], ids=["form", "json"])
def test_a_form_and_json_mean_the_same(request_parts: dict[str, Any]) -> None:
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


def test_a_form_without_files_may_be_urlencoded() -> None:
    turn, _ = read(data={"text": "Good day & night", "output": "voice"})
    assert (turn.messages[-1].text, turn.output) == ("Good day & night", Output.VOICE)


@pytest.mark.parametrize(
    ("content_type", "body", "inputs"),
    [
        ("text/plain", b"Hello", {Input.TEXT}),
        ("text/plain; charset=utf-8", "Grüße".encode(), {Input.TEXT}),
        ("audio/wav", wav(), {Input.SPEECH}),
        ("audio/mpeg", wav(), {Input.SPEECH}),
        ("image/png", png(), {Input.TEXT, Input.IMAGE}),
        ("audio/wav", png(), {Input.TEXT, Input.IMAGE}),
    ],
)
def test_a_raw_body_is_what_its_content_says(content_type: str, body: bytes, inputs: set[Input]) -> None:
    turn, form = read(content=body, headers={"content-type": content_type})
    assert turn.inputs == inputs
    assert form is Form.JSON


def test_the_query_of_a_raw_body() -> None:
    turn, form = read(
        content=png(),
        headers={"content-type": "image/png", "accept": "application/json"},
        params={"output": "voice", "text": "What is this?", "temperature": "0"},
    )
    assert (turn.output, form) == (Output.VOICE, Form.JSON)
    assert turn.messages[-1].text == "What is this?"
    assert turn.chat.temperature == 0


def test_the_body_wins_over_the_query() -> None:
    assert read(json={"text": "a", "output": "text"}, params={"output": "voice"})[0].output is Output.TEXT


def test_a_picture_without_a_word_is_asked_about() -> None:
    assert read(files={"image": ("p", png())})[0].messages[-1].text == LIMITS.image_prompt


def test_the_system_message_comes_first() -> None:
    turn, _ = read(json={"text": "a", "system": "Be brief.", "messages": [{"role": "assistant", "content": "b"}]})
    assert [(m.role, m.text) for m in turn.messages] == [("system", "Be brief."), ("assistant", "b"), ("user", "a")]


def test_voice_and_language() -> None:
    turn, _ = read(json={"text": "a", "voice": "nova", "language": "de"})
    assert (turn.voice.voice, turn.language) == ("nova", "de")


def test_the_turn_carries_the_id_of_its_request() -> None:
    assert read(json={"text": "a"}, headers={"x-request-id": "r1"})[0].id == "r1"
    assert len(read(json={"text": "a"})[0].id) == 32


def test_marks_of_a_template_stay_text() -> None:
    text = "[INST] <s> </s> <|im_start|> {{x}}"
    assert read(json={"text": text})[0].messages[-1].text == text


def body_of(content_type: str, content: bytes) -> dict[str, Any]:
    return {"content": content, "headers": {"content-type": content_type} if content_type else {}}


def part(name: str, value: bytes | str) -> dict[str, Any]:
    return {"files": {name: (None, value) if isinstance(value, str) else ("f", value)}}


BAD: dict[str, tuple[dict[str, Any], type[ParleyError], str, str | None]] = {
    "no body": (body_of("", b""), MalformedBody, "no body", None),
    "no body of JSON": (body_of("application/json", b""), MalformedBody, "no body", None),
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
    "JSON too deep": (body_of("application/json", b"[" * 99_000), MalformedBody, "deep", None),
    "JSON no object": (body_of("application/json", b"[1]"), MalformedBody, "object", None),
    "text in Latin-1": (body_of("text/plain", b"\xe4"), MalformedBody, "UTF-8", "text"),
    "form without boundary": (body_of("multipart/form-data", b"--x"), MalformedBody, "boundary", None),
    "a form that is none": (body_of("multipart/form-data; boundary=x", b"text=a"), MalformedBody, "form", None),
    "unknown field": ({"json": {"txet": "a"}}, UnknownField, "txet", "txet"),
    "unknown part": (part("txet", "a"), UnknownField, "txet", "txet"),
    "unknown query": ({"json": {"text": "a"}, "params": {"ouptut": "text"}}, UnknownField, "ouptut", "ouptut"),
    "unknown field of a message": (
        {"json": {"text": "a", "messages": [{"role": "user", "content": "b", "x": 1}]}},
        UnknownField,
        "x",
        "messages.0.x",
    ),
    "empty text": ({"json": {"text": ""}}, NothingToAnswer, "nothing to answer", "text"),
    "text of spaces": (body_of("text/plain", b" \n "), NothingToAnswer, "nothing to answer", "text"),
    "empty form": (part("system", "Be brief."), NothingToAnswer, "nothing to answer", "text"),
    "text of no type": ({"json": {"text": 5}}, InvalidRequest, "text", "text"),
    "a lone surrogate": (body_of("application/json", b'{"text": "\\ud800"}'), InvalidRequest, "text", "text"),
    "output=smell": ({"json": {"text": "a", "output": "smell"}}, InvalidRequest, "'text' or 'voice'", "output"),
    "twice": ({"files": [("text", (None, "a")), ("text", (None, "b"))]}, InvalidRequest, "more than once", "text"),
    "no tokens": ({"json": {"text": "a", "max_tokens": 0}}, InvalidRequest, "greater than 0", "max_tokens"),
    "too hot": ({"json": {"text": "a", "temperature": 9}}, InvalidRequest, "less than", "temperature"),
    "a role of no one": (
        {"json": {"text": "a", "messages": [{"role": "god", "content": "b"}]}},
        InvalidRequest,
        "'user'",
        "messages.0.role",
    ),
    "messages no JSON": (
        {"files": {"text": (None, "a"), "messages": (None, "Hi")}},
        InvalidRequest,
        "JSON",
        "messages",
    ),
    "language": ({"json": {"text": "a", "language": "English"}}, InvalidRequest, "match", "language"),
    "audio no base64": ({"json": {"audio": "https://x/a.wav"}}, InvalidRequest, "base64", "audio"),
    "a text named .wav": (
        {"files": {"audio": ("a.wav", b"Dear Sir or Madam", "audio/wav")}},
        UnsupportedMedia,
        "looks like text",
        "audio",
    ),
    "an SVG": (body_of("image/svg+xml", b"<svg/>"), UnsupportedMedia, "SVG", "image"),
    "a truncated PNG": (part("image", png()[:50]), BrokenMedia, "PNG", "image"),
    "no samples": (part("audio", wav(0)), NoSpeech, "no samples", "audio"),
    "sound as a picture": (part("image", wav()), UnsupportedMedia, "looks like a sound", "image"),
    "too many pictures": ({"files": [("image", ("p", png()))] * 5}, InvalidRequest, "at most 4", "image"),
    "too many pixels": (part("image", png(200, 200)), TooLarge, "200 x 200", "image"),
    "too long a sound": (part("audio", wav(2)), TooLarge, "longer than 1.5 s", "audio"),
    "too long a text": ({"json": {"text": "a" * 1001}}, TooLarge, "1,001", "text"),
    "too large": (body_of("audio/wav", b"\0" * 100_001), TooLarge, "100,000", None),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_request_is_told_what_would_be_right(name: str) -> None:
    request_parts, kind, words, param = BAD[name]
    with pytest.raises(ParleyError) as caught:
        read(**request_parts)
    assert type(caught.value) is kind
    assert words in caught.value.message
    assert caught.value.param == param
    assert caught.value.message.endswith(".")


def test_an_endless_body_is_refused_at_the_limit() -> None:
    received = 0

    async def receive() -> dict[str, Any]:
        nonlocal received
        received += 1000
        return {"type": "http.request", "body": b"\0" * 1000, "more_body": True}

    scope = {"type": "http", "method": "POST", "query_string": b"", "headers": [(b"content-type", b"audio/wav")]}
    with pytest.raises(TooLarge):
        asyncio.run(read_chat(Request(scope, receive), LIMITS, LANES))
    assert received <= LIMITS.max_body_bytes + 1000


def test_a_length_beyond_the_limit_is_refused_before_anything_is_read() -> None:
    async def receive() -> dict[str, Any]:
        pytest.fail("the body was read")

    headers = [(b"content-type", b"audio/wav"), (b"content-length", b"2147483648")]
    scope = {"type": "http", "method": "POST", "query_string": b"", "headers": headers}
    with pytest.raises(TooLarge):
        asyncio.run(read_chat(Request(scope, receive), LIMITS, LANES))


def test_a_client_that_leaves_while_sending() -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    scope = {"type": "http", "method": "POST", "query_string": b"", "headers": [(b"content-type", b"audio/wav")]}
    with pytest.raises(MalformedBody):
        asyncio.run(read_chat(Request(scope, receive), LIMITS, LANES))


def test_the_error_of_a_field_says_nothing_of_our_library() -> None:
    with pytest.raises(InvalidRequest) as caught:
        read(content=json.dumps({"text": "a", "output": "smell"}), headers={"content-type": "application/json"})
    assert caught.value.message == "The field 'output' should be 'text' or 'voice'."
