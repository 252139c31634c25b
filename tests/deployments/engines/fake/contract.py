"""The cases of the fake engines in the contract test."""

from __future__ import annotations

from deployments.engines.fake.settings import FakeChatArgs, FakeRecognizerArgs, FakeSynthesizerArgs
from deployments.settings import ChatConfig, SpeechToTextConfig
from tests.deployments.engines.cases import QUESTION, Case, chat, recording, speak, transcribe

STEP_S = 0.002

CASES = (
    Case(
        "fake-recognizer",
        FakeRecognizerArgs,
        lambda _: FakeRecognizerArgs(step_s=STEP_S),
        transcribe(recording(), SpeechToTextConfig()),
    ),
    Case("fake-chat", FakeChatArgs, lambda _: FakeChatArgs(step_s=STEP_S), chat(QUESTION, ChatConfig())),
    Case("fake-synthesizer", FakeSynthesizerArgs, lambda _: FakeSynthesizerArgs(step_s=STEP_S), speak()),
)
