"""The application with model deployments that count their requests; tests deploy it as ``tests.serve.observed:build``.

Without postponed annotations: Ray Serve reads the type of ``args`` to validate them.
"""

# Ray's decorators add bind and options, which mypy does not see.
# mypy: disable-error-code="attr-defined"

import asyncio
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from ray import serve
from ray.serve import Application

from deployments.asr import SpeechToText
from deployments.llm import ChatLLM
from deployments.metrics import RequestMetrics
from deployments.tts import TextToSpeech
from graphs import app
from graphs.settings import AppArgs


@dataclass(frozen=True, slots=True)
class Stats:
    """The requests of a replica since it started, and what its engine has generated (see ``Engine.produced``)."""

    active: int
    finished: int
    failed: int
    cancelled: int
    produced: int


class Observed:
    """Adds ``stats`` and ``pid`` to a ``Replica``."""

    _engine: Any

    def __init__(self, args: Any) -> None:
        super().__init__(args)  # type: ignore[call-arg]
        self._requests: Counter[str] = Counter()

    @contextmanager
    def request(self) -> Iterator[RequestMetrics]:
        self._requests["active"] += 1
        outcome = "failed"
        try:
            with super().request() as metrics:  # type: ignore[misc]
                yield metrics
            outcome = "finished"
        except (asyncio.CancelledError, GeneratorExit):
            outcome = "cancelled"
            raise
        finally:
            self._requests["active"] -= 1
            self._requests[outcome] += 1

    def stats(self) -> Stats:
        counts = {name: self._requests[name] for name in ("active", "finished", "failed", "cancelled")}
        return Stats(**counts, produced=self._engine.produced)

    def pid(self) -> int:
        """Return the id of the replica's process."""
        return os.getpid()


class ObservedSpeechToText(Observed, SpeechToText.func_or_class):  # type: ignore[misc]
    """``SpeechToText`` with ``stats``."""


class ObservedChatLLM(Observed, ChatLLM.func_or_class):  # type: ignore[misc]
    """``ChatLLM`` with ``stats``."""


class ObservedTextToSpeech(Observed, TextToSpeech.func_or_class):  # type: ignore[misc]
    """``TextToSpeech`` with ``stats``."""


def build(args: AppArgs) -> Application:
    """Return the application of ``graphs.app`` with the deployments of this module under the usual names."""
    with patch.multiple(
        app,
        SpeechToText=serve.deployment(ObservedSpeechToText, name="SpeechToText"),
        ChatLLM=serve.deployment(ObservedChatLLM, name="ChatLLM"),
        TextToSpeech=serve.deployment(ObservedTextToSpeech, name="TextToSpeech"),
    ):
        return app.build(args)
