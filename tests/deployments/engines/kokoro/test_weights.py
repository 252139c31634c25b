"""Kokoro's real weights: what they say is heard word for word. Skipped where the catalogue's models are not pulled."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from bench.audio import ASR_RATE_HZ, resample
from deployments.engines.kokoro.engine import LANGUAGES_OF_VOICES, KokoroSynthesizer
from deployments.engines.kokoro.settings import KokoroArgs
from deployments.engines.whisper.engine import WhisperRecognizer
from deployments.engines.whisper.settings import WhisperArgs, WhisperConfig
from deployments.messages import Audio
from deployments.settings import TextToSpeechConfig
from graphs.settings import OPENAI_VOICES
from models.cache import find
from models.errors import NotPulled

Run = Callable[[Any], Any]

CONFIG = yaml.safe_load((Path(__file__).parents[4] / "configs" / "kokoro.yaml").read_text())["applications"][0]
ALIASES = next(d for d in CONFIG["deployments"] if d["name"] == "Gateway")["user_config"]["voice_aliases"]


def is_pulled(name: str) -> bool:
    try:
        return find(name, "model") is not None
    except NotPulled:
        return False


MISSING = [name for name in ("kokoro-82m", "whisper-base") if not is_pulled(name)]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"python -m models pull {' '.join(MISSING)}")


@pytest.fixture(scope="module")
def voice() -> KokoroSynthesizer:
    return KokoroSynthesizer(KokoroArgs.model_validate(CONFIG["args"]["text_to_speech"]))


@pytest.fixture(scope="module")
def recognizer() -> WhisperRecognizer:
    return WhisperRecognizer(WhisperArgs(model="whisper-base"))


async def heard(
    voice: KokoroSynthesizer, recognizer: WhisperRecognizer, text: str, name: str, language: str = "en"
) -> str:
    """Return the words that are heard in a language when the voice ``name`` reads a text."""
    chunks = [chunk async for chunk in voice.speak(text, TextToSpeechConfig(voice=name))]
    audio = resample(Audio(np.concatenate([chunk.samples for chunk in chunks]), voice.rate_hz), ASR_RATE_HZ)
    segments = [segment.text async for segment in recognizer.transcribe(audio, WhisperConfig(language=language))]
    return " ".join(re.findall(r"[^\W\d_]+", "".join(segments).lower()))


def test_has_voices_of_every_language(voice: KokoroSynthesizer) -> None:
    assert len(voice.voices) == 54
    assert {name[0] for name in voice.voices} == LANGUAGES_OF_VOICES.keys()


def test_every_name_of_openais_is_a_voice_of_its_own(voice: KokoroSynthesizer) -> None:
    assert ALIASES.keys() == set(OPENAI_VOICES)
    assert set(ALIASES.values()) <= set(voice.voices)
    assert len(set(ALIASES.values())) == len(ALIASES)


@pytest.mark.parametrize("name", ["af_heart", "am_michael", "bf_emma"])
def test_a_sentence_is_heard_word_for_word(
    run: Run, voice: KokoroSynthesizer, recognizer: WhisperRecognizer, name: str
) -> None:
    sentence = "The weather in the mountains changes quickly, so take a warm coat."
    expected = " ".join(re.findall(r"\w+", sentence.lower()))
    assert run(heard(voice, recognizer, sentence, name)) == expected


def test_a_french_voice_speaks_french(run: Run, voice: KokoroSynthesizer, recognizer: WhisperRecognizer) -> None:
    text = "Bonjour, je voudrais une tasse de café avec du lait."
    words = run(heard(voice, recognizer, text, "ff_siwis", "fr"))
    assert "bonjour" in words
    assert "café" in words
