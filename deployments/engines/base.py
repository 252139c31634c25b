"""The interface of an engine: one Protocol for each kind.

An engine wraps one library. It owns its threads and never blocks the event loop, and it is warm once it is constructed.
Its methods are async generators: closing or cancelling one stops the work within one token or one chunk of audio. An
engine raises types of ``deployments.errors`` for errors that a client or an operator can fix.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence, Set
from typing import Protocol

from deployments.messages import Audio, ChatMessage, ChatValue, JsonSchema, Load, Segment
from deployments.settings import ChatConfig, SpeechToTextConfig, TextToSpeechConfig


class Engine(Protocol):
    """What every engine can do."""

    @property
    def produced(self) -> int:
        """Tokens, segments or sentences generated so far, including those of cancelled requests."""

    def load(self) -> Load:
        """Return the current utilization; cheap, as it is read at the start and the end of every request."""

    async def check(self) -> None:
        """Raise ``EngineUnavailable`` if the engine is broken or hangs.

        An idle engine runs a small inference; one that is working only has to have made progress lately.
        """

    async def close(self) -> None:
        """Release threads and memory. Idempotent."""


class Recognizer(Engine, Protocol):
    """Speech to text."""

    def transcribe(self, audio: Audio, config: SpeechToTextConfig, rank: int = 0) -> AsyncGenerator[Segment, None]:
        """Yield segments in order of time; none when there is no speech.

        ``audio`` is mono at 16 kHz. Work with a lower ``rank`` is scheduled first.
        """
        ...


class ChatModel(Engine, Protocol):
    """A conversation to its next message."""

    @property
    def vision(self) -> bool:
        """Whether messages may contain pictures."""

    def chat(
        self, messages: Sequence[ChatMessage], config: ChatConfig, json_schema: JsonSchema | None = None
    ) -> AsyncGenerator[ChatValue, None]:
        """Yield ``MessagesDropped`` if there are any, deltas, then exactly one ``ChatEnd``.

        Of a conversation that does not fit, the oldest turns are dropped (``history.remainders``), unless
        ``config.context_overflow`` is refuse. The tokens that ``config`` reserves for the answer count.
        Text that is generated within ``deltas.WINDOW_S`` is one delta: each message to another process costs about half
        a millisecond. With ``json_schema`` the answer is JSON that conforms to it. Raises before the first delta
        ``ContextOverflow``, and ``InvalidRequest`` for a schema that the engine does not support.
        """
        ...


class Synthesizer(Engine, Protocol):
    """Text to speech."""

    @property
    def rate_hz(self) -> int:
        """Sample rate of the audio."""

    @property
    def voices(self) -> tuple[str, ...]:
        """The names of the voices; empty if there is only one, without a name."""

    @property
    def characters(self) -> Set[str] | None:
        """The only characters that English text may have, in lower case; ``None`` if all Latin letters are read."""

    def language(self, voice: str | None) -> str | None:
        """Return the language of ``voice``, as an ISO 639-1 code; ``None`` if unknown.

        Text is read in it if a request names no language. ``None`` is the default voice.
        """

    def speak(self, sentence: str, config: TextToSpeechConfig, rank: int = 0) -> AsyncGenerator[Audio, None]:
        """Yield the audio of one sentence in order; nothing if the model can pronounce none of it.

        ``deployments.sentence`` has prepared the sentence, and ``TextToSpeech`` applies volume and pauses. Of
        ``config`` an engine reads ``voice``, ``language`` and ``speed``. Work with a lower ``rank`` is scheduled first.
        Raises ``InvalidRequest`` for an unknown voice or language.
        """
        ...
