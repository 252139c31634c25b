"""Limits on the bytes that all requests together hold, and those of one API key, beside that of each request. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from deployments.errors import Overloaded, RateLimited


class ByteBudget:
    """``limit_bytes`` for all requests of one Gateway replica, of which ``per_key_bytes`` for those of one API key.

    To be used from one event loop.
    """

    def __init__(self, limit_bytes: int, retry_after_s: float, per_key_bytes: int | None = None) -> None:
        self.limit_bytes = limit_bytes
        self._retry_after_s = retry_after_s
        self._per_key_bytes = per_key_bytes
        self._used_bytes_by_key: Counter[str] = Counter()
        self.used_bytes = 0

    @contextmanager
    def reservation(self) -> Iterator[Reservation]:
        """Yield a reservation that is released at the end."""
        reservation = Reservation(self)
        try:
            yield reservation
        finally:
            reservation.release()

    def take(self, size_bytes: int, key: str | None) -> None:
        """Count bytes as used. Raise ``Overloaded`` if fewer are left, ``RateLimited`` if fewer are left to ``key``."""
        if self.used_bytes + size_bytes > self.limit_bytes:
            raise Overloaded(
                "The requests in progress hold as many bytes as the service allows. Try again in a moment.",
                retry_after_s=self._retry_after_s,
            )
        if key is not None:
            limit_bytes = self._per_key_bytes
            if limit_bytes is not None and self._used_bytes_by_key[key] + size_bytes > limit_bytes:
                raise RateLimited(
                    f"The requests of this key hold {limit_bytes:,} bytes, its limit. Wait until one has ended.",
                    retry_after_s=self._retry_after_s,
                )
            self._used_bytes_by_key[key] += size_bytes
        self.used_bytes += size_bytes

    def give_back(self, size_bytes: int, key: str | None) -> None:
        """Stop counting bytes that were taken."""
        self.used_bytes -= size_bytes
        if key is not None:
            self._used_bytes_by_key[key] -= size_bytes
            if not self._used_bytes_by_key[key]:
                del self._used_bytes_by_key[key]


class Reservation:
    """The bytes that one request holds. ``key`` is its API key; it is to be set before the first byte."""

    def __init__(self, budget: ByteBudget) -> None:
        self.key: str | None = None
        self._budget = budget
        self._bytes = 0

    def add(self, size_bytes: int) -> None:
        """Reserve more bytes. Raise ``Overloaded`` or ``RateLimited`` if the budget has fewer left."""
        self._budget.take(size_bytes, self.key)
        self._bytes += size_bytes

    def release(self) -> None:
        """Return all bytes. Idempotent."""
        self._budget.give_back(self._bytes, self.key)
        self._bytes = 0
