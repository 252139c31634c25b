from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deployments.engines.whisper import WhisperRecognizer, _folder_or_name
from deployments.errors import InvalidRequest
from deployments.messages import Audio, Segment
from deployments.settings import SpeechToTextConfig, WhisperArgs
from tests.engines import tiny
from tests.engines.cases import HEAR_ALL

Run = Callable[[Any], Any]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.recognizer(tmp_path_factory.mktemp("whisper"))


@pytest.fixture(scope="module")
def ear(folder: Path) -> WhisperRecognizer:
    return WhisperRecognizer(WhisperArgs(model=str(folder)))


async def heard(ear: WhisperRecognizer, audio: Audio, config: SpeechToTextConfig) -> list[Segment]:
    return [segment async for segment in ear.transcribe(audio, config)]


@pytest.mark.parametrize("seconds", [0.0, 0.00007, 0.01, 0.5, 31.0])
def test_sound_of_any_length_is_taken(run: Run, ear: WhisperRecognizer, seconds: float) -> None:
    segments = run(heard(ear, tiny.sound(seconds=seconds), HEAR_ALL))
    assert all(segment.text == segment.text.strip() != "" for segment in segments)
    assert seconds or not segments


@pytest.mark.parametrize("level", [0.0, 1e-4])
def test_silence_holds_no_words(run: Run, ear: WhisperRecognizer, level: float) -> None:
    noise = np.random.default_rng(0).normal(0, 1, 32_000).astype(np.float32)
    assert run(heard(ear, Audio(noise * np.float32(level), 16_000), SpeechToTextConfig())) == []


def test_a_segment_says_how_sure_the_model_was(run: Run, ear: WhisperRecognizer) -> None:
    for segment in run(heard(ear, tiny.sound(), HEAR_ALL)):
        assert segment.tokens
        assert segment.avg_logprob is not None
        assert segment.avg_logprob <= 0
        assert segment.compression_ratio is not None
        assert segment.compression_ratio > 0
        assert segment.no_speech_prob is not None
        assert 0 <= segment.no_speech_prob <= 1
        assert segment.temperature == HEAR_ALL.temperature


def test_a_text_that_repeats_itself_is_dropped(run: Run, ear: WhisperRecognizer) -> None:
    strict = HEAR_ALL.model_copy(update={"compression_ratio_threshold": 1e-6})
    assert run(heard(ear, tiny.sound(), HEAR_ALL))
    assert run(heard(ear, tiny.sound(), strict)) == []


def test_a_language_that_the_model_does_not_know_is_the_clients_error(run: Run, ear: WhisperRecognizer) -> None:
    with pytest.raises(InvalidRequest, match="'de'; it knows en") as caught:
        run(heard(ear, tiny.sound(), SpeechToTextConfig(language="de")))
    assert caught.value.param == "language"


def test_another_rate_is_refused_and_not_misheard(run: Run, ear: WhisperRecognizer) -> None:
    with pytest.raises(InvalidRequest, match="8,000"):
        run(heard(ear, Audio(np.zeros(100, np.float32), 8_000), HEAR_ALL))


def test_a_folder_without_its_tokenizer_is_refused_and_not_looked_up(folder: Path, tmp_path: Path) -> None:
    for name in ("model.bin", "config.json"):
        (tmp_path / name).symlink_to(folder / name)
    with pytest.raises(FileNotFoundError, match=r"lacks tokenizer\.json"):
        WhisperRecognizer(WhisperArgs(model=str(tmp_path)))


@pytest.mark.parametrize("model", ["/nowhere/model", "no/such/folder"])
def test_a_missing_folder_is_named(model: str) -> None:
    with pytest.raises(FileNotFoundError, match="no model folder"):
        WhisperRecognizer(WhisperArgs(model=model))


@pytest.mark.parametrize("name", ["large-v3-turbo", "someone/whisper-ct2"])
def test_a_name_of_the_hub_stays_a_name(name: str) -> None:
    assert _folder_or_name(name) == name
