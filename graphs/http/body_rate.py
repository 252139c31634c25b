"""A limit on the rate at which Ray's proxy reads large bodies, all together.

Ray passes on whatever arrives, without waiting for the Gateway: without a limit one large body after another takes all
of the proxy's and the Gateway's time. The rate is above that of most networks; clients on the same machine or a fast
network wait instead.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY_RATE = float(os.environ.get("PARLEY_MAX_BODY_RATE", str(32 * 2**20)))  # bytes per second; 0 is no limit
FREE_BYTES = 2**20  # of each body, which are not delayed: questions and most pictures


class BodyRateMiddleware:
    """Passes what follows the first ``FREE_BYTES`` of bodies to ``app`` at ``rate`` bytes per second."""

    def __init__(
        self, app: ASGIApp, rate: float = MAX_BODY_RATE, clock_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._app = app
        self._rate = rate
        self._clock_s = clock_s
        self._free_s = 0.0  # when the next bytes may pass

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        received_bytes = 0

        async def paced() -> Message:
            nonlocal received_bytes
            message = await receive()
            if message.get("more_body", False):
                size_bytes = len(message.get("body", b""))
                received_bytes += size_bytes
                await self._wait(min(size_bytes, received_bytes - FREE_BYTES))
            return message

        await self._app(scope, paced if self._rate and scope["type"] == "http" else receive, send)

    async def _wait(self, size_bytes: int) -> None:
        """Wait until ``size_bytes`` more may pass."""
        if size_bytes > 0:
            now_s = self._clock_s()
            self._free_s = max(now_s, self._free_s) + size_bytes / self._rate
            await asyncio.sleep(self._free_s - now_s)
