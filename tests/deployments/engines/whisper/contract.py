"""The cases of the Whisper engine in the contract test."""

from __future__ import annotations

from deployments.engines.whisper.settings import WhisperArgs, WhisperConfig
from tests.deployments.engines.cases import Case, recording, transcribe
from tests.deployments.engines.whisper import tiny

KEEP_ALL = WhisperConfig(vad=False, no_speech_threshold=1, tries=1)
"""Settings with which nothing that the model generates is dropped or tried again."""

CASES = (
    Case(
        "whisper",
        WhisperArgs,
        lambda folder: WhisperArgs(model=str(tiny.recognizer(folder))),
        transcribe(tiny.noise(), KEEP_ALL),
    ),
    Case(
        "whisper-pocket",
        WhisperArgs,
        lambda _: WhisperArgs(min_window_s=6, window_pad_s=1, pad_with="zeros"),
        transcribe(recording(), WhisperConfig()),
        files=(f"{WhisperArgs().model}/model.bin",),
    ),
)
