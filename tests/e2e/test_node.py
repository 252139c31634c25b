"""OpenAI's Node client against the bundled models: chat in text and audio, speech, transcription, an error."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import node
from tests.e2e.conftest import DATA
from tests.e2e.sounds import as_wav


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sound")


@pytest.fixture(scope="module")
def said(base_url: str, folder: Path) -> Any:
    return json.loads(
        node.run([str(node.HOME / "clients.js"), base_url, str(DATA / "question.wav"), str(folder)], folder)
    )


def test_a_text_is_answered_whole_and_streamed(said: Any) -> None:
    assert "paris" in said["text"]["whole"].lower()
    assert said["text"]["streamed"] == said["text"]["whole"]
    assert said["text"]["tokens"] > 5


def test_a_spoken_question_is_answered_aloud(said: Any, folder: Path, hear: Callable[[bytes], str]) -> None:
    assert "paris" in said["audio"]["whole"].lower()
    assert "paris" in said["audio"]["streamed"].lower()
    assert "paris" in hear(as_wav((folder / "whole.mp3").read_bytes(), "mp3"))
    assert "paris" in hear(as_wav((folder / "streamed.pcm").read_bytes(), None))


def test_the_answer_is_given_back_by_its_id(said: Any) -> None:
    assert "paris" in said["audio"]["again"].lower()


def test_what_is_read_aloud_can_be_heard(said: Any, folder: Path, hear: Callable[[bytes], str]) -> None:
    assert "paris" in hear(as_wav((folder / "speech.flac").read_bytes(), "flac"))
    assert "capital of france" in said["speech"]["heard"].lower()


def test_what_parley_does_not_do_is_the_clients_own_exception(said: Any) -> None:
    assert said["refused"] == {"kind": "BadRequestError", "param": "n", "status": 400}
