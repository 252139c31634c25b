"""What every replica with a model does besides its work: live settings, health, counters, and errors a client can read.

Knows nothing of what the engine makes.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from deployments.engine import Engine
from deployments.errors import EngineUnavailable, ParleyError
from deployments.messages import ReplicaStats
from deployments.metrics import QUEUE_WAIT, Outcome, RequestWatch, record_load
from deployments.settings import Settings, explain

logger = logging.getLogger("ray.serve")

E = TypeVar("E", bound=Engine)
C = TypeVar("C", bound=Settings)


class Replica(Generic[E, C]):
    """An engine and the live settings of its deployment."""

    def __init__(self, engine: E, config: C) -> None:
        self._engine = engine
        self._config = config
        self._serving = False
        self._refusal: str | None = None
        self._started = 0
        self._ended: Counter[Outcome] = Counter()

    def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Replace the live settings; requests under way keep theirs.

        A replica that starts raises ``ValueError`` on bad ones, so that the deployment fails by name. One that serves
        keeps what it has, logs the refusal and shows it in its ``stats``: Ray would replace a replica that raises by
        others that cannot start, and the service would be gone for a slip of the pen.
        """
        try:
            self._config = type(self._config).model_validate(user_config)
            self._refusal = None
        except ValidationError as error:
            refusal = f"user_config refused: {explain(error)}"
            if not self._serving:
                raise ValueError(refusal) from None
            self._refusal = refusal
            logger.error("%s; the settings in force stay", refusal)
        else:
            logger.info("settings in force: %s", self._config.model_dump_json())

    async def check_health(self) -> None:
        """Raises when the engine cannot answer. Ray asks once before a replica serves, and then from time to time."""
        await self._engine.check()
        self._serving = True

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

    @contextmanager
    def _request(self, called_at: float | None) -> Iterator[RequestWatch]:
        """Count and time one request, and let only types of ``deployments.errors`` out.

        ``called_at`` is when the gateway called, in seconds since the epoch: the only clock that two processes share.
        """
        self._started += 1
        watch = RequestWatch()
        if called_at is not None:
            QUEUE_WAIT.record(max(0.0, time.time() - called_at))
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
