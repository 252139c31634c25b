"""Engines that only pretend: with a set delay, length and failure. For the tests of everything around an engine."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from time import monotonic
from typing import TypeVar

import numpy as np

from deployments.errors import ContextOverflow, EngineUnavailable
from deployments.messages import Audio, ChatEnd, ChatMessage, Load, Segment, TextDelta
from deployments.settings import (
    ChatConfig,
    FakeArgs,
    FakeChatArgs,
    FakeRecognizerArgs,
    FakeSynthesizerArgs,
    SpeechToTextConfig,
    TextToSpeechConfig,
)
from deployments.engines.stop import StopScanner

T = TypeVar("T")

SILENCE_PEAK = 1e-3
TONE_HZ = 220


class _Fake:
    def __init__(self, args: FakeArgs) -> None:
        self._timing = args
        self.produced = 0
        self._active = 0

    def load(self) -> Load:
        """It takes any number at once."""
        return Load(active=self._active, waiting=0, slots=max(self._active, 1))

    async def check(self) -> None:
        if not self._timing.healthy:
            raise EngineUnavailable("the fake engine was told to be unwell")

    async def close(self) -> None:
        """There is nothing to give back."""

    async def _paced(self, values: Iterable[T]) -> AsyncGenerator[T, None]:
        """The values at the set pace, until the set failure."""
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
            return RuntimeError("the fake engine was told to crash")
        return EngineUnavailable("the fake engine was told to fail")


class FakeRecognizer(_Fake):
    """Hears the set transcript in anything that is not silence."""

    def __init__(self, args: FakeRecognizerArgs) -> None:
        super().__init__(args)
        self._args = args

    async def transcribe(
        self, audio: Audio, config: SpeechToTextConfig, rank: int = 0
    ) -> AsyncGenerator[Segment, None]:
        loud = len(audio.samples) > 0 and float(np.abs(audio.samples).max()) >= SILENCE_PEAK
        words = self._args.transcript.replace("{seconds}", f"{audio.duration_s:.1f}").split() if loud else []
        parts = [part for part in np.array_split(words, self._args.steps) if len(part)]
        span_s = audio.duration_s / max(len(parts), 1)
        segments = (Segment(" ".join(part), i * span_s, (i + 1) * span_s) for i, part in enumerate(parts))
        async with aclosing(self._paced(segments)) as paced:
            async for segment in paced:
                yield segment


class FakeChat(_Fake):
    """Says the set answer, or the last message back so that crossed answers can be told apart. A word is a token."""

    def __init__(self, args: FakeChatArgs) -> None:
        super().__init__(args)
        self._args = args

    @property
    def vision(self) -> bool:
        return self._args.vision

    async def chat(
        self, messages: Sequence[ChatMessage], config: ChatConfig
    ) -> AsyncGenerator[TextDelta | ChatEnd, None]:
        prompt_tokens = sum(len(message.text.split()) for message in messages)
        fits = self._args.context_length - config.max_tokens
        if prompt_tokens > fits:
            raise ContextOverflow(f"the conversation has {prompt_tokens:,} words; at most {fits:,} fit")
        words = re.findall(r"\S+\s*", self._answer(messages[-1]))
        stop = StopScanner(config.stop)
        spoken = 0
        async with aclosing(self._paced(words[: config.max_tokens])) as paced:
            async for word in paced:
                spoken += 1
                if text := stop.push(word.replace("{clock}", f"{monotonic():.6f}")):
                    yield TextDelta(text)
                if stop.stopped:
                    break
        if text := stop.flush():
            yield TextDelta(text)
        cut = spoken < len(words) and not stop.stopped
        yield ChatEnd("length" if cut else "stop", prompt_tokens, spoken)

    def _answer(self, message: ChatMessage) -> str:
        if self._args.answer is not None:
            return self._args.answer
        sizes = [f"a picture of {image.pixels.shape[1]} by {image.pixels.shape[0]}." for image in message.images]
        return " ".join([*sizes, message.text])


class FakeSynthesizer(_Fake):
    """Speaks a short tone for each word."""

    def __init__(self, args: FakeSynthesizerArgs) -> None:
        super().__init__(args)
        self._args = args

    async def speak(self, text: str, config: TextToSpeechConfig, rank: int = 0) -> AsyncGenerator[Audio, None]:
        rate = self._args.rate_hz
        seconds = np.arange(int(rate * self._args.word_s / config.speed), dtype=np.float32) / rate
        tone = (0.3 * np.sin(2 * np.pi * TONE_HZ * seconds)).astype(np.float32)
        async with aclosing(self._paced(re.findall(r"\w+", text))) as words:
            async for _ in words:
                yield Audio(tone, rate)
