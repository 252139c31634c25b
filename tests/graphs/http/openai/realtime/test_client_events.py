"""The messages of clients: valid ones become events, all others typed errors with the client's event_id."""

from __future__ import annotations

import base64
import contextlib
import json
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.realtime import RealtimeClientEvent

from graphs.http.openai.realtime import client_events
from graphs.http.openai.realtime.client_events import (
    AudioAppend,
    ClientEvent,
    EventError,
    InputImage,
    ItemCreate,
    ItemReference,
    ResponseCreate,
)

MESSAGE = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello"}]}
PNG = "data:image/png;base64," + base64.b64encode(b"\x89PNG").decode()


def parse(message: str | bytes) -> ClientEvent:
    return client_events.parse(message, max_bytes=10_000, max_items=1000)


def event(**fields: Any) -> ClientEvent:
    return parse(json.dumps(fields))


def refused(message: str | bytes | dict[str, Any]) -> EventError:
    """Return the error of a message, which can be encoded."""
    with pytest.raises(EventError) as raised:
        parse(json.dumps(message) if isinstance(message, dict) else message)
    error = raised.value
    for text in (error.type, error.code, error.message, error.param or "", error.event_id or ""):
        text.encode()
    return error


def item(**fields: Any) -> dict[str, Any]:
    return {"type": "conversation.item.create", "event_id": "mine", "item": MESSAGE | fields}


def test_every_client_event_of_openai_is_known() -> None:
    known = {get_args(kind.model_fields["type"].annotation)[0] for kind in get_args(get_args(RealtimeClientEvent)[0])}
    assert known == client_events._EVENTS.keys()


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("", "malformed_event"),
        ("hello", "malformed_event"),
        ("[]", "malformed_event"),
        ("null", "malformed_event"),
        ("{'type': 'response.create'}", "malformed_event"),
        (b"\xff\xfe", "malformed_event"),
        ('{"type": "response.create", "x": NaN}', "malformed_event"),
        ('{"type": "response.create", "x": ' + "9" * 5000 + "}", "malformed_event"),
        ('{"type": "response.create", "x": ' + "[" * 900, "malformed_event"),
        ("[" * 5000, "too_large"),
        ('{"type": "response.create", "x": "' + "a" * 10_000 + '"}', "too_large"),
        ("{}", "invalid_value"),
        ('{"type": 1}', "invalid_value"),
        ('{"type": ["response.create"]}', "invalid_value"),
        ('{"type": "response.made_up"}', "invalid_value"),
        ('{"type": "\\ud800"}', "invalid_value"),
        ('{"type": "response.create", "\\ud800": 1}', "unknown_field"),
        ('{"type": "response.create", "response": {"temperature": 1}}', "unknown_field"),
    ],
)
def test_a_malformed_message_is_a_typed_error(message: str | bytes, code: str) -> None:
    assert refused(message).code == code


def test_the_last_of_two_fields_with_one_name_counts() -> None:
    assert parse('{"type": "response.cancel", "type": "response.create"}').type == "response.create"  # type: ignore[attr-defined]


def test_an_error_has_the_events_id() -> None:
    assert refused({"type": "response.made_up", "event_id": "mine"}).event_id == "mine"


@pytest.mark.parametrize("event_id", [None, 3, "a" * 513, "\ud800", {}])
def test_an_event_id_that_is_not_valid_is_left_out(event_id: Any) -> None:
    assert refused({"type": "response.made_up", "event_id": event_id}).event_id is None


@pytest.mark.parametrize("audio", [None, 7, "?", "AAA", "AA=A", "é", "\ud800", ["AAAA"], "data:audio/wav;base64,AAAA"])
def test_audio_that_is_not_base64_is_refused(audio: Any) -> None:
    assert refused({"type": "input_audio_buffer.append", "audio": audio}).param == "audio"


def test_audio_is_decoded_and_may_be_empty() -> None:
    appended = event(type="input_audio_buffer.append", audio="AAEC")
    assert isinstance(appended, AudioAppend)
    assert appended.audio == b"\x00\x01\x02"
    assert event(type="input_audio_buffer.append", audio="").audio == b""  # type: ignore[attr-defined]


def test_an_event_knows_the_size_of_its_message() -> None:
    message = '{"type": "response.create"}'
    assert parse(message).size == len(message)


def test_null_is_the_same_as_leaving_a_field_out() -> None:
    created = event(type="response.create", event_id=None, response=None)
    assert created.model_dump() == event(type="response.create").model_dump()


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"type": "function_call"}, "item"),
        ({"type": "function_call_output", "call_id": "1", "output": "x"}, "item"),
        ({"role": "tool"}, "item.role"),
        ({"id": ""}, "item.id"),
        ({"id": "a" * 300}, "item.id"),
        ({"content": "Hello"}, "item.content"),
        ({"content": [{"type": "text", "text": "Hello"}]}, "item.content.0"),
        ({"content": [{"type": "input_text"}]}, "item.content.0.text"),
        ({"content": [{"type": "input_text", "text": "\ud800"}]}, "item.content.0.text"),
        ({"content": [{"type": "output_text", "text": "Hello"}]}, "item"),
        ({"role": "assistant"}, "item"),
        ({"role": "system", "content": [{"type": "input_image", "image_url": PNG}]}, "item"),
        ({"content": [{"type": "input_image", "image_url": "https://a/b.png"}]}, "item.content.0.image_url"),
        ({"content": [{"type": "input_image", "image_url": "data:image/png;base64,?"}]}, "item.content.0.image_url"),
        ({"content": [{"type": "input_audio", "audio": "?"}]}, "item.content.0.audio"),
        ({"content": [{"type": "input_audio"}]}, "item.content.0"),
        ({"content": [{"type": "input_audio", "audio": "AAAA"}] * 2}, "item"),
        ({"content": [{"type": "input_text", "text": "a"}] * 65}, "item.content"),
    ],
)
def test_an_item_that_parley_cannot_have_is_refused_by_the_name_of_its_field(
    fields: dict[str, Any], param: str
) -> None:
    error = refused(item(**fields))
    assert error.event_id == "mine"
    assert error.param is not None
    assert error.param.startswith(param)


def test_a_picture_is_decoded_from_its_data_uri() -> None:
    created = event(**item(content=[{"type": "input_image", "image_url": PNG, "detail": "high"}]))
    assert isinstance(created, ItemCreate)
    [part] = created.item.content
    assert isinstance(part, InputImage)
    assert part.image_url == b"\x89PNG"


def test_a_response_may_have_items_and_references_as_input() -> None:
    created = event(type="response.create", response={"input": [MESSAGE, {"type": "item_reference", "id": "a"}]})
    assert isinstance(created, ResponseCreate)
    assert created.response.input is not None
    assert created.response.input[1] == ItemReference(type="item_reference", id="a")


@pytest.mark.parametrize(
    ("response", "param"),
    [
        ({"output_modalities": ["text", "audio"]}, "response.output_modalities"),
        ({"max_output_tokens": 0}, "response.max_output_tokens"),
        ({"max_output_tokens": "many"}, "response.max_output_tokens"),
        ({"max_output_tokens": 10**400}, "response.max_output_tokens"),
        ({"tools": [{"type": "function", "name": "f"}]}, "response.tools"),
        ({"tool_choice": "required"}, "response.tool_choice"),
        ({"prompt": {"id": "p"}}, "response.prompt"),
        ({"conversation": "other"}, "response.conversation"),
        ({"metadata": {"a": "b" * 513}}, "response.metadata"),
        ({"metadata": {str(n): "b" for n in range(17)}}, "response.metadata"),
        ({"metadata": {"a": 1}}, "response.metadata"),
        ({"audio": {"output": {"format": {"type": "mp3"}}}}, "response.audio.output.format"),
        ({"input": [{"type": "item_reference"}]}, "response.input.0.id"),
    ],
)
def test_a_response_that_parley_cannot_make_is_refused_by_the_name_of_its_field(
    response: dict[str, Any], param: str
) -> None:
    error = refused({"type": "response.create", "response": response})
    assert error.param is not None
    assert error.param.startswith(param)


@pytest.mark.parametrize("field", ["audio_end_ms", "content_index"])
@pytest.mark.parametrize("value", [-1, 1.5, "x", None, 10**30])
def test_a_truncation_has_whole_numbers(field: str, value: Any) -> None:
    fields = {"type": "conversation.item.truncate", "item_id": "a", "content_index": 0, "audio_end_ms": 0}
    assert refused(fields | {field: value}).param == field


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FIELDS = (
    "event_id", "session", "audio", "item", "previous_item_id", "item_id", "content_index", "audio_end_ms", "response",
    "response_id",
)  # fmt: skip


@settings(deadline=None)
@given(
    fields=st.fixed_dictionaries(
        {"type": st.sampled_from(sorted(client_events._EVENTS))},
        optional=dict.fromkeys(FIELDS, JSON),
    )
)
def test_any_json_is_an_event_or_a_typed_error(fields: dict[str, Any]) -> None:
    with contextlib.suppress(EventError):
        assert isinstance(parse(json.dumps(fields)), ClientEvent)


@settings(deadline=None)
@given(message=st.text(st.characters(codec=None)) | st.binary())
def test_any_message_is_an_event_or_a_typed_error(message: str | bytes) -> None:
    with pytest.raises(EventError):
        parse(message)


def test_a_message_is_limited_and_counted_in_bytes_of_utf8() -> None:
    message = json.dumps({"type": "response.cancel", "event_id": "ü" * 100}, ensure_ascii=False)
    size = len(message.encode())
    assert client_events.parse(message, max_bytes=size, max_items=10).size == size
    with pytest.raises(client_events.EventError, match="larger than"):
        client_events.parse(message, max_bytes=size - 1, max_items=10)
