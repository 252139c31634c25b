"""Settings that can be changed while a deployment serves: they apply from the next request on."""

from __future__ import annotations

import logging
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from deployments import loopback
from deployments.settings import Settings, explain

logger = logging.getLogger("ray.serve")

C = TypeVar("C", bound=Settings)


class Live(Generic[C]):
    """A deployment with live settings, given as its ``user_config``."""

    def __init__(self, config: C) -> None:
        loopback.install()
        self._config = config
        self._serving = False
        self._refusal: str | None = None

    @property
    def refusal(self) -> str | None:
        """Why the last ``user_config`` was refused; ``None`` if it applies."""
        return self._refusal

    def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Replace the live settings; requests in progress keep theirs.

        A starting replica raises ``ValueError`` for invalid settings, so that the deployment fails with their names. A
        serving one keeps its settings, logs the refusal and reports it in GET /health: Ray would replace a replica that
        raises by replicas that cannot start, and one invalid setting would stop the service.
        """
        try:
            self._config = type(self._config).model_validate(user_config)
        except ValidationError as error:
            refusal = f"user_config refused: {explain(error)}"
            if not self._serving:
                raise ValueError(refusal) from None
            self._refusal = refusal
            logger.error("%s; the current settings stay", refusal)
        else:
            self._refusal = None
            logger.info("new settings: %s", self._config.model_dump_json())

    async def check_health(self) -> None:
        """Ray calls this before it routes requests to the replica, and then periodically."""
        self._serving = True
