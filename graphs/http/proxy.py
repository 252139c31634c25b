"""Ray's proxy answers by itself where a Gateway died or is not there yet, in plain text: here in the one shape.

Runs in front of every request, in the proxy or, where HAProxy takes its place, before the Gateway's own server:
``RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH`` names ``middlewares``.
"""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deployments.errors import EngineUnavailable
from graphs.http.body import REQUEST_ID, request_id
from graphs.http.errors import answer
from graphs.http.heap import return_large_blocks
from graphs.http.turnstile import Turnstile

RAYS_OWN = "/-/"  # what Ray answers of itself: /-/healthz, /-/routes
STATUSES = (404, 500, 503)  # no application yet, no answer, no replica


def middlewares() -> list[Middleware]:
    """As Ray asks for them, once in each proxy; the last is the first that a request meets."""
    return_large_blocks()
    return [Middleware(InShape), Middleware(Turnstile)]


class InShape:
    """Lets the Gateway's answers through, and says in their shape that there was none."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(RAYS_OWN):
            await self._app(scope, receive, send)
            return
        answered = False

        async def pass_on(message: Message) -> None:
            nonlocal answered
            answered = answered or not _by_the_proxy(message)
            if answered:
                await send(message)

        await self._app(scope, receive, pass_on)
        if not answered:
            response = answer(EngineUnavailable("The gateway is being replaced; try again in a moment."))
            response.headers[REQUEST_ID] = request_id(Request(scope))
            await response(scope, receive, send)


def _by_the_proxy(message: Message) -> bool:
    """Whether an answer begins, or goes on, that no Gateway gave: those of a Gateway with these statuses are JSON."""
    if message["type"] != "http.response.start":
        return True
    return message["status"] in STATUSES and Headers(raw=message["headers"]).get("content-type") != "application/json"
