"""How far ahead of real time the audio of responses is sent. Pure.

The client is taken to play what it gets at once and without gaps of its own: the sound ends when all that was sent has
been played, and audio that arrives later begins at its arrival. The client's own buffer makes it hear a little less.
"""

from __future__ import annotations


class Pacing:
    """The output of one session: audio of all its responses. Times ``now_s`` are of one monotonic clock."""

    def __init__(self, max_ahead_s: float) -> None:
        self._max_ahead_s = max_ahead_s
        self._ends_s = float("-inf")  # when all that was sent will have been played

    def delay_s(self, now_s: float) -> float:
        """Return how long to wait before the next piece is sent; 0 if it may be sent at once."""
        return max(0.0, self._ends_s - now_s - self._max_ahead_s)

    def sent(self, duration_ms: float, now_s: float) -> None:
        """Count a piece that was sent."""
        self._ends_s = max(self._ends_s, now_s) + duration_ms / 1000

    def is_playing(self, now_s: float) -> bool:
        """Return whether audio that was sent is still being played."""
        return self._ends_s > now_s

    def flush(self, now_s: float) -> None:
        """Take what is not yet played as dropped, on an interruption."""
        self._ends_s = now_s
