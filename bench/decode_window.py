"""Decode rate of concurrent answers: counted only while all sequences decode, without prefill and without the tail."""

from __future__ import annotations

import time

from deployments.engines.base import ChatModel


class NeverConcurrent(RuntimeError):
    """One answer ended before the last one began."""


class DecodeWindow:
    """The time from the first delta of the last sequence to begin, to the end of the first sequence to end."""

    def __init__(self, engine: ChatModel, sequences: int) -> None:
        self._engine = engine
        self._not_begun = sequences
        self._start: tuple[float, int] | None = None  # seconds, and tokens that the engine has generated
        self._end: tuple[float, int] | None = None

    def sequence_begins(self) -> None:
        """Record the first delta of one sequence."""
        self._not_begun -= 1
        if not self._not_begun:
            self._start = self._now()

    def sequence_ends(self) -> None:
        """Record the end of one sequence."""
        self._end = self._end or self._now()

    def tokens_per_s(self) -> float:
        """Return the decode rate of all sequences together. Raise ``NeverConcurrent``."""
        if self._start is None or self._end is None or self._end <= self._start:
            raise NeverConcurrent("one answer ended before the last one began; raise the number of tokens")
        (start_s, before), (end_s, after) = self._start, self._end
        return (after - before) / (end_s - start_s)

    def _now(self) -> tuple[float, int]:
        return time.perf_counter(), self._engine.produced
