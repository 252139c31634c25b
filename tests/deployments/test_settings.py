from __future__ import annotations

import pickle
from typing import Any

import pytest
from pydantic import ValidationError

from deployments import settings
from deployments.errors import InvalidRequest
from deployments.messages import ChatOptions, SpeakOptions, TranscribeOptions
from deployments.settings import AppArgs, ChatConfig, SpeechToTextConfig, TextToSpeechConfig

ALL = [
    kind
    for kind in vars(settings).values()
    if isinstance(kind, type) and issubclass(kind, settings.Settings) and kind is not settings.Settings
]


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_an_unknown_key_is_refused_and_the_valid_ones_are_named(kind: type[settings.Settings]) -> None:
    with pytest.raises(ValidationError) as caught:
        kind.model_validate({"thraeds": 1})
    message = settings.explain(caught.value)
    assert "'thraeds'" in message
    for name in kind.model_fields:
        assert name in message


@pytest.mark.parametrize(
    "kind", [kind for kind in ALL if kind is not settings.CoquiArgs], ids=lambda kind: kind.__name__
)
def test_defaults_are_valid_and_immutable(kind: type[settings.Settings]) -> None:
    made = kind()
    assert kind.model_validate(made.model_dump()) == made
    with pytest.raises(ValidationError):
        setattr(made, next(iter(kind.model_fields)), None)


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_every_field_says_what_it_is_for(kind: type[settings.Settings]) -> None:
    plain = {"engine", "device", "speech_to_text", "text_llm", "vision_llm", "text_to_speech", "gateway"}
    assert not [name for name, field in kind.model_fields.items() if not field.description and name not in plain]


def test_the_engine_chooses_the_kind_of_arguments() -> None:
    made = AppArgs.model_validate({"text_llm": {"engine": "fake"}, "vision_llm": {"engine": "llama", "mmproj": "x"}})
    assert isinstance(made.text_llm, settings.FakeChatArgs)
    assert isinstance(made.vision_llm, settings.LlamaArgs)


def test_an_unknown_engine_is_refused_and_the_known_ones_are_named() -> None:
    with pytest.raises(ValidationError, match="'llama', 'fake'"):
        AppArgs.model_validate({"text_llm": {"engine": "oracle"}})


def test_arguments_survive_pickling() -> None:
    made = AppArgs()
    assert pickle.loads(pickle.dumps(made)) == made


def test_a_relative_path_counts_from_the_repository() -> None:
    assert settings.resolve("deployments/settings.py").is_file()
    assert str(settings.resolve("/elsewhere/model.gguf")) == "/elsewhere/model.gguf"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "either model"),
        ({"model": "a.pth", "config": "a.json", "model_name": "tts_models/en/ljspeech/vits"}, "either model"),
        ({"model": "a.pth"}, "model and config belong together"),
        ({"model_name": "tts_models/en/ljspeech/vits", "config": "a.json"}, "model and config belong together"),
        ({"model": "a.pth", "config": "a.json", "vocoder": "v.pth"}, "vocoder_config belong together"),
    ],
)
def test_half_a_voice_is_refused(given: dict[str, str], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        settings.CoquiArgs.model_validate(given)


def test_no_worker_of_a_chat_model_is_without_a_conversation() -> None:
    with pytest.raises(ValidationError, match="parallel is less than workers"):
        settings.LlamaArgs(workers=3, parallel=2)


def test_a_request_overrides_what_it_chooses_and_nothing_else() -> None:
    live = ChatConfig(temperature=0.2, max_tokens=50, stop=("END",))
    chosen = live.for_request(ChatOptions(temperature=0.0, stop=("\n",), seed=7))
    assert chosen == ChatConfig(temperature=0.0, max_tokens=50, stop=("END", "\n"), seed=7)
    assert SpeechToTextConfig(beam_size=3).for_request(TranscribeOptions(language="de")).beam_size == 3
    assert TextToSpeechConfig(speed=1.5).for_request(SpeakOptions()).speed == 1.5


@pytest.mark.parametrize(
    ("live", "options", "param"),
    [
        (ChatConfig(), ChatOptions(temperature=-1), "temperature"),
        (ChatConfig(), ChatOptions(top_p=0.0), "top_p"),
        (ChatConfig(), ChatOptions(max_tokens=0), "max_tokens"),
        (ChatConfig(), ChatOptions(stop=("",)), "stop"),
        (ChatConfig(), ChatOptions(seed=-1), "seed"),
        (SpeechToTextConfig(), TranscribeOptions(language="English"), "language"),
        (TextToSpeechConfig(), SpeakOptions(speed=100), "speed"),
    ],
)
def test_an_option_out_of_bounds_is_the_clients_error(live: Any, options: Any, param: str) -> None:
    with pytest.raises(InvalidRequest, match=param) as caught:
        live.for_request(options)
    assert caught.value.param == param
