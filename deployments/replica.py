"""What every replica with a model does besides its work: health, counters, and errors a client can read.

Knows nothing of what the engine makes.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from deployments.engine import Engine
from deployments.errors import EngineUnavailable, ParleyError
from deployments.live import Live
from deployments.messages import ReplicaStats, Taken
from deployments.metrics import QUEUE_WAIT, Outcome, RequestWatch, record_load
from deployments.settings import Settings

logger = logging.getLogger("ray.serve")

E = TypeVar("E", bound=Engine)
C = TypeVar("C", bound=Settings)


class Replica(Live[C], Generic[E, C]):
    """An engine and the live settings of its deployment."""

    def __init__(self, engine: E, config: C) -> None:
        super().__init__(config)
        self._engine = engine
        self._started = 0
        self._ended: Counter[Outcome] = Counter()

    async def check_health(self) -> None:
        """Raises when the engine cannot answer. Ray asks once before a replica serves, and then from time to time."""
        await self._engine.check()
        await super().check_health()

    def stats(self) -> ReplicaStats:
        """What this replica has done since it started."""
        return ReplicaStats(
            active=self._started - self._ended.total(),
            started=self._started,
            finished=self._ended["finished"],
            failed=self._ended["failed"],
            cancelled=self._ended["cancelled"],
            produced=self._engine.produced,
            refusal=self._refusal,
        )

    def _taken(self, called_at: float | None) -> Taken | None:
        """How long a request waited for this replica, if that is known.

        ``called_at`` is when the gateway called, in seconds since the epoch: the only clock that two processes share.
        """
        if called_at is None:
            return None
        waited_s = max(0.0, time.time() - called_at)
        QUEUE_WAIT.record(waited_s)
        return Taken(waited_s)

    @contextmanager
    def _request(self) -> Iterator[RequestWatch]:
        """Count and time one request, and let only types of ``deployments.errors`` out."""
        self._started += 1
        watch = RequestWatch()
        outcome: Outcome = "failed"
        record_load(self._engine.load())
        try:
            yield watch
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
            self._ended[outcome] += 1
            watch.end(outcome)
            record_load(self._engine.load())
