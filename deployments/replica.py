"""What every replica with a model does besides its work: health, counters, and errors a client can read.

Knows nothing of what the engine makes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from deployments.engine import Engine
from deployments.errors import EngineUnavailable, ParleyError
from deployments.live import Live
from deployments.messages import ReplicaStats
from deployments.settings import Settings

logger = logging.getLogger("ray.serve")

E = TypeVar("E", bound=Engine)
C = TypeVar("C", bound=Settings)


class Replica(Live[C], Generic[E, C]):
    """An engine and the live settings of its deployment."""

    def __init__(self, engine: E, config: C) -> None:
        super().__init__(config)
        self._engine = engine
        self._started = self._finished = self._failed = self._cancelled = 0

    async def check_health(self) -> None:
        """Raises when the engine cannot answer. Ray asks once before a replica serves, and then from time to time."""
        await self._engine.check()
        await super().check_health()

    def stats(self) -> ReplicaStats:
        """What this replica has done since it started."""
        ended = self._finished + self._failed + self._cancelled
        return ReplicaStats(
            active=self._started - ended,
            started=self._started,
            finished=self._finished,
            failed=self._failed,
            cancelled=self._cancelled,
            produced=self._engine.produced,
            refusal=self._refusal,
        )

    @contextmanager
    def _request(self) -> Iterator[None]:
        """Count one request, and let only types of ``deployments.errors`` out."""
        self._started += 1
        try:
            yield
        except (asyncio.CancelledError, GeneratorExit):
            self._cancelled += 1
            raise
        except ParleyError:
            self._failed += 1
            raise
        except Exception:
            self._failed += 1
            logger.exception("the engine failed")
            raise EngineUnavailable("the model failed on this request; another attempt may succeed") from None
        else:
            self._finished += 1
