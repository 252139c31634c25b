"""A limit on the bytes that all requests together hold, in addition to the limit of each request. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from deployments.errors import Overloaded


class ByteBudget:
    """``limit_bytes`` for all requests of one Gateway replica. To be used from one event loop."""

    def __init__(self, limit_bytes: int, retry_after_s: float) -> None:
        self.limit_bytes = limit_bytes
        self._retry_after_s = retry_after_s
        self.used_bytes = 0

    @contextmanager
    def reservation(self) -> Iterator[Reservation]:
        """Yield a reservation that is released at the end."""
        reservation = Reservation(self)
        try:
            yield reservation
        finally:
            reservation.release()

    def refusal(self) -> Overloaded:
        return Overloaded(
            "The requests in progress hold as many bytes as the service allows. Try again in a moment.",
            retry_after_s=self._retry_after_s,
        )


class Reservation:
    """The bytes that one request holds."""

    def __init__(self, budget: ByteBudget) -> None:
        self._budget = budget
        self._bytes = 0

    def add(self, size_bytes: int) -> None:
        """Reserve more bytes. Raise ``Overloaded`` if the budget has fewer left."""
        if self._budget.used_bytes + size_bytes > self._budget.limit_bytes:
            raise self._budget.refusal()
        self._budget.used_bytes += size_bytes
        self._bytes += size_bytes

    def release(self) -> None:
        """Return all bytes. Idempotent."""
        self._budget.used_bytes -= self._bytes
        self._bytes = 0
