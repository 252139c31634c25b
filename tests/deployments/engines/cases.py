"""The cases of the contract test, collected from the module ``contract`` in each engine's test folder.

For each entry of the registry with this engine's name, the module's ``CASES`` has at least one ``Case``.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from deployments.engines.registry import CHAT_MODELS, RECOGNIZERS, SYNTHESIZERS, EngineEntry
from deployments.messages import Audio, ChatMessage
from deployments.settings import ChatConfig, ModelArgs, SpeechToTextConfig, TextToSpeechConfig, resolve

DATA = Path(__file__).resolve().parents[2] / "data"
CLIPS = ("question", "seven_plus_five", "what_is_your_name", "what_do_you_see")
ENTRIES = (*RECOGNIZERS, *CHAT_MODELS, *SYNTHESIZERS)
QUESTION = ChatMessage("user", "Tell me a story about a fox, please.")
SENTENCE = "Here is a sentence of several clauses, with a second one, and with a third one at the end."

Request = Callable[[Any], AsyncGenerator[Any, None]]
"""Starts a request to an engine and returns its values."""


@dataclass(frozen=True)
class Case:
    """An engine and a request to it.

    ``args`` writes the model's files into an empty folder, if it has any, and returns the engine's settings; they are
    an ``entry``. The case is left out if one of ``files``, paths from the root of the repository, is missing.
    """

    name: str
    entry: type[ModelArgs]
    args: Callable[[Path], ModelArgs]
    request: Request
    files: tuple[str | None, ...] = ()

    @property
    def present(self) -> bool:
        return all(resolve(file).is_file() for file in self.files if file)


def transcribe(audio: Audio, config: SpeechToTextConfig) -> Request:
    return lambda engine: engine.transcribe(audio, config)


def chat(message: ChatMessage, config: ChatConfig) -> Request:
    return lambda engine: engine.chat((message,), config)


def speak(sentence: str = SENTENCE) -> Request:
    return lambda engine: engine.speak(sentence, TextToSpeechConfig())


def recording() -> Audio:
    """Return different spoken questions with pauses in between: recognizers drop repetitions."""
    pause = np.zeros(16_000, np.float32)
    clips = [soundfile.read(DATA / f"{name}.wav", dtype="float32")[0] for name in CLIPS]
    return Audio(np.concatenate([part for clip in clips for part in (clip, pause)]), 16_000)


def cases_of(entry: EngineEntry) -> list[Case]:
    """Return the cases of one entry of the registry; none if its engine has no module ``contract``."""
    name = f"tests.deployments.engines.{entry.name}.contract"
    try:
        module = import_module(name)
    except ModuleNotFoundError as error:
        if error.name and name.startswith(error.name):
            return []
        raise
    return [case for case in module.CASES if case.entry is entry.args]


CASES = [case for entry in ENTRIES for case in cases_of(entry) if case.present]
