"""The engines in one process run the stages of the graph; here they are fakes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from bench.direct import Configuration, Engines
from bench.pictures import draw, pixels
from deployments.messages import Audio
from graphs.settings import AppArgs

ARGS = AppArgs.model_validate(
    {
        "speech_to_text": {"engine": "fake", "transcript": "how are you"},
        "text_llm": {"engine": "fake"},  # repeats its question
        "vision_llm": {"engine": "fake", "vision": True},
        "text_to_speech": {"engine": "fake", "word_s": 0.1},
    }
)
NOISE = Audio(np.random.default_rng(0).uniform(-0.5, 0.5, 16_000).astype(np.float32), 16_000)


def test_text_to_text_calls_only_the_chat_model() -> None:
    result = asyncio.run(Engines(Configuration(ARGS, {})).respond("text", "good morning", None, None))
    assert (result.text, result.audio) == ("good morning", None)
    assert 0 < result.first_s <= result.last_s


def test_speech_to_voice_calls_all_stages_and_speaks_every_sentence() -> None:
    result = asyncio.run(Engines(Configuration(ARGS, {})).respond("voice", "Yes. No.", NOISE, None))
    assert result.text == "Yes. No.\nhow are you"
    assert result.audio is not None
    assert result.audio.duration_s == pytest.approx(5 * 0.1 + 3 * 0.15)  # a tone per word, a pause per sentence
    assert 0 < result.first_s <= result.last_s


def test_pictures_use_the_vision_model() -> None:
    result = asyncio.run(
        Engines(Configuration(ARGS, {})).respond("text", "what?", None, pixels(draw([("red", "star")] * 3)))
    )
    assert "360 by 240" in result.text
    assert "what?" in result.text


@pytest.mark.parametrize("config", ["serve_config.yaml", "configs/pocket.yaml", "bench/fakes.yaml"])
def test_loads_the_shipped_configurations(config: str) -> None:
    Engines(Configuration.load(Path(__file__).parents[2] / config))  # raises for an unknown setting


def test_uses_the_live_settings_of_each_deployment() -> None:
    live = {"TextLLM": {"max_tokens": 1}, "TextToSpeech": {"speed": 2.0, "pause_s": 0.1}}
    result = asyncio.run(Engines(Configuration(ARGS, live)).respond("voice", "good morning", None, None))
    assert result.text.strip() == "good"
    assert result.audio is not None
    assert result.audio.duration_s == pytest.approx(0.1 / 2 + 0.1)
