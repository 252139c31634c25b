"""Tells a replica that it is about to stop, while its requests in progress still run.

Ray Serve waits for these up to ``graceful_shutdown_timeout_s`` and then ends them, without a word to the deployment
(Ray 2.60: ``_perform_graceful_shutdown`` of ``ray/serve/_private/replica.py``). An open WebSocket counts as a request,
so a session has to end by itself within that time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any


def install(callback: Callable[[float], None]) -> None:
    """Call ``callback`` in this event loop when this process's replica begins to stop.

    Its argument is ``graceful_shutdown_timeout_s``, in which all requests have to end.
    """
    from ray.serve._private import replica

    loop = asyncio.get_running_loop()
    original = replica.Replica._perform_graceful_shutdown

    async def perform(self: Any) -> None:
        loop.call_soon_threadsafe(callback, self._deployment_config.graceful_shutdown_timeout_s)
        await original(self)

    replica.Replica._perform_graceful_shutdown = perform
