"""How long the user has been silent since the last answer was heard, for ``idle_timeout_ms``. Pure."""

from __future__ import annotations


class Silence:
    """The silence after an answer; without an answer before it there is none."""

    def __init__(self) -> None:
        self._since_s: float | None = None
        self._playback_end_s = 0.0

    def play(self, duration_s: float, now_s: float) -> None:
        """Audio was sent, and is heard after what was sent before."""
        self._playback_end_s = max(self._playback_end_s, now_s) + duration_s

    def stop_playback(self, now_s: float) -> None:
        """What was sent is not heard any more."""
        self._playback_end_s = min(self._playback_end_s, now_s)

    def begin(self, now_s: float) -> None:
        """An answer has ended: it is silent when it was heard."""
        self._since_s = max(now_s, self._playback_end_s)

    def begin_again(self, now_s: float) -> None:
        """Something was heard or said."""
        if self._since_s is not None:
            self.begin(now_s)

    def deadline_s(self, timeout_ms: int | None) -> float | None:
        """Return when it has been silent for ``timeout_ms``."""
        if self._since_s is None or timeout_ms is None:
            return None
        return self._since_s + timeout_ms / 1000
