"""The rules that all settings follow (of deployments, engines and the Gateway), and the settings of one request."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

import graphs.settings
from deployments import settings
from deployments.engines.coqui.settings import CoquiArgs
from deployments.engines.fake import settings as fake
from deployments.engines.llama import settings as llama
from deployments.engines.llama.settings import LlamaArgs, LlamaConfig
from deployments.engines.registry import CHAT_MODELS, RECOGNIZERS, SYNTHESIZERS, EngineEntry, entry_of
from deployments.engines.whisper import settings as whisper
from deployments.engines.whisper.settings import WhisperArgs, WhisperConfig
from deployments.errors import InvalidRequest
from deployments.messages import ChatOptions, SpeakOptions, TranscribeOptions
from deployments.settings import ChatConfig, Settings, SpeechToTextConfig, TextToSpeechConfig

ENGINES = (*RECOGNIZERS, *CHAT_MODELS, *SYNTHESIZERS)
MODULES = (settings, fake, llama, whisper, graphs.settings)
ALL = sorted(
    {
        kind
        for module in MODULES
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, Settings) and kind is not Settings
    }
    | {kind for entry in ENGINES for kind in (entry.args, entry.config)},
    key=lambda kind: kind.__name__,
)


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_rejects_an_unknown_key_and_lists_the_valid_ones(kind: type[Settings]) -> None:
    with pytest.raises(ValidationError) as caught:
        kind.model_validate({"thraeds": 1})
    message = settings.explain(caught.value)
    assert "'thraeds'" in message
    for name in kind.model_fields:
        assert name in message


WITH_DEFAULTS = [
    kind
    for kind in ALL
    if kind is not CoquiArgs and not any(field.is_required() for field in kind.model_fields.values())
]


@pytest.mark.parametrize("kind", WITH_DEFAULTS, ids=lambda kind: kind.__name__)
def test_defaults_are_valid_and_immutable(kind: type[Settings]) -> None:
    made = kind()
    assert kind.model_validate(made.model_dump()) == made
    with pytest.raises(ValidationError):
        setattr(made, next(iter(kind.model_fields)), None)


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_every_field_has_a_description(kind: type[Settings]) -> None:
    plain = {"engine", "device", "speech_to_text", "text_llm", "vision_llm", "text_to_speech", "gateway"}
    assert not [name for name, field in kind.model_fields.items() if not field.description and name not in plain]


@pytest.mark.parametrize("entry", ENGINES, ids=lambda entry: entry.engine)
def test_an_engine_is_found_by_its_settings(entry: EngineEntry) -> None:
    args = entry.args.model_construct()
    assert entry_of(args) is entry
    assert entry.name == args.engine  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("entries", "common"),
    [(RECOGNIZERS, SpeechToTextConfig), (CHAT_MODELS, ChatConfig), (SYNTHESIZERS, TextToSpeechConfig)],
    ids=["recognizers", "chat models", "synthesizers"],
)
def test_the_live_settings_of_an_engine_extend_those_of_its_deployment(
    entries: tuple[EngineEntry, ...], common: type[Settings]
) -> None:
    for entry in entries:
        assert type(entry.live_settings(common)) is entry.config
        assert entry.config.model_fields.keys() >= common.model_fields.keys()


def test_a_relative_path_counts_from_the_root_of_the_repository() -> None:
    assert settings.resolve("deployments/settings.py").is_file()
    assert str(settings.resolve("/elsewhere/model.gguf")) == "/elsewhere/model.gguf"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "either model"),
        ({"model": "a.pth", "config": "a.json", "model_name": "tts_models/en/ljspeech/vits"}, "either model"),
        ({"model": "a.pth"}, "model and config belong together"),
        ({"model_name": "tts_models/en/ljspeech/vits", "config": "a.json"}, "model and config belong together"),
        ({"model": "a.pth", "config": "a.json", "vocoder": "v.pth"}, "vocoder_config belong together"),
    ],
)
def test_rejects_an_incomplete_coqui_model(given: dict[str, str], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        CoquiArgs.model_validate(given)


@pytest.mark.parametrize("name", ["tts_models/multilingual/multi-dataset/bark", "tts_models/en/x/Bark"])
def test_rejects_a_coqui_model_whose_loader_runs_code_of_its_file(name: str) -> None:
    with pytest.raises(ValidationError, match=r"[Bb]ark is not supported"):
        CoquiArgs(model_name=name)


def test_rejects_a_revision_without_a_repository() -> None:
    with pytest.raises(ValidationError, match="give repo_id as well"):
        LlamaArgs(revision="main")


@pytest.mark.parametrize("model", ["pocket/asr/weights", "whisper-base", "/models/whisper"])
def test_rejects_a_revision_of_a_whisper_model_that_is_not_on_the_hub(model: str) -> None:
    with pytest.raises(ValidationError, match="model names none"):
        WhisperArgs(model=model, revision="main")
    assert WhisperArgs(model="large-v3-turbo", revision="main").revision == "main"


def test_rejects_more_workers_than_slots() -> None:
    with pytest.raises(ValidationError, match="parallel is less than workers"):
        LlamaArgs(workers=3, parallel=2)


def test_a_request_overrides_only_what_it_sets() -> None:
    live = ChatConfig(temperature=0.2, max_tokens=50, stop=("END",))
    chosen = live.for_request(ChatOptions(temperature=0.0, stop=("\n",), seed=7))
    assert chosen == ChatConfig(temperature=0.0, max_tokens=50, stop=("END", "\n"), seed=7)
    assert WhisperConfig(beam_size=3).for_request(TranscribeOptions(language="de")).beam_size == 3
    assert LlamaConfig(top_k=3).for_request(ChatOptions(temperature=0.0)).top_k == 3
    assert TextToSpeechConfig(speed=1.5).for_request(SpeakOptions()).speed == 1.5


@pytest.mark.parametrize(
    ("live", "options", "param"),
    [
        (ChatConfig(), ChatOptions(temperature=-1), "temperature"),
        (ChatConfig(), ChatOptions(top_p=0.0), "top_p"),
        (ChatConfig(), ChatOptions(max_tokens=0), "max_tokens"),
        (ChatConfig(), ChatOptions(stop=("",)), "stop"),
        (ChatConfig(), ChatOptions(seed=-1), "seed"),
        (SpeechToTextConfig(), TranscribeOptions(language="Klingon"), "language"),
        (TextToSpeechConfig(), SpeakOptions(speed=100), "speed"),
    ],
)
def test_an_option_out_of_bounds_is_an_invalid_request_that_names_it(live: Any, options: Any, param: str) -> None:
    with pytest.raises(InvalidRequest, match=param) as caught:
        live.for_request(options)
    assert caught.value.param == param
