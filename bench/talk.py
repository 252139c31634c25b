"""When many speak at once: tokens per second between the moment at which the last has begun and the first has ended."""

from __future__ import annotations

import time

from deployments.engines.llama import LlamaChat


class Talk:
    """From the moment at which all callers speak to that at which the first has ended."""

    def __init__(self, engine: LlamaChat, callers: int) -> None:
        self._engine = engine
        self._silent = callers
        self._marks: list[tuple[float, int]] = []

    def begun(self) -> None:
        """A caller speaks."""
        self._silent -= 1
        if not self._silent:
            self._mark()

    def ended(self) -> None:
        """A caller has his answer."""
        if self._silent:
            raise RuntimeError("one had ended before the last began; ask for more tokens")
        self._mark()

    def rate(self) -> float:
        """Tokens per second in between."""
        (start_s, before), (end_s, after), *_ = self._marks
        return (after - before) / (end_s - start_s)

    def _mark(self) -> None:
        self._marks.append((time.perf_counter(), self._engine.produced))
