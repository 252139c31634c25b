"""The engines in one process do what the graph does, on pretended engines."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from bench.direct import Engines
from bench.pictures import draw, pixels
from deployments.messages import Audio
from deployments.settings import AppArgs

ARGS = AppArgs.model_validate(
    {
        "speech_to_text": {"engine": "fake", "transcript": "how are you"},
        "text_llm": {"engine": "fake"},  # says its question back
        "vision_llm": {"engine": "fake", "vision": True},
        "text_to_speech": {"engine": "fake", "word_s": 0.1},
    }
)
NOISE = Audio(np.random.default_rng(0).uniform(-0.5, 0.5, 16_000).astype(np.float32), 16_000)


def test_text_to_text_calls_the_language_model_alone() -> None:
    answered = asyncio.run(Engines(ARGS, {}).answer("text", "good morning", None, None))
    assert (answered.text, answered.audio) == ("good morning", None)
    assert 0 < answered.first_s <= answered.last_s


def test_speech_to_voice_hears_thinks_and_speaks_every_sentence() -> None:
    answered = asyncio.run(Engines(ARGS, {}).answer("voice", "Yes. No.", NOISE, None))
    assert answered.text == "Yes. No.\nhow are you"
    assert answered.audio is not None
    assert answered.audio.duration_s == pytest.approx(0.5)  # a tone a word
    assert 0 < answered.first_s <= answered.last_s


def test_pictures_go_to_the_model_that_sees() -> None:
    answered = asyncio.run(Engines(ARGS, {}).answer("text", "what?", None, pixels(draw([("red", "star")] * 3))))
    assert "360 by 240" in answered.text
    assert "what?" in answered.text


@pytest.mark.parametrize("config", ["serve_config.yaml", "bench/fakes.yaml"])
def test_the_shipped_configurations_are_understood(config: str) -> None:
    Engines.of(Path(__file__).parents[2] / config)  # raises for a key that no setting has


def test_live_settings_are_those_of_the_deployments() -> None:
    live = {"TextLLM": {"max_tokens": 1}, "TextToSpeech": {"speed": 2.0}}
    answered = asyncio.run(Engines(ARGS, live).answer("voice", "good morning", None, None))
    assert answered.text.strip() == "good"
    assert answered.audio is not None
    assert answered.audio.duration_s == pytest.approx(0.05)
