"""What the engines have in common whose libraries take several calls at once: a pool of threads, and their health."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing
from threading import Lock

from deployments.errors import InvalidRequest
from deployments.messages import Audio, Load, Segment
from deployments.engines.pool import Pool
from deployments.settings import PooledArgs, SpeechToTextConfig

RATE_HZ = 16_000


class Pooled(ABC):
    """An engine behind a pool. What begins with an underscore runs in the pool's threads."""

    def __init__(self, name: str, args: PooledArgs, threads: int) -> None:
        self._pool = Pool(name, threads, max_waiting=args.max_waiting, stall_timeout_s=args.stall_timeout_s)
        self._counting = Lock()
        self.produced = 0

    def load(self) -> Load:
        return self._pool.load()

    async def check(self) -> None:
        await self._pool.check(self._probe)

    async def close(self) -> None:
        self._pool.close(self._release)

    def _count(self, made: int = 1) -> None:
        with self._counting:
            self.produced += made

    @abstractmethod
    def _probe(self) -> None:
        """Ask the model for something small; raises when it cannot give it."""

    @abstractmethod
    def _release(self) -> None:
        """Give the model's memory back."""


class PooledRecognizer(Pooled):
    """Hears a window at a time."""

    async def transcribe(
        self, audio: Audio, config: SpeechToTextConfig, rank: int = 0
    ) -> AsyncGenerator[Segment, None]:
        if audio.rate_hz != RATE_HZ:
            raise InvalidRequest(f"the sound has {audio.rate_hz:,} samples per second, not {RATE_HZ:,}", param="audio")
        async with aclosing(self._pool.stream(self._windows(audio, config), rank)) as windows:
            async for segments in windows:
                for segment in segments:
                    yield segment

    @abstractmethod
    def _windows(self, audio: Audio, config: SpeechToTextConfig) -> Generator[list[Segment], None, None]:
        """The segments of each window of 30 s at most; an empty list where nothing was said."""
