"""What the calls of a stage show about its replicas: when one last sent something, and whether a call stalled."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass


@dataclass(slots=True)
class Activity:
    """The activity of one stage. Times are those of ``time.monotonic``."""

    last_message_s: float = -math.inf  # the last value or heartbeat of any call
    answered_s: float = -math.inf  # the last value of any call
    calls: int = 0  # in progress
    busy_since_s: float = math.inf  # the start of the first of the calls in progress
    stalled: bool = False  # a call was given up, and nothing has been answered since

    def begin(self) -> None:
        """Count a call."""
        if not self.calls:
            self.busy_since_s = time.monotonic()
        self.calls += 1

    def end(self) -> None:
        """Stop counting a call."""
        self.calls -= 1

    def record(self, *, answered: bool) -> None:
        """Record a value, or a heartbeat (``answered`` is false)."""
        self.last_message_s = time.monotonic()
        if answered:
            self.answered_s = self.last_message_s
            self.stalled = False

    def answered_within(self, seconds: float) -> bool:
        """Return whether a call yielded a value in the last ``seconds``."""
        return time.monotonic() - self.answered_s < seconds

    def unanswered_s(self) -> float:
        """Return for how long calls have been in progress without a value of any; 0 without calls."""
        if not self.calls:
            return 0.0
        return time.monotonic() - max(self.answered_s, self.busy_since_s)
