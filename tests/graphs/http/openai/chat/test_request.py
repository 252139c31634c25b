"""Requests to POST /v1/chat/completions: a turn, or a typed error that names a field."""

from __future__ import annotations

import asyncio
import json
import pickle
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from deployments.engines.llama.schema import converted
from deployments.errors import InvalidRequest, ParleyError, UnsupportedMedia
from deployments.settings import ChatConfig
from graphs.http.errors import response as error_response
from graphs.http.executor import CodecExecutor
from graphs.http.media.encode import AudioFormat
from graphs.http.media.fetch import Fetcher
from graphs.http.openai.chat.audio_id import audio_id
from graphs.http.openai.chat.request import ChatCompletionRequest, CompletionReader, CompletionRequest
from graphs.http.openai.models import Models, UnknownModel
from graphs.pipeline.plan import Stage, plan
from graphs.settings import GatewayConfig
from tests.graphs.http.client import budget, received, sandbox
from tests.graphs.http.media.files import png

CONFIG = GatewayConfig(model_aliases={"gpt-4o": "parley"})
MODELS = Models.deployed(
    {Stage.ASR: "recognizer", Stage.LLM: "chat", Stage.VISION: "chat", Stage.TTS: "voice"}, 1, CONFIG
)
PATH = "/v1/chat/completions"
USER = {"role": "user", "content": "hi"}
PICTURE_PART = {"type": "image_url", "image_url": {"url": "https://a.example/b.png"}}
LOOP = asyncio.Runner()
EXECUTOR = CodecExecutor(1)
FETCHER = Fetcher(CONFIG)  # fetches from no host

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
        lambda url: {"type": "image_url", "image_url": {"url": url}},
        st.sampled_from(["data:image/png;base64,AAAA", "https://a.example/b.png", "http://[", "https://\ud800"]) | JSON,
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


def read(fields: Any, fetcher: Fetcher = FETCHER) -> CompletionRequest:
    """Return what ``CompletionReader`` returns for a JSON body."""
    content = json.dumps(fields).encode()
    request = received(PATH, content=content, headers={"content-type": "application/json"})
    return LOOP.run(CompletionReader(CONFIG, EXECUTOR, sandbox(), budget(), MODELS, fetcher).read(request))


def user(*parts: Any) -> dict[str, Any]:
    """Return the fields of a request with one message of ``parts``."""
    return {"messages": [{"role": "user", "content": list(parts)}]}


class FakeFetcher(Fetcher):
    """Returns ``data`` for every URL, and keeps the arguments of its calls."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.calls: list[tuple[str, str]] = []

    async def fetch(self, url: str, param: str) -> bytes:
        self.calls.append((url, param))
        return self.data


@settings(max_examples=300, deadline=None)
@given(REQUEST)
@example({"messages": [USER], "stop": None, "audio": {"voice": None}, "modalities": ["audio"]})
def test_any_json_is_a_turn_or_a_typed_error(fields: Any) -> None:
    refusal = None
    try:
        request = read(fields)
    except ParleyError as error:
        refusal = error
    if refusal is None:
        assert plan(request.turn.inputs, request.turn.output).stages
    else:
        assert refusal.message
        assert 400 <= refusal.status < 500


def test_rejects_nan() -> None:
    with pytest.raises(InvalidRequest):
        read({"messages": [USER], "temperature": float("nan")})


@pytest.mark.parametrize(
    ("fields", "max_tokens"),
    [
        ({"max_tokens": 5}, 5),
        ({"max_completion_tokens": 6}, 6),
        ({"max_tokens": 7, "max_completion_tokens": 7}, 7),
        ({"max_tokens": 5, "max_completion_tokens": 6}, 6),
        ({"max_tokens": 5, "max_completion_tokens": None}, 5),
        ({}, None),
    ],
)
def test_reads_max_tokens_by_both_of_its_names(fields: dict[str, int], max_tokens: int | None) -> None:
    assert read({"messages": [USER], **fields}).turn.chat.max_tokens == max_tokens


def test_a_top_p_of_zero_is_the_smallest_that_the_settings_allow() -> None:
    top_p = read({"messages": [USER], "top_p": 0}).turn.chat.top_p
    assert top_p is not None
    assert ChatConfig(top_p=top_p).top_p < 1e-5


def test_accepts_the_name_of_a_participant_without_effect() -> None:
    assert read({"messages": [USER | {"name": "ada"}]}).turn.messages == read({"messages": [USER]}).turn.messages


@pytest.mark.parametrize("url", ["data:image/png;base64,", "data:", "data:,", "data:image/png;base64,  "])
def test_rejects_a_data_uri_without_data(url: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read(user({"type": "image_url", "image_url": {"url": url}}))
    assert caught.value.param == "messages.0.content.0.image_url.url"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": ["hi"]}, "messages.0"),
        ({"messages": [USER], "audio": "alloy"}, "audio"),
        ({"messages": [USER], "stream_options": []}, "stream_options"),
        (user({"type": "image_url", "image_url": "https://a.example/b.png"}), "messages.0.content.0.image_url"),
    ],
)
def test_a_message_about_an_object_contains_no_name_of_a_class(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read(fields)
    assert caught.value.param == param
    assert caught.value.message == f"The field '{param}' should be an object."


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": [USER], "\ud83d": 1},
        {"messages": [USER | {"\ud83d": 1}]},
        {"messages": [{"role": "\ud83d", "content": "hi"}]},
        user({"type": "\ud83d"}),
        {"messages": [USER], "response_format": {"type": "\ud83d"}},
        {"messages": [USER], "audio": {"\ud83d": 1}},
    ],
    ids=["field", "field of a message", "role", "part", "response format", "option"],
)
def test_a_lone_surrogate_is_a_typed_error(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read(fields)
    assert error_response(caught.value).status_code == 400


def test_the_error_about_a_schema_with_a_lone_surrogate_names_the_schema() -> None:
    fields = json.loads(Path("tests/data/inputs/surrogate_schema.json").read_text())
    schema = read(fields).turn.chat.json_schema
    assert schema is not None
    with pytest.raises(InvalidRequest) as caught:
        converted(schema)
    error = json.loads(bytes(error_response(pickle.loads(pickle.dumps(caught.value))).body))["error"]
    assert error["param"] == "response_format.json_schema.schema.properties.\\ud83d"
    assert "must be valid Unicode" in error["message"]


def test_rejects_too_many_pictures_before_fetching_any() -> None:
    fetcher = FakeFetcher(png())
    with pytest.raises(InvalidRequest, match="5 pictures; the limit is 4"):
        read(user(*[PICTURE_PART] * 5), fetcher)
    assert fetcher.calls == []


def test_decodes_a_fetched_picture() -> None:
    fetcher = FakeFetcher(png())
    assert len(read(user(PICTURE_PART), fetcher).turn.messages[0].images) == 1
    assert fetcher.calls == [("https://a.example/b.png", "messages.0.content.0.image_url.url")]


def test_fetches_a_url_once() -> None:
    fetcher = FakeFetcher(png())
    assert len(read(user(PICTURE_PART, PICTURE_PART), fetcher).turn.messages[0].images) == 2
    assert len(fetcher.calls) == 1


def test_rejects_a_fetched_page_by_its_location() -> None:
    with pytest.raises(UnsupportedMedia) as caught:
        read(user(PICTURE_PART), FakeFetcher(b"<!doctype html>"))
    assert caught.value.param == "messages.0.content.0.image_url"


def test_rejects_a_url_that_is_too_long() -> None:
    with pytest.raises(InvalidRequest, match="or its URL"):
        read(user({"type": "image_url", "image_url": {"url": "https://a.example/" + "b" * 3000}}))


def test_rejects_an_expired_audio_id_by_its_location() -> None:
    name = audio_id("It is Paris.", int(time.time()) - 1)
    with pytest.raises(InvalidRequest, match="expired") as caught:
        read({"messages": [USER, {"role": "assistant", "audio": {"id": name}}, USER]})
    assert caught.value.param == "messages.1.audio.id"


def test_an_audio_id_is_replaced_by_its_transcript() -> None:
    name = audio_id("It is Paris.", int(time.time()) + 60)
    turn = read({"messages": [USER, {"role": "assistant", "audio": {"id": name}}, USER]}).turn
    assert turn.messages[1].text == "It is Paris."


@pytest.mark.parametrize(
    ("fields", "stage"),
    [({}, None), ({"model": "gpt-4o"}, None), ({"model": "chat"}, Stage.LLM), ({"model": "chat-vision"}, Stage.VISION)],
)
def test_the_name_of_a_model_selects_its_stage(fields: dict[str, str], stage: Stage | None) -> None:
    assert read({"messages": [USER], **fields}).stage is stage


def test_rejects_a_model_of_another_route() -> None:
    with pytest.raises(UnknownModel):
        read({"messages": [USER], "model": "voice"})


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"audio": {}}, "audio"),
        ({"modalities": []}, "modalities"),
        ({"stream_options": {}}, "stream_options"),
        ({"modalities": ["audio"], "stream": True, "audio": {"format": "wav"}}, "audio.format"),
        ({"modalities": ["audio"], "response_format": {"type": "json_object"}}, "response_format"),
    ],
)
def test_rejects_fields_that_contradict_each_other(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read({"messages": [USER], **fields})
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("fields", "audio_format"),
    [
        ({}, AudioFormat.WAV),
        ({"stream": True}, AudioFormat.PCM),
        ({"audio": {"format": "pcm16"}}, AudioFormat.PCM),
        ({"audio": {"format": "mp3"}}, AudioFormat.MP3),
    ],
)
def test_audio_is_by_default_wav_and_in_a_stream_pcm(fields: dict[str, Any], audio_format: AudioFormat) -> None:
    assert read({"messages": [USER], "modalities": ["text", "audio"], **fields}).audio_format is audio_format


@pytest.mark.parametrize(
    ("response_format", "schema", "param"),
    [
        ({"type": "json_object"}, {"type": "object"}, "response_format"),
        (
            {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "array"}}},
            {"type": "array"},
            "response_format.json_schema.schema",
        ),
    ],
)
def test_a_response_format_becomes_a_json_schema(
    response_format: dict[str, Any], schema: dict[str, Any], param: str
) -> None:
    json_schema = read({"messages": [USER], "response_format": response_format}).turn.chat.json_schema
    assert json_schema is not None
    assert (json_schema.schema, json_schema.param) == (schema, param)


def test_a_developer_message_becomes_a_system_message() -> None:
    messages = read({"messages": [{"role": "developer", "content": "Be brief."}, USER]}).turn.messages
    assert [message.role for message in messages] == ["system", "user"]


def test_rejects_media_in_a_message_of_the_assistant() -> None:
    with pytest.raises(InvalidRequest, match="only a user's message") as caught:
        read({"messages": [{"role": "assistant", "content": [PICTURE_PART]}, USER]})
    assert caught.value.param == "messages.0"
