"""The names of models and voices, and the aliases of both."""

from __future__ import annotations

import pytest

from graphs.http.openai.models import Models, NoSuchModel, UnknownModel
from graphs.pipeline.plan import Stage
from graphs.settings import OPENAI_VOICES, GatewayConfig

CHAT = (Stage.LLM, Stage.VISION)
CONFIG = GatewayConfig(model_aliases={"gpt-4o": "parley", "whisper-1": "recognizer"})
NAMES = {Stage.ASR: "recognizer", Stage.LLM: "chat", Stage.VISION: "chat", Stage.TTS: "voice"}
MODELS = Models.deployed(NAMES, 1, CONFIG)


def test_a_vision_model_with_the_name_of_the_text_model_gets_a_suffix() -> None:
    assert MODELS.names[Stage.VISION] == "chat-vision"
    assert Models.deployed(NAMES | {Stage.VISION: "other"}, 1, CONFIG).names[Stage.VISION] == "other"


@pytest.mark.parametrize(
    ("name", "stage"),
    [("parley", None), ("gpt-4o", None), ("chat", Stage.LLM), ("chat-vision", Stage.VISION)],
)
def test_the_name_of_a_model_selects_its_stage(name: str, stage: Stage | None) -> None:
    assert MODELS.stage(name, CHAT) is stage


def test_an_alias_selects_the_stage_of_its_model() -> None:
    assert MODELS.stage("whisper-1", (Stage.ASR,)) is Stage.ASR


@pytest.mark.parametrize("name", ["", "gpt-5", "voice", "recognizer", "whisper-1"])
def test_rejects_a_model_of_another_route_with_the_names_of_this_one(name: str) -> None:
    with pytest.raises(UnknownModel, match="only parley, chat, chat-vision") as caught:
        MODELS.stage(name, CHAT)
    assert (caught.value.status, caught.value.code, caught.value.param) == (400, "model_not_found", "model")


def test_the_error_of_a_long_name_is_short() -> None:
    with pytest.raises(UnknownModel) as caught:
        MODELS.stage("x" * 10_000, CHAT)
    assert len(caught.value.message) < 250


def test_lists_every_model_once() -> None:
    listing = MODELS.listing(())
    assert listing["object"] == "list"
    assert [entry["id"] for entry in listing["data"]] == ["parley", "recognizer", "chat", "chat-vision", "voice"]
    assert listing["data"][0] == {"id": "parley", "object": "model", "created": 1, "owned_by": "parley"}


@pytest.mark.parametrize("name", ["parley", "chat-vision", "gpt-4o"])
def test_an_entry_has_the_requested_name(name: str) -> None:
    assert MODELS.entry(name, ("a", "b")) == {"id": name, "object": "model", "created": 1, "owned_by": "parley"}


def test_the_speech_model_has_its_voices() -> None:
    models = Models.deployed(NAMES, 1, GatewayConfig(model_aliases={"tts-1": "voice"}))
    assert models.listing(("a", "b"))["data"][-1]["voices"] == ["a", "b"]
    assert models.entry("tts-1", ("a", "b"))["voices"] == ["a", "b"]
    assert "voices" not in models.entry("voice", ())


def test_there_is_no_entry_for_an_unknown_name() -> None:
    with pytest.raises(NoSuchModel) as caught:
        MODELS.entry("gpt-5", ())
    assert (caught.value.status, caught.value.code, caught.value.param) == (404, "model_not_found", "model")


def test_an_alias_of_a_voice_is_replaced() -> None:
    models = Models.deployed(NAMES, 1, GatewayConfig(voice_aliases={"alloy": None, "nova": "speaker-3"}))
    assert models.voice("alloy") is None
    assert models.voice("nova") == "speaker-3"
    assert models.voice("speaker-5") == "speaker-5"
    assert models.voice(None) is None


@pytest.mark.parametrize("name", OPENAI_VOICES)
def test_openais_voices_are_the_default_voice(name: str) -> None:
    assert MODELS.voice(name) is None
