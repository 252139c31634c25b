"""What an engine is: three small Protocols, and the way from an engine's settings to its class.

An engine is an async source of typed values. It owns its threads and never blocks the event loop; it is warm once it
is constructed. Closing (or cancelling) its generator stops the work within one token or one chunk of audio. An engine
raises types of ``deployments.errors`` for what a client or an operator can mend.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from importlib import import_module
from typing import Any, Protocol, cast

from deployments import settings
from deployments.messages import Audio, ChatEnd, ChatMessage, Load, Segment, TextDelta
from deployments.settings import ChatConfig, SpeechToTextConfig, TextToSpeechConfig


class Engine(Protocol):
    """What every engine can do."""

    @property
    def produced(self) -> int:
        """Tokens, segments or chunks made so far, those that nobody took included."""

    def load(self) -> Load:
        """How full it is now; cheap, for it is asked at the beginning and the end of every request."""

    async def check(self) -> None:
        """Ask the engine for a small real answer; raise when it cannot give one.

        An engine at work on a request is not disturbed: it passes unless it hangs.
        """

    async def close(self) -> None:
        """Give back threads and memory. Idempotent."""


class Recognizer(Engine, Protocol):
    """Speech to text."""

    def transcribe(self, audio: Audio, config: SpeechToTextConfig, rank: int = 0) -> AsyncGenerator[Segment, None]:
        """Segments in order of time; none when there is no speech. ``audio`` is 16 kHz. A lower ``rank`` goes first."""
        ...


class ChatModel(Engine, Protocol):
    """A conversation to its next message."""

    @property
    def vision(self) -> bool:
        """Whether messages may carry pictures."""

    def chat(self, messages: Sequence[ChatMessage], config: ChatConfig) -> AsyncGenerator[TextDelta | ChatEnd, None]:
        """Deltas, then exactly one ``ChatEnd``. Raises ``ContextOverflow`` before the first delta."""
        ...


class Synthesizer(Engine, Protocol):
    """Text to speech."""

    def speak(self, text: str, config: TextToSpeechConfig, rank: int = 0) -> AsyncGenerator[Audio, None]:
        """Chunks of one sentence, all at one rate; none when there is nothing to say. A lower ``rank`` goes first."""
        ...


# Names, not classes: an engine's library is imported only by the replica that runs it.
_CLASSES: dict[type[settings.Settings], str] = {
    settings.WhisperArgs: "whisper.WhisperRecognizer",
    settings.SphinxArgs: "sphinx.SphinxRecognizer",
    settings.FakeRecognizerArgs: "fake.FakeRecognizer",
    settings.LlamaArgs: "llama.LlamaChat",
    settings.FakeChatArgs: "fake.FakeChat",
    settings.CoquiArgs: "coqui.CoquiSynthesizer",
    settings.FakeSynthesizerArgs: "fake.FakeSynthesizer",
}


def recognizer(args: settings.SpeechToTextArgs) -> Recognizer:
    """Load the recognizer that ``args`` describe; blocks until it is warm."""
    return cast(Recognizer, _load(args))


def chat_model(args: settings.ChatArgs) -> ChatModel:
    """Load the chat model that ``args`` describe; blocks until it is warm."""
    return cast(ChatModel, _load(args))


def synthesizer(args: settings.TextToSpeechArgs) -> Synthesizer:
    """Load the synthesizer that ``args`` describe; blocks until it is warm."""
    return cast(Synthesizer, _load(args))


def _load(args: settings.Settings) -> Any:
    module, name = _CLASSES[type(args)].split(".")
    return getattr(import_module(f"deployments.engines.{module}"), name)(args)
