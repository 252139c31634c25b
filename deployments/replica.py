"""What every model deployment does around its engine: health, metrics and typed errors."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, contextmanager
from functools import wraps
from typing import Any, Generic, TypeVar

from deployments.engines.base import Engine
from deployments.errors import EngineUnavailable, ParleyError
from deployments.live import Live
from deployments.messages import QueueWait
from deployments.metrics import QUEUE_WAIT, Outcome, RequestMetrics, record_load
from deployments.settings import Settings

logger = logging.getLogger("ray.serve")

E = TypeVar("E", bound=Engine)
C = TypeVar("C", bound=Settings)
T = TypeVar("T")


class Replica(Live[C], Generic[E, C]):
    """An engine and the live settings of its deployment."""

    def __init__(self, engine: E, config: C) -> None:
        super().__init__(config)
        self._engine = engine

    async def check_health(self) -> None:
        """Raise if the engine cannot answer. Ray calls this before it routes requests here, and then periodically."""
        await self._engine.check()
        await super().check_health()

    def ping(self) -> None:
        """Return at once: a successful call shows that the replica takes requests."""

    @contextmanager
    def request(self) -> Iterator[RequestMetrics]:
        """Count and time one request. Let only types of ``deployments.errors`` pass."""
        metrics = RequestMetrics()
        outcome: Outcome = "failed"
        record_load(self._engine.load())
        try:
            yield metrics
            outcome = "finished"
        except (asyncio.CancelledError, GeneratorExit):
            outcome = "cancelled"
            raise
        except ParleyError:
            raise
        except Exception:
            logger.exception("the engine failed")
            raise EngineUnavailable("the model failed on this request; another attempt may succeed") from None
        finally:
            metrics.end(outcome)
            record_load(self._engine.load())


def served(
    method: Callable[..., AsyncGenerator[T, None]],
) -> Callable[..., AsyncGenerator[QueueWait | T, None]]:
    """Make ``method(self, metrics, ...)`` of a ``Replica`` callable through a handle as ``method(...)``.

    With the keyword ``called_at``, the time of the call in seconds since the epoch (the only clock that two processes
    share), the first value is the ``QueueWait``.
    """

    @wraps(method)
    async def call(
        self: Replica[Any, Any], *args: Any, called_at: float | None = None
    ) -> AsyncGenerator[QueueWait | T, None]:
        with self.request() as metrics:
            if called_at is not None:
                wait = QueueWait(max(0.0, time.time() - called_at))
                QUEUE_WAIT.record(wait.seconds)
                yield wait
            async with aclosing(method(self, metrics, *args)) as values:
                async for value in values:
                    yield value

    return call
