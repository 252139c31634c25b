"""The settings of the application. tests/deployments/test_settings.py tests the rules that all settings follow."""

from __future__ import annotations

import pickle

import pytest
from pydantic import ValidationError

from deployments.engines.fake.settings import FakeChatArgs
from deployments.engines.llama.settings import LlamaArgs
from graphs.settings import AppArgs


def test_the_field_engine_selects_the_kind_of_settings() -> None:
    made = AppArgs.model_validate({"text_llm": {"engine": "fake"}, "vision_llm": {"engine": "llama", "mmproj": "x"}})
    assert isinstance(made.text_llm, FakeChatArgs)
    assert isinstance(made.vision_llm, LlamaArgs)


def test_rejects_an_unknown_engine_and_names_the_known_ones() -> None:
    with pytest.raises(ValidationError, match="'llama', 'fake'"):
        AppArgs.model_validate({"text_llm": {"engine": "oracle"}})


def test_arguments_survive_pickling() -> None:
    made = AppArgs()
    assert pickle.loads(pickle.dumps(made)) == made
