"""The session object: its defaults, the merge of updates, and what is refused or has no effect."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.realtime import RealtimeSessionCreateRequest, RealtimeTranscriptionSessionCreateRequest

from deployments.errors import InvalidRequest, UnknownField
from deployments.messages import TranscribeOptions
from graphs.http.openai.realtime.codecs import WireFormat
from graphs.http.openai.realtime.configuration import (
    Configuration,
    Kind,
    RealtimeConfiguration,
    SemanticVad,
    ServerVad,
    default,
    described,
    updated,
)
from tests.graphs.http.openai.realtime.invariants import nulls

VALUES: dict[str, Any] = {
    "type": "realtime",
    "audio": {},
    "include": [],
    "instructions": "Be brief.",
    "max_output_tokens": 10,
    "model": "parley",
    "output_modalities": ["text"],
    "parallel_tool_calls": True,
    "prompt": None,
    "reasoning": {"effort": "low"},
    "tool_choice": "auto",
    "tools": [],
    "tracing": "auto",
    "truncation": "auto",
}
INPUT_VALUES: dict[str, Any] = {
    "format": {"type": "audio/pcm", "rate": 24000},
    "noise_reduction": {"type": "near_field"},
    "transcription": {"model": "whisper-1", "language": "en", "prompt": "Parley", "delay": "low"},
    "turn_detection": {"type": "server_vad", "threshold": 0.4, "prefix_padding_ms": 200, "silence_duration_ms": 400},
}
OUTPUT_VALUES: dict[str, Any] = {"format": {"type": "audio/pcma"}, "speed": 1.2, "voice": {"id": "marin"}}


def realtime(**fields: Any) -> RealtimeConfiguration:
    configuration = updated(default("realtime", "parley"), fields)
    assert isinstance(configuration, RealtimeConfiguration)
    return configuration


def heard(**fields: Any) -> RealtimeConfiguration:
    return realtime(audio={"input": fields})


def test_the_defaults_are_openais() -> None:
    configuration = default("realtime", "parley")
    assert isinstance(configuration, RealtimeConfiguration)
    assert configuration.output_modalities == ["audio"]
    assert configuration.audio.input.wire is configuration.audio.output.wire is WireFormat.PCM
    assert configuration.audio.input.transcription is None
    detection = configuration.audio.input.turn_detection
    assert isinstance(detection, ServerVad)
    assert (detection.threshold, detection.prefix_padding_ms, detection.silence_duration_ms) == (0.5, 300, 500)
    assert (detection.create_response, detection.interrupt_response) == (True, True)
    assert detection.idle_timeout_ms is None


@pytest.mark.parametrize("kind", ["realtime", "transcription"])
def test_what_is_sent_has_openais_type_and_no_null(kind: Kind) -> None:
    session = described(default(kind, "parley"), "sess_1")
    type_ = RealtimeSessionCreateRequest if kind == "realtime" else RealtimeTranscriptionSessionCreateRequest
    type_.model_validate(session)
    assert list(nulls(session)) == []
    assert session["id"] == "sess_1"


@pytest.mark.parametrize(
    "fields",
    [
        {"audio": None},
        {"audio": {"input": None, "output": None}},
        {"audio": {"input": {"format": None}, "output": {"format": None}}},
    ],
)
def test_null_for_an_object_that_is_always_there_keeps_it(fields: dict[str, Any]) -> None:
    pcma = {"type": "audio/pcma"}
    first = realtime(audio={"input": {"transcription": {}, "format": pcma}, "output": {"voice": "a", "format": pcma}})
    assert updated(first, fields) == first


def test_null_removes_turn_detection_and_transcription() -> None:
    first = heard(transcription={})
    second = updated(first, {"audio": {"input": {"transcription": None, "turn_detection": None}}})
    assert (second.audio.input.transcription, second.audio.input.turn_detection) == (None, None)


def test_an_update_keeps_what_it_leaves_out() -> None:
    first = updated(default("realtime", "parley"), {"instructions": "Be brief.", "audio": {"output": {"voice": "a"}}})
    second = updated(first, {"audio": {"output": {"speed": 1.5}}})
    assert isinstance(second, RealtimeConfiguration)
    assert second.instructions == "Be brief."
    assert (second.audio.output.voice, second.audio.output.speed) == ("a", 1.5)
    assert second.audio.input == first.audio.input


def test_an_update_merges_objects_of_one_type() -> None:
    first = heard(turn_detection={"type": "server_vad", "threshold": 0.8})
    second = updated(first, {"audio": {"input": {"turn_detection": {"silence_duration_ms": 900}}}})
    assert second.audio.input.turn_detection == ServerVad(threshold=0.8, silence_duration_ms=900)


def test_an_object_of_another_type_has_its_own_defaults() -> None:
    assert heard(turn_detection={"type": "semantic_vad"}).audio.input.turn_detection == SemanticVad()
    assert heard(format={"type": "audio/pcmu"}).audio.input.wire is WireFormat.PCMU


def test_null_switches_off() -> None:
    on = heard(transcription={"model": "whisper-1"})
    off = updated(on, {"audio": {"input": {"transcription": None, "turn_detection": None}}})
    assert off.audio.input.transcription is None
    assert off.audio.input.turn_detection is None


def test_an_update_changes_nothing_if_it_is_refused() -> None:
    before = realtime(instructions="Be brief.")
    with pytest.raises(InvalidRequest):
        updated(before, {"instructions": "Be long.", "output_modalities": ["pictures"]})
    assert before.instructions == "Be brief."


def test_what_is_sent_can_be_sent_back() -> None:
    before = heard(**INPUT_VALUES)
    session = described(before, "sess_1")
    assert described(updated(before, session | {"expires_at": 1}), "sess_1") == session


def test_transcription_has_the_options_of_the_recognizer() -> None:
    configuration = heard(transcription={"model": "whisper-1", "language": "en-US", "prompt": "Parley"})
    assert configuration.audio.input.options == TranscribeOptions(language="en", prompt="Parley")


def test_every_field_of_openais_session_is_accepted() -> None:
    assert VALUES.keys() == RealtimeSessionCreateRequest.model_fields.keys()
    realtime(**VALUES)


@pytest.mark.parametrize("part", ["input", "output"])
def test_every_field_of_openais_audio_is_accepted(part: str) -> None:
    values = INPUT_VALUES if part == "input" else OUTPUT_VALUES
    audio = RealtimeSessionCreateRequest.model_fields["audio"].annotation.__args__[0]  # type: ignore[union-attr]
    of_part = audio.model_fields[part].annotation.__args__[0]
    assert values.keys() == of_part.model_fields.keys()
    realtime(audio={part: values})


@pytest.mark.parametrize("field", ["tracing", "parallel_tool_calls", "reasoning"])
def test_what_has_no_effect_is_not_sent_back(field: str) -> None:
    assert field not in described(realtime(**{field: VALUES[field]}), "sess_1")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"temperature": 0.8}, "session.temperature"),
        ({"audio": {"input": {"turn_detection": {"type": "server_vad", "eagerness": "low"}}}},
         "session.audio.input.turn_detection.eagerness"),
        ({"audio": {"inputs": {}}}, "session.audio.inputs"),
    ],
)  # fmt: skip
def test_an_unknown_field_is_refused_by_its_name(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(UnknownField) as raised:
        realtime(**fields)
    assert raised.value.param == param
    assert param in raised.value.message


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"type": "transcription"}, "session.type"),
        ({"tools": [{"type": "function", "name": "f"}]}, "session.tools"),
        ({"tool_choice": "required"}, "session.tool_choice"),
        ({"prompt": {"id": "p"}}, "session.prompt"),
        ({"include": ["item.input_audio_transcription.logprobs"]}, "session.include"),
        ({"model": None}, "session.model"),
        ({"model": 3}, "session.model"),
        ({"output_modalities": ["text", "audio"]}, "session.output_modalities"),
        ({"max_output_tokens": -1}, "session.max_output_tokens"),
        ({"audio": []}, "session.audio"),
        ({"audio": {"output": {"speed": float("inf")}}}, "session.audio.output.speed"),
        ({"audio": {"input": {"turn_detection": {"threshold": 2}}}}, "session.audio.input.turn_detection.threshold"),
        ({"audio": {"input": {"turn_detection": {"type": "loud_vad"}}}}, "session.audio.input.turn_detection"),
        ({"audio": {"input": {"format": {"type": "audio/pcm", "rate": 16000}}}}, "session.audio.input.format.rate"),
        ({"audio": {"input": {"transcription": {"keywords": ["a"]}}}}, "session.audio.input.transcription.keywords"),
        ({"audio": {"input": {"transcription": {"language": "1"}}}}, "session.audio.input.transcription.language"),
        ({"instructions": "\ud800"}, "session.instructions"),
    ],
)
def test_a_wrong_value_is_refused_by_the_name_of_its_field(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        realtime(**fields)
    assert raised.value.param is not None
    assert raised.value.param.startswith(param)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"max_output_tokens": 0}, "session.max_output_tokens"),
        ({"max_output_tokens": "many"}, "session.max_output_tokens"),
        ({"truncation": "some"}, "session.truncation"),
        ({"truncation": {"type": "retention_ratio", "retention_ratio": 5}}, "session.truncation"),
    ],
)
def test_a_wrong_value_of_several_types_is_refused_by_the_name_of_its_field_alone(
    fields: dict[str, Any], param: str
) -> None:
    with pytest.raises(InvalidRequest) as raised:
        realtime(**fields)
    assert raised.value.param == param


def test_a_transcription_session_has_no_answers() -> None:
    with pytest.raises(UnknownField):
        updated(default("transcription", "parley"), {"instructions": "Be brief."})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
AUDIO = st.fixed_dictionaries(
    {},
    optional={
        "input": st.fixed_dictionaries({}, optional={n: st.just(v) | JSON for n, v in INPUT_VALUES.items()}),
        "output": st.fixed_dictionaries({}, optional={n: st.just(v) | JSON for n, v in OUTPUT_VALUES.items()}),
    },
)
UPDATES = st.fixed_dictionaries(
    {}, optional={n: st.just(v) | JSON for n, v in VALUES.items() if n != "audio"} | {"audio": AUDIO | JSON}
)


@settings(deadline=None)
@given(updates=st.lists(UPDATES, max_size=4))
def test_any_update_gives_a_valid_session_or_a_typed_error(updates: list[dict[str, Any]]) -> None:
    configuration: Configuration = default("realtime", "parley")
    for update in updates:
        try:
            configuration = updated(configuration, update)
        except InvalidRequest as error:
            error.message.encode()
        session = described(configuration, "sess_1")
        RealtimeSessionCreateRequest.model_validate(session)
        assert list(nulls(session)) == []
