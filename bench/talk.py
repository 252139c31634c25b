"""When many speak at once: tokens per second between the moment at which the last has begun and the first has ended."""

from __future__ import annotations

import time

from deployments.engines.llama import LlamaChat


class EndedEarly(RuntimeError):
    """There was no moment at which all spoke."""


class Talk:
    """From the moment at which all callers speak to that at which the first has ended."""

    def __init__(self, engine: LlamaChat, callers: int) -> None:
        self._engine = engine
        self._silent = callers
        self._start: tuple[float, int] | None = None  # seconds, and the tokens that the engine has made
        self._end: tuple[float, int] | None = None

    def begun(self) -> None:
        """A caller speaks."""
        self._silent -= 1
        if not self._silent:
            self._start = self._now()

    def ended(self) -> None:
        """A caller has his answer."""
        self._end = self._end or self._now()

    def rate(self) -> float:
        """Tokens per second in between. Raises ``EndedEarly``."""
        if self._start is None or self._end is None or self._end <= self._start:
            raise EndedEarly("one had ended before the last began; ask for more tokens")
        (start_s, before), (end_s, after) = self._start, self._end
        return (after - before) / (end_s - start_s)

    def _now(self) -> tuple[float, int]:
        return time.perf_counter(), self._engine.produced
