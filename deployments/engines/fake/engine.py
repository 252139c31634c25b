"""Engines without a model: delay, length and failure of an answer are settings. For tests of the code around them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Iterable, Sequence, Set
from contextlib import aclosing
from time import monotonic
from typing import TypeVar

import numpy as np

from deployments.engines.deltas import gather_deltas
from deployments.engines.fake.settings import FakeArgs, FakeChatArgs, FakeRecognizerArgs, FakeSynthesizerArgs
from deployments.engines.history import remainders
from deployments.engines.stop import StopScanner
from deployments.errors import ContextOverflow, EngineUnavailable
from deployments.messages import (
    Audio,
    ChatEnd,
    ChatMessage,
    ChatValue,
    JsonSchema,
    Load,
    MessagesDropped,
    Segment,
    TextDelta,
)
from deployments.settings import ChatConfig, SpeechToTextConfig, TextToSpeechConfig

T = TypeVar("T")

SILENCE_PEAK = 1e-3
TONE_HZ = 220


class _Fake:
    def __init__(self, args: FakeArgs) -> None:
        self._timing = args
        self.produced = 0
        self._active = 0

    def load(self) -> Load:
        """Return the utilization; requests are never queued."""
        return Load(active=self._active, waiting=0, slots=max(self._active, 1))

    async def check(self) -> None:
        if not self._timing.healthy:
            raise EngineUnavailable("the fake engine is set to be unhealthy")

    async def close(self) -> None:
        """Do nothing: there are no threads and no weights."""

    async def _paced(self, values: Iterable[T]) -> AsyncGenerator[T, None]:
        """Yield the values with the delays of the settings, up to the failure that they set."""
        self._active += 1
        try:
            await asyncio.sleep(self._timing.first_s)
            for count, value in enumerate(values):
                if count == self._timing.fail_after:
                    raise self._failure()
                if count:
                    await asyncio.sleep(self._timing.step_s)
                self.produced += 1
                yield value
            if self._timing.fail_after is not None:
                raise self._failure()
        finally:
            self._active -= 1

    def _failure(self) -> Exception:
        if self._timing.fail_with == "crash":
            return RuntimeError("the fake engine is set to crash")
        return EngineUnavailable("the fake engine is set to fail")


class FakeRecognizer(_Fake):
    """Recognizes the transcript of its settings in all audio that is not silence."""

    def __init__(self, args: FakeRecognizerArgs) -> None:
        super().__init__(args)
        self._args = args

    async def transcribe(
        self, audio: Audio, config: SpeechToTextConfig, rank: int = 0
    ) -> AsyncGenerator[Segment, None]:
        loud = len(audio.samples) > 0 and float(np.abs(audio.samples).max()) >= SILENCE_PEAK
        words = self._args.transcript.replace("{seconds}", f"{audio.duration_s:.1f}").split() if loud else []
        parts = [part for part in np.array_split(words, self._args.steps) if len(part)]
        part_s = audio.duration_s / max(len(parts), 1)
        segments = (Segment(" ".join(part), i * part_s, (i + 1) * part_s) for i, part in enumerate(parts))
        async with aclosing(self._paced(segments)) as paced:
            async for segment in paced:
                yield segment


class FakeChat(_Fake):
    """Generates the answer of its settings, or repeats the last message, so that a test can distinguish answers.

    A word is a token. A JSON schema is ignored.
    """

    def __init__(self, args: FakeChatArgs) -> None:
        super().__init__(args)
        self._args = args

    @property
    def vision(self) -> bool:
        return self._args.vision

    async def chat(
        self, messages: Sequence[ChatMessage], config: ChatConfig, json_schema: JsonSchema | None = None
    ) -> AsyncGenerator[ChatValue, None]:
        fitting = self._fitting(messages, config)
        if dropped := len(messages) - len(fitting):
            yield MessagesDropped(dropped)
        async with aclosing(gather_deltas(self._generate(fitting, config))) as deltas:
            async for delta in deltas:
                yield delta

    async def _generate(
        self, messages: Sequence[ChatMessage], config: ChatConfig
    ) -> AsyncGenerator[TextDelta | ChatEnd, None]:
        """Yield one delta per word, then the end."""
        words = re.findall(r"\S+\s*", self._answer(messages[-1]))
        stop = StopScanner(config.stop)
        generated = 0
        async with aclosing(self._paced(words[: config.max_tokens])) as paced:
            async for word in paced:
                generated += 1
                if text := stop.push(word.replace("{clock}", f"{monotonic():.6f}")):
                    yield TextDelta(text)
                if stop.stopped:
                    break
        if text := stop.flush():
            yield TextDelta(text)
        cut = generated < len(words) and not stop.stopped
        yield ChatEnd("length" if cut else "stop", _words(messages), generated)

    def _fitting(self, messages: Sequence[ChatMessage], config: ChatConfig) -> Sequence[ChatMessage]:
        """Return the messages that fit into the context with the answer. Raise ``ContextOverflow`` if too few do."""
        limit = self._args.context_length - config.max_tokens
        if _words(messages) <= limit:
            return messages
        shorter = remainders(messages, self._args.context_length) if config.context_overflow == "drop" else ()
        if fitting := [remainder for remainder in shorter if _words(remainder) <= limit]:
            return fitting[-1]
        raise ContextOverflow(f"the conversation has {_words(messages):,} words; the limit is {limit:,}")

    def _answer(self, message: ChatMessage) -> str:
        if self._args.answer is not None:
            return self._args.answer
        sizes = [f"a picture of {image.pixels.shape[1]} by {image.pixels.shape[0]}." for image in message.images]
        return " ".join([*sizes, message.text])


def _words(messages: Sequence[ChatMessage]) -> int:
    return sum(len(message.text.split()) for message in messages)


class FakeSynthesizer(_Fake):
    """Synthesizes a short tone for each word."""

    voices: tuple[str, ...] = ()
    characters: Set[str] | None = None

    def __init__(self, args: FakeSynthesizerArgs) -> None:
        super().__init__(args)
        self._args = args

    @property
    def rate_hz(self) -> int:
        return self._args.rate_hz

    def language(self, voice: str | None) -> str | None:
        return None

    async def speak(self, sentence: str, config: TextToSpeechConfig, rank: int = 0) -> AsyncGenerator[Audio, None]:
        seconds = np.arange(int(self.rate_hz * self._args.word_s / config.speed), dtype=np.float32) / self.rate_hz
        tone = (0.3 * np.sin(2 * np.pi * TONE_HZ * seconds)).astype(np.float32)
        async with aclosing(self._paced(re.findall(r"\w+", sentence))) as words:
            async for _ in words:
                yield Audio(tone, self.rate_hz)
