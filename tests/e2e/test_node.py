"""OpenAI's Node client with the bundled models: chat in text and audio, speech, transcription, an error."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import node
from tests.e2e.audio import as_wav
from tests.e2e.conftest import DATA


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("audio")


@pytest.fixture(scope="module")
def results(base_url: str, folder: Path) -> Any:
    return json.loads(
        node.run([str(node.HOME / "clients.js"), base_url, str(DATA / "question.wav"), str(folder)], folder)
    )


def test_a_streamed_answer_equals_the_whole_one(results: Any) -> None:
    assert "paris" in results["text"]["whole"].lower()
    assert results["text"]["streamed"] == results["text"]["whole"]
    assert results["text"]["tokens"] > 5


def test_answers_a_spoken_question_in_voice(results: Any, folder: Path, transcribe: Callable[[bytes], str]) -> None:
    assert "paris" in results["audio"]["whole"].lower()
    assert "paris" in results["audio"]["streamed"].lower()
    assert "paris" in transcribe(as_wav((folder / "whole.mp3").read_bytes(), "mp3"))
    assert "paris" in transcribe(as_wav((folder / "streamed.pcm").read_bytes(), None))


def test_a_conversation_refers_to_a_spoken_answer_by_its_id(results: Any) -> None:
    assert "paris" in results["audio"]["again"].lower()


def test_speech_is_intelligible_and_a_recording_is_transcribed(
    results: Any, folder: Path, transcribe: Callable[[bytes], str]
) -> None:
    assert "paris" in transcribe(as_wav((folder / "speech.flac").read_bytes(), "flac"))
    assert "capital of france" in results["speech"]["transcript"].lower()


def test_an_unsupported_parameter_is_the_clients_bad_request_error(results: Any) -> None:
    assert results["refused"] == {"kind": "BadRequestError", "param": "n", "status": 400}
