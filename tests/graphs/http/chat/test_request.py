"""Requests to POST /chat: three forms with the same meaning, and every kind of invalid request."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from starlette.formparsers import MultiPartParser
from starlette.types import Message, Receive

from deployments.errors import (
    BrokenMedia,
    InvalidRequest,
    MalformedBody,
    NoSpeech,
    NothingToAnswer,
    Overloaded,
    ParleyError,
    TooLarge,
    UnknownField,
    UnsupportedMedia,
)
from graphs.http.body import BoundedRequest
from graphs.http.budget import Reservation
from graphs.http.chat.accept import Form
from graphs.http.chat.request import ChatReader
from graphs.http.executor import CodecExecutor
from graphs.pipeline.turn import Input, Output, Turn
from graphs.settings import GatewayConfig
from tests.graphs.http.client import budget, post, received, sandbox
from tests.graphs.http.media.files import png, silence

EXECUTOR = CodecExecutor(1)
LIMITS = GatewayConfig(max_body_bytes=100_000, max_text_chars=1000, max_audio_s=1.5, max_image_pixels=10_000)


def read(limits: GatewayConfig = LIMITS, **parts: Any) -> tuple[Turn, Form]:
    """Return what ``ChatReader`` returns for the request that httpx sends."""
    return asyncio.run(ChatReader(limits, EXECUTOR, sandbox(), budget()).read(received("/chat", **parts)))


def read_body(receive: Receive, headers: dict[bytes, bytes]) -> tuple[Turn, Form]:
    """Return what ``ChatReader`` returns for a request with audio, whose body ``receive`` returns."""
    return asyncio.run(
        ChatReader(LIMITS, EXECUTOR, sandbox(), budget()).read(post(receive, {b"content-type": b"audio/wav"} | headers))
    )


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


EMPTY = dict.fromkeys(("output", "max_tokens", "messages", "system", "voice", "language", "temperature"), "")


def test_fields_of_a_form_that_are_left_empty_are_as_if_not_sent() -> None:
    fields = "".join(
        f'--x\r\nContent-Disposition: form-data; name="{name}"{rest}\r\n\r\n{value}\r\n'
        for name, rest, value in (
            ("text", "", "Hi"),
            *((name, "", value) for name, value in EMPTY.items()),
            ("audio", '; filename=""\r\nContent-Type: application/octet-stream', ""),
            ("image", '; filename=""\r\nContent-Type: application/octet-stream', ""),
        )
    )
    turn, _ = read(**body_of("multipart/form-data; boundary=x", f"{fields}--x--\r\n".encode()))
    assert turn == replace(read(json={"text": "Hi"})[0], id=turn.id)
    assert read(data={"text": "Hi", **EMPTY})[0].messages == turn.messages


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
    "language": ({"json": {"text": "a", "language": "Klingon"}}, InvalidRequest, "such as en", "language"),
    "audio that is not base64": ({"json": {"audio": "https://x/a.wav"}}, InvalidRequest, "base64", "audio"),
    "a text named .wav": (
        {"files": {"audio": ("a.wav", b"Dear Sir or Madam", "audio/wav")}},
        UnsupportedMedia,
        "looks like text",
        "audio",
    ),
    "an SVG": (body_of("image/svg+xml", b"<svg/>"), UnsupportedMedia, "SVG", "image"),
    "a truncated PNG": (part("image", png()[:50]), BrokenMedia, "PNG", "image"),
    "an empty file": (part("audio", b""), UnsupportedMedia, "not audio", "audio"),
    "an empty text of a form": (
        {"data": {"text": "", "output": ""}},
        NothingToAnswer,
        "message is empty",
        "text",
    ),
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


def chunks(count: int, end: Message | None = None) -> Receive:
    """Return a body of ``count`` times 1,000 bytes; then ``end``, by default the end of the body."""
    messages = iter([{"type": "http.request", "body": b"\0" * 1000, "more_body": True}] * count)

    async def receive() -> Message:
        await asyncio.sleep(0)
        return next(messages, end or {"type": "http.request", "body": b""})

    return receive


def test_limits_the_bytes_of_all_bodies_together() -> None:
    bodies = budget(2500)
    reader = ChatReader(LIMITS, EXECUTOR, sandbox(), bodies)

    async def read_all() -> list[Any]:
        requests = [post(chunks(count), {b"content-type": b"text/plain"}) for count in (1, 1, 1)]
        return await asyncio.gather(*map(reader.read, requests), return_exceptions=True)

    outcomes = asyncio.run(read_all())
    (refused,) = (outcome for outcome in outcomes if isinstance(outcome, ParleyError))
    assert isinstance(refused, Overloaded)
    assert refused.retry_after_s == 2
    assert bodies.used_bytes == 0


@pytest.mark.parametrize(
    ("content_type", "end", "kind"),
    [
        ("text/plain", {"type": "http.disconnect"}, MalformedBody),
        ("application/json", None, MalformedBody),
        ("multipart/form-data; boundary=x", None, MalformedBody),
        ("audio/wav", {"type": "http.request", "body": b"\0" * 100_000}, TooLarge),
    ],
    ids=["disconnected", "broken JSON", "broken form", "too large"],
)
def test_a_body_with_an_error_releases_its_bytes(
    content_type: str, end: Message | None, kind: type[ParleyError]
) -> None:
    bodies = budget(200_000)
    reader = ChatReader(LIMITS, EXECUTOR, sandbox(), bodies)
    with pytest.raises(kind):
        asyncio.run(reader.read(post(chunks(3, end), {b"content-type": content_type.encode()})))
    assert bodies.used_bytes == 0


def test_a_cancelled_request_releases_its_bytes() -> None:
    bodies = budget()
    reader = ChatReader(LIMITS, EXECUTOR, sandbox(), bodies)
    first = chunks(3)

    async def read_and_cancel() -> int:
        waits = asyncio.Event()
        received = 0

        async def receive() -> Message:
            nonlocal received
            received += 1
            if received > 3:
                waits.set()
                await asyncio.Event().wait()
            return await first()

        task = asyncio.create_task(reader.read(post(receive, {b"content-type": b"text/plain"})))
        await waits.wait()
        used_bytes = bodies.used_bytes
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return used_bytes

    assert asyncio.run(read_and_cancel()) == 3000
    assert bodies.used_bytes == 0


def test_counts_the_bytes_of_a_form_once() -> None:
    body = in_form() | {"data": {"text": "x" * 1000}}
    size_bytes = len(httpx.Request("POST", "http://parley", **body).read())
    reader = ChatReader(LIMITS, EXECUTOR, sandbox(), budget(size_bytes + 100))
    assert asyncio.run(reader.read(received("/chat", **body)))[0].messages[-1].text == "x" * 1000


def disk(monkeypatch: pytest.MonkeyPatch, *free_bytes: int) -> None:
    """Let the disk have ``free_bytes`` more than the minimum at each check, of which every body needs some."""
    monkeypatch.setattr(MultiPartParser, "spool_max_size", -1)
    minimum = LIMITS.min_free_disk_bytes
    values = iter(free_bytes)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=minimum + next(values)))


FORM_HEADERS = {b"content-type": b"multipart/form-data; boundary=x"}


def test_refuses_a_form_that_the_disk_has_no_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    disk(monkeypatch, 49_999)
    with pytest.raises(Overloaded, match="disk"):
        read_body(chunks(50), FORM_HEADERS | {b"content-length": b"50000"})


def test_stops_reading_an_upload_when_the_disk_fills_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    disk(monkeypatch, 60_000, 20_000, 999)
    reservation = Reservation(budget())
    upload = BoundedRequest(post(chunks(50), FORM_HEADERS), 100_000, reservation, LIMITS.min_free_disk_bytes)
    with pytest.raises(Overloaded, match="disk"):
        asyncio.run(upload.body())
    assert upload.received == 2000


def test_reads_a_form_that_stays_in_memory_when_the_disk_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=0))
    assert read(**in_form())[0].messages[-1].text == "Look"


def test_reads_other_bodies_when_the_disk_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    disk(monkeypatch)
    assert read(json={"text": "a"})[0].messages[-1].text == "a"


def test_rejects_a_body_that_ends_early() -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    with pytest.raises(MalformedBody):
        read_body(receive, {})


def test_the_error_of_a_field_has_no_text_of_pydantic() -> None:
    with pytest.raises(InvalidRequest) as caught:
        read(content=json.dumps({"text": "a", "output": "smell"}), headers={"content-type": "application/json"})
    assert caught.value.message == "The field 'output' should be 'text' or 'voice'."
