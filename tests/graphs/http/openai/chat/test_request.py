"""Chat requests of any shape: a turn, or a typed error that names a field. Never anything else."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from deployments.errors import InvalidRequest, ParleyError, UnsupportedMedia
from deployments.settings import GatewayConfig
from graphs.http.executor import Lanes
from graphs.http.media.fetch import Fetcher
from graphs.http.openai.chat.audio_id import audio_id, transcript
from graphs.http.openai.chat.request import ChatAsked, ChatCompletionRequest, read_chat_completion
from graphs.http.openai.models import Catalogue, UnknownModel, catalogue
from graphs.pipeline.plan import Stage, plan

NAMES = catalogue(
    {Stage.ASR: "hears", Stage.LLM: "thinks", Stage.VISION: "thinks", Stage.TTS: "speaks"}, 1, {"gpt-4o": "parley"}
)

DATA = Path(__file__).resolve().parents[1] / "data"
WORDS = [{"role": "user", "content": "hi"}]
LOOP = asyncio.Runner()
LANES = Lanes(1)
FETCHER = Fetcher(GatewayConfig())  # of no host

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


def read(fields: Any, names: Catalogue = NAMES, fetcher: Fetcher = FETCHER) -> ChatAsked:
    data = json.dumps(fields).encode()
    return LOOP.run(read_chat_completion(data, "id", GatewayConfig(), names, fetcher, LANES))


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


@pytest.mark.parametrize(
    ("fields", "longest"), [({"max_tokens": 5}, 5), ({"max_completion_tokens": 6}, 6),
                            ({"max_tokens": 7, "max_completion_tokens": 7}, 7), ({}, None)]
)  # fmt: skip
def test_the_longest_answer_has_two_names(fields: dict[str, int], longest: int | None) -> None:
    assert read({"messages": WORDS, **fields}).turn.chat.max_tokens == longest


def test_but_not_two_lengths() -> None:
    with pytest.raises(InvalidRequest) as caught:
        read({"messages": WORDS, "max_tokens": 5, "max_completion_tokens": 6})
    assert caught.value.param == "max_tokens"


def test_pictures_are_counted_before_any_is_fetched() -> None:
    part = {"type": "image_url", "image_url": {"url": "https://a.example/b.png"}}
    with pytest.raises(InvalidRequest, match="5 pictures came"):
        read({"messages": [{"role": "user", "content": [part] * 5}]})


def test_a_picture_that_was_fetched_is_looked_at() -> None:
    picture = (DATA / "two_red_circles.png").read_bytes()

    class Stand(Fetcher):
        async def fetch(self, url: str, param: str) -> bytes:
            assert (url, param) == ("https://a.example/b.png", "messages.0.content.0.image_url.url")
            return picture

    part = {"type": "image_url", "image_url": {"url": "https://a.example/b.png"}}
    asked = read({"messages": [{"role": "user", "content": [part]}]}, fetcher=Stand(GatewayConfig()))
    assert len(asked.turn.messages[0].images) == 1


def test_what_was_fetched_and_is_no_picture_is_refused_by_its_place() -> None:
    class Page(Fetcher):
        async def fetch(self, url: str, param: str) -> bytes:
            return b"<!doctype html>"

    part = {"type": "image_url", "image_url": {"url": "https://a.example/b.png"}}
    with pytest.raises(UnsupportedMedia) as caught:
        read({"messages": [{"role": "user", "content": [part]}]}, fetcher=Page(GatewayConfig()))
    assert caught.value.param == "messages.0.content.0.image_url"


def test_an_address_that_is_too_long_is_refused() -> None:
    part = {"type": "image_url", "image_url": {"url": "https://a.example/" + "b" * 3000}}
    with pytest.raises(InvalidRequest, match="or its address"):
        read({"messages": [{"role": "user", "content": [part]}]})


def test_an_audio_id_that_has_expired_is_refused_by_its_place() -> None:
    name = audio_id("It is Paris.", int(time.time()) - 1)
    with pytest.raises(InvalidRequest, match="expired") as caught:
        read({"messages": [*WORDS, {"role": "assistant", "audio": {"id": name}}, *WORDS]})
    assert caught.value.param == "messages.1.audio.id"


def test_names_of_models() -> None:

    assert read({"messages": WORDS}).stage is None
    assert read({"messages": WORDS, "model": "gpt-4o"}).stage is None
    assert read({"messages": WORDS, "model": "thinks"}).stage is Stage.LLM
    assert read({"messages": WORDS, "model": "thinks-vision"}).stage is Stage.VISION
    with pytest.raises(UnknownModel):
        read({"messages": WORDS, "model": "speaks"})


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
