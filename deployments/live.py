"""Settings that change while a deployment serves: the next request follows them, those under way keep theirs."""

from __future__ import annotations

import logging
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from deployments.settings import Settings, explain

logger = logging.getLogger("ray.serve")

C = TypeVar("C", bound=Settings)


class Live(Generic[C]):
    """A deployment with live settings, which stand under its ``user_config``."""

    def __init__(self, config: C) -> None:
        self._config = config
        self._serving = False
        self._refusal: str | None = None

    def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Replace the live settings; requests under way keep theirs.

        A replica that starts raises ``ValueError`` on bad ones, so that the deployment fails by name. One that serves
        keeps what it has, logs the refusal and remembers it: Ray would replace a replica that raises by others that
        cannot start, and the service would be gone for a slip of the pen.
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
        """Ray asks once before a replica serves, and then from time to time."""
        self._serving = True
