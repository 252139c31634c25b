"""What every replica with a model does besides its work: live settings, health, counters, and errors a client can read.

Knows nothing of what the engine makes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from deployments.engine import Engine
from deployments.errors import EngineUnavailable, ParleyError
from deployments.messages import ReplicaStats
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
        self._started = self._finished = self._failed = self._cancelled = 0

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
