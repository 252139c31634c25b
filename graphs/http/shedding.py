"""Load shedding in Ray's proxy: reject requests while all slots of the Gateways behind it are in use.

Under overload most requests are refused. A refusal by a Gateway takes 2 ms or more of two processes, which the requests
in progress need; a refusal here takes a tenth of that (docs/decisions/0007-load-shedding.md). The Gateways still apply
their own limits: this one only has to be close to theirs.
"""

from __future__ import annotations

import os

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deployments.errors import Overloaded
from graphs.http import errors
from graphs.http.body import REQUEST_ID, request_id

LIMIT_VARIABLE = "PARLEY_PROXY_MAX_REQUESTS"
RETRY_AFTER_S = 2


class LoadSheddingMiddleware:
    """Passes at most ``limit`` POST requests at a time to ``app``; 0 is no limit.

    A request whose body is still arriving does not count, as in the Gateway. A response whose client does not read it
    does not count either, as its Gateway may have finished long ago, unless there are more than ``limit`` of them.
    Requests with an Origin always pass, because only the Gateway has the CORS headers without which a browser hides the
    refusal.
    """

    def __init__(self, app: ASGIApp, limit: int | None = None) -> None:
        self._app = app
        self._limit = int(os.environ.get(LIMIT_VARIABLE, "0")) if limit is None else limit
        self._active = 0
        self._uploading = 0  # of these, waiting for their client to send the body
        self._blocked = 0  # of these, waiting for their client to read

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._limit or scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
        elif self._is_full() and "origin" not in Headers(scope=scope):
            await _refuse(scope, receive, send)
        else:
            await self._pass(scope, receive, send)

    def _is_full(self) -> bool:
        return self._active - self._uploading - min(self._blocked, self._limit) >= self._limit

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_complete = False

        async def received() -> Message:
            nonlocal is_complete
            if is_complete:  # waits for the client to disconnect
                return await receive()
            self._uploading += 1
            try:
                message = await receive()
            finally:
                self._uploading -= 1
            is_complete = message["type"] != "http.request" or not message.get("more_body", False)
            return message

        async def forward(message: Message) -> None:
            self._blocked += 1
            try:
                await send(message)
            finally:
                self._blocked -= 1

        self._active += 1
        try:
            await self._app(scope, received, forward)
        finally:
            self._active -= 1


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    message = "The service has reached its limit of concurrent requests. Try again in a moment."
    refusal = errors.response(Overloaded(message, retry_after_s=RETRY_AFTER_S))
    refusal.headers[REQUEST_ID] = request_id(Request(scope))
    await refusal(scope, receive, send)
