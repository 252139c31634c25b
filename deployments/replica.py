"""What every model deployment does around its engine: health, metrics and typed errors."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, contextmanager
from functools import wraps
from typing import Any, Generic, TypeVar

from deployments.engines.base import Engine
from deployments.errors import EngineUnavailable, ParleyError
from deployments.live import Live
from deployments.messages import Heartbeat, QueueWait
from deployments.metrics import QUEUE_WAIT, Outcome, RequestMetrics, record_load
from deployments.settings import Settings

logger = logging.getLogger("ray.serve")

E = TypeVar("E", bound=Engine)
C = TypeVar("C", bound=Settings)
T = TypeVar("T")

CHECK_MAX_AGE_S = 5.0


class Replica(Live[C], Generic[E, C]):
    """An engine and the live settings of its deployment."""

    def __init__(self, engine: E, config: C) -> None:
        super().__init__(config)
        self._engine = engine
        self._checked_s = -math.inf

    async def check_health(self) -> None:
        """Raise if the engine cannot answer. Ray calls this before it routes requests here, and then periodically."""
        await self._engine.check()
        self._checked_s = time.monotonic()
        await super().check_health()

    async def ping(self, max_age_s: float = CHECK_MAX_AGE_S) -> str | None:
        """Return why the last ``user_config`` was refused, or ``None``, once the engine has passed a check.

        A check of the last ``max_age_s`` counts. Raise if the engine cannot answer.
        """
        if time.monotonic() - self._checked_s >= max_age_s:
            await self._engine.check()
            self._checked_s = time.monotonic()
        return self.refusal

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
) -> Callable[..., AsyncGenerator[QueueWait | Heartbeat | T, None]]:
    """Make ``method(self, metrics, ...)`` of a ``Replica`` callable through a handle as ``method(...)``.

    With the keyword ``called_at``, the time of the call in seconds since the epoch (the only clock that two processes
    share), the first value is the ``QueueWait``. With ``heartbeat_s``, a ``Heartbeat`` is yielded whenever there has
    been no value for so long.
    """

    @wraps(method)
    async def call(
        self: Replica[Any, Any], *args: Any, called_at: float | None = None, heartbeat_s: float | None = None
    ) -> AsyncGenerator[QueueWait | Heartbeat | T, None]:
        with self.request() as metrics:
            if called_at is not None:
                wait = QueueWait(max(0.0, time.time() - called_at))
                QUEUE_WAIT.record(wait.seconds)
                yield wait
            values: AsyncGenerator[Heartbeat | T, None] = method(self, metrics, *args)
            if heartbeat_s is not None:
                values = with_heartbeats(values, heartbeat_s)
            async with aclosing(values):
                async for value in values:
                    yield value

    return call


async def with_heartbeats(values: AsyncGenerator[T, None], period_s: float) -> AsyncGenerator[Heartbeat | T, None]:
    """Yield ``values``, and a ``Heartbeat`` after each ``period_s`` without one. Closes ``values``."""
    async with aclosing(values):
        while True:
            step = asyncio.ensure_future(anext(values))
            try:
                while not (await asyncio.wait([step], timeout=period_s))[0]:
                    yield Heartbeat()
            finally:
                if not step.done():
                    step.cancel()
                    await asyncio.wait([step])
            try:
                value = step.result()
            except StopAsyncIteration:
                return
            yield value
