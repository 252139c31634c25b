"""The running application as Ray's dashboard tells of it: what is deployed, and deploying it changed."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any

import httpx

_APPLICATIONS = "/api/serve/applications/"


@dataclass(frozen=True, slots=True)
class Service:
    """One Serve application behind the dashboard that ``client`` reaches."""

    client: httpx.AsyncClient

    async def state(self) -> str:
        """The application's status, such as RUNNING; empty while there is none."""
        try:
            answer = await self.client.get(_APPLICATIONS)
            applications = answer.raise_for_status().json()["applications"].values()
        except (httpx.HTTPError, ValueError, KeyError):
            return ""
        return next((str(application["status"]) for application in applications), "")

    async def application(self) -> dict[str, Any]:
        """The configuration of the application as it was deployed."""
        instance = (await self.client.get(_APPLICATIONS)).raise_for_status().json()
        (application,) = instance["applications"].values()
        deployed: dict[str, Any] = application["deployed_app_config"]
        return deployed

    async def deploy(self, application: dict[str, Any], *, timeout_s: float = 300) -> None:
        """What `serve deploy` does; waits until the application is RUNNING. Raises ``TimeoutError``."""
        if application == await self.application():
            return
        answer = await self.client.put(_APPLICATIONS, json={"applications": [application]})
        answer.raise_for_status()
        until = time.monotonic() + timeout_s
        await asyncio.sleep(2)  # the controller takes the change up in its next round
        while (state := await self.state()) != "RUNNING":
            if time.monotonic() > until:
                raise TimeoutError(f"still {state} {timeout_s:g} s after the change")
            await asyncio.sleep(0.2)
