"""Middleware of Ray Serve's proxy that gives the proxy's plain-text errors the form of all other errors, and removes
headers that Ray would trust.

The proxy sends such an error when no Gateway replica responds: one has died, or none has started.
``RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH`` names ``middlewares``. Where HAProxy replaces Ray's proxy, the middleware
runs in front of each Gateway replica's own server.
"""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deployments.errors import EngineUnavailable
from graphs.http import errors, server
from graphs.http.body import REQUEST_ID, request_id
from graphs.http.body_rate import BodyRateMiddleware
from graphs.http.shedding import LoadSheddingMiddleware

RAY_PATHS = "/-/"  # paths of the proxy: /-/healthz, /-/routes
STATUSES = (404, 500, 503)  # no application yet, a replica that died, no replica

# Headers by which a client could select a replica. Ray accepts either separator.
ROUTING_HEADERS = (b"serve_multiplexed_model_id", b"x_session_id")


def middlewares() -> list[Middleware]:
    """Return the middlewares of one proxy. Ray calls this once per proxy, before it starts its server."""
    server.install()
    # The last one runs first.
    order = (ErrorFormatMiddleware, LoadSheddingMiddleware, HeaderMiddleware, BodyRateMiddleware)
    return [Middleware(middleware) for middleware in order]


class HeaderMiddleware:
    """Gives every request one valid id, and removes the headers by which a client could select a replica.

    Ray copies the id into the response and into its log, and decodes these headers as UTF-8, which other bytes fail.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            headers = [(name, value) for name, value in scope["headers"] if not _is_trusted_by_ray(name)]
            headers.append((REQUEST_ID.encode(), request_id(HTTPConnection(scope)).encode()))
            scope = {**scope, "headers": headers}
        await self._app(scope, receive, send)


class ErrorFormatMiddleware:
    """Replaces the proxy's error responses; the Gateway's responses pass unchanged."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(RAY_PATHS):
            await self._app(scope, receive, send)
            return
        started = False

        async def forward(message: Message) -> None:
            nonlocal started
            started = started or not _is_proxy_error(message)
            if started:
                await send(message)

        await self._app(scope, receive, forward)
        if not started:
            refusal = errors.response(EngineUnavailable("The gateway is being replaced; try again in a moment."))
            refusal.headers[REQUEST_ID] = request_id(HTTPConnection(scope))
            await refusal(scope, receive, send)


def _is_trusted_by_ray(name: bytes) -> bool:
    return name == REQUEST_ID.encode() or name.replace(b"-", b"_") in ROUTING_HEADERS


def _is_proxy_error(message: Message) -> bool:
    """Return whether a message belongs to an error of the proxy. Errors of the Gateway are JSON."""
    if message["type"] != "http.response.start":
        return True
    return message["status"] in STATUSES and Headers(raw=message["headers"]).get("content-type") != "application/json"
