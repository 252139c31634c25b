"""Chat requests of any shape: a turn, or a typed error that names a field. Never anything else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from deployments.errors import InvalidRequest, ParleyError
from deployments.settings import GatewayConfig
from graphs.plan import Stage, plan
from graphs.wire.openai.audio_id import audio_id, transcript
from graphs.wire.openai.catalogue import Catalogue, UnknownModel, catalogue
from graphs.wire.openai.chat_request import ChatAsked, ChatCompletionRequest, read_chat_completion

NAMES = catalogue(
    {Stage.ASR: "hears", Stage.LLM: "thinks", Stage.VISION: "thinks", Stage.TTS: "speaks"}, 1, {"gpt-4o": "parley"}
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
PART = st.one_of(
    st.builds(lambda text: {"type": "text", "text": text}, st.text(max_size=20)),
    st.builds(
        lambda data: {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}, st.text(max_size=9)
    ),
    st.builds(
        lambda url: {"type": "image_url", "image_url": {"url": url}}, st.just("data:image/png;base64,AAAA") | JSON
    ),
    JSON,
)
MESSAGE = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "developer", "user", "assistant", "tool"]) | JSON},
    optional={
        "content": st.text(max_size=20) | st.lists(PART, max_size=3) | JSON,
        "audio": JSON | st.builds(lambda name: {"id": name}, st.text(max_size=20)),
        "refusal": JSON,
    },
)
REQUEST = st.fixed_dictionaries(
    {"messages": st.lists(MESSAGE, max_size=3) | JSON},
    optional={name: JSON for name in ChatCompletionRequest.model_fields if name != "messages"},
)


def read(fields: Any, names: Catalogue = NAMES) -> ChatAsked:
    return read_chat_completion(json.dumps(fields).encode(), "id", GatewayConfig(), names)


@settings(max_examples=300, deadline=None)
@given(REQUEST)
@example(
    {"messages": [{"role": "user", "content": "hi"}], "stop": None, "audio": {"voice": None}, "modalities": ["audio"]}
)
def test_any_shape_is_a_turn_or_a_typed_error(fields: Any) -> None:
    refusal = None
    try:
        asked = read(fields)
    except ParleyError as error:
        refusal = error
    if refusal is None:
        assert plan(asked.turn.inputs, asked.turn.output).stages
    else:
        assert refusal.message
        assert 400 <= refusal.status < 500


def test_what_cannot_be_counted_does_not_come_through() -> None:
    with pytest.raises(InvalidRequest):
        read({"messages": [{"role": "user", "content": "hi"}], "temperature": float("nan")})


def test_names_of_models() -> None:
    words = [{"role": "user", "content": "hi"}]
    assert read({"messages": words}).stage is None
    assert read({"messages": words, "model": "gpt-4o"}).stage is None
    assert read({"messages": words, "model": "thinks"}).stage is Stage.LLM
    assert read({"messages": words, "model": "thinks-vision"}).stage is Stage.VISION
    with pytest.raises(UnknownModel):
        read({"messages": words, "model": "speaks"})


@given(st.text(st.characters(codec="utf-8"), max_size=500))
def test_an_audio_id_holds_what_was_said(said: str) -> None:
    name = audio_id(said, 100)
    assert transcript(name, 99.0, "p") == said
    with pytest.raises(InvalidRequest, match="expired"):
        transcript(name, 100.0, "p")


@given(st.text(max_size=50) | st.binary(max_size=50).map(lambda b: "audio_" + b.hex()))
def test_no_other_id_is_one(name: str) -> None:
    with pytest.raises(InvalidRequest):
        transcript(name, 0, "p")
