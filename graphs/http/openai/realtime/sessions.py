"""The open sessions of this Gateway replica: their number is limited, and all of them end when the replica stops."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from deployments.errors import Overloaded, RateLimited
from graphs.settings import RealtimeConfig

Drain = Callable[[float], None]


class Sessions:
    """Counts sessions, overall and per API key."""

    def __init__(self) -> None:
        self._drains: dict[object, Drain] = {}
        self._by_key: Counter[str | None] = Counter()
        self._is_draining = False

    def __len__(self) -> int:
        return len(self._drains)

    @contextmanager
    def entered(self, key: str | None, config: RealtimeConfig, drain: Drain) -> Iterator[None]:
        """Count a session of ``key`` while it lasts. ``drain`` asks it to end within a number of seconds.

        Raise ``Overloaded`` or ``RateLimited`` above a limit, and ``Overloaded`` while the replica stops.
        """
        self._check(key, config)
        token = object()
        self._drains[token] = drain
        self._by_key[key] += 1
        try:
            yield
        finally:
            del self._drains[token]
            self._by_key[key] -= 1
            if not self._by_key[key]:
                del self._by_key[key]

    def drain(self, within_s: float) -> None:
        """Ask every session to end within ``within_s``, and refuse further ones."""
        self._is_draining = True
        for drain in list(self._drains.values()):
            drain(within_s)

    def _check(self, key: str | None, config: RealtimeConfig) -> None:
        if self._is_draining:
            raise Overloaded("This replica is being replaced. Connect again.", retry_after_s=1)
        if len(self._drains) >= config.max_sessions:
            raise Overloaded(
                f"The service has {config.max_sessions} live sessions, its limit. Try again later.", retry_after_s=10
            )
        limit = config.max_sessions_per_key
        if key is not None and limit is not None and self._by_key[key] >= limit:
            raise RateLimited(
                f"This key has {limit} live sessions, its limit. Close one, or try again later.", retry_after_s=10
            )
