"""The routes ``WS /v1/realtime`` and ``POST /v1/realtime/client_secrets``."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from uuid import uuid4

from pydantic import Field
from starlette.requests import Request
from starlette.websockets import WebSocket, WebSocketDisconnect

from deployments import draining
from deployments.errors import InvalidRequest, ParleyError
from graphs.http import client_secrets
from graphs.http.auth import GRANT, KEY, POLICY_VIOLATION
from graphs.http.body import RequestModel, json_body, read_json, validated
from graphs.http.budget import ByteBudget
from graphs.http.client_secrets import Grant
from graphs.http.openai.models import GRAPH
from graphs.http.openai.realtime import configuration, server_events
from graphs.http.openai.realtime.client_events import EventError
from graphs.http.openai.realtime.configuration import Configuration, Kind
from graphs.http.openai.realtime.connection import Connection
from graphs.http.openai.realtime.services import Services
from graphs.http.openai.realtime.session import Session
from graphs.http.openai.realtime.session_limits import SessionLimits
from graphs.http.openai.realtime.sessions import Sessions
from graphs.settings import GatewayConfig

PROTOCOL = "realtime"
TRY_AGAIN_LATER = 1013  # close code of a WebSocket (IANA registry)
MAX_TRANSCRIPTIONS = 16  # of one session, in progress or waiting


class ExpiresAfter(RequestModel):
    """When a client secret expires, from its creation on."""

    anchor: Literal["created_at"] = "created_at"
    seconds: int = Field(default=client_secrets.DEFAULT_TTL_S, ge=client_secrets.MIN_TTL_S, le=client_secrets.MAX_TTL_S)


class ClientSecretRequest(RequestModel):
    """The fields of POST /v1/realtime/client_secrets."""

    expires_after: ExpiresAfter = ExpiresAfter()
    session: dict[str, Any] = Field(default_factory=dict, description="The configuration of the sessions.")


class RealtimeEndpoint:
    """Accepts live sessions within the limits of the current settings."""

    def __init__(self) -> None:
        self._sessions = Sessions()
        self._watches_drain = False

    async def connect(self, websocket: WebSocket, services: Services, config: GatewayConfig) -> None:
        """Serve one client. What it cannot have is refused after the connection is accepted, so that it hears why."""
        self._watch_drain()
        offered = websocket.scope.get("subprotocols", [])
        await websocket.accept(PROTOCOL if PROTOCOL in offered else None)
        key = websocket.scope.get(KEY)
        try:
            wanted = _wanted(websocket, services)
            session = Session(
                session_id=new_id("sess"),
                model=wanted.model,
                kind=wanted.kind,
                limits=session_limits(config),
                new_id=new_id,
                now_s=time.monotonic(),
                require=services.require,
                configuration=wanted.configuration,
            )
            connection = Connection(websocket, session, services, config.realtime, key)
            with self._sessions.entered(key, config.realtime, connection.drain):
                await connection.serve()
        except ParleyError as refusal:
            event = {"event_id": new_id("event")} | server_events.error(EventError(refusal), None)
            with contextlib.suppress(WebSocketDisconnect, OSError):  # the client is gone
                await websocket.send_text(json.dumps(event))
                await websocket.close(POLICY_VIOLATION if refusal.status < 429 else TRY_AGAIN_LATER, refusal.code)

    async def client_secret(
        self, request: Request, budget: ByteBudget, services: Services, config: GatewayConfig
    ) -> dict[str, Any]:
        """Return a new client secret for the owner of the request's key. Raise types of ``deployments.errors``."""
        with budget.reservation() as reservation:
            data = await json_body(request, client_secrets.MAX_SESSION_BYTES, config.max_json_items, reservation)
        fields = validated(ClientSecretRequest, read_json(data, config.max_json_items))
        session = configuration.updated(configuration.default(_kind(fields.session), GRAPH), fields.session)
        services.require(session)
        expires_at = int(time.time()) + fields.expires_after.seconds
        owner = bytes.fromhex(request.scope.get(KEY, ""))
        secret = client_secrets.issue(Grant(fields.session, expires_at, owner))
        shown = configuration.described(session, new_id("sess"))
        return {"value": secret, "expires_at": expires_at, "session": shown}

    def _watch_drain(self) -> None:
        """End the sessions when the replica stops; without sessions there is nothing to watch for."""
        if not self._watches_drain:
            self._watches_drain = True
            draining.install(self._sessions.drain)


def new_id(kind: str) -> str:
    """Return a new id such as ``event_...``."""
    return f"{kind}_{uuid4().hex[:24]}"


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What a connection asks for: by its query, and by the session of its client secret."""

    kind: Kind
    model: str
    configuration: Configuration | None


def _wanted(websocket: WebSocket, services: Services) -> _Wanted:
    """Return what a connection asks for. Raise ``InvalidRequest`` for what this service cannot do."""
    grant: Grant | None = websocket.scope.get(GRANT)
    fields = grant.session if grant else {}
    intent = websocket.query_params.get("intent")
    if intent not in (None, "transcription", "conversation"):
        raise InvalidRequest("The intent should be transcription, or left out.", param="intent")
    kind = "transcription" if intent == "transcription" else _kind(fields)
    model = websocket.query_params.get("model") or fields.get("model") or GRAPH
    wanted = configuration.updated(configuration.default(kind, model), fields)
    services.require(wanted)
    return _Wanted(kind, model, wanted if grant else None)


def _kind(fields: Mapping[str, Any]) -> Kind:
    return "transcription" if fields.get("type") == "transcription" else "realtime"


def session_limits(config: GatewayConfig) -> SessionLimits:
    settings = config.realtime
    return SessionLimits(
        max_message_bytes=settings.max_message_bytes,
        max_json_items=config.max_json_items,
        max_buffer_s=settings.max_buffer_s,
        max_items=settings.max_items,
        max_chars=config.max_conversation_chars,
        max_images=config.max_images,
        max_transcriptions=MAX_TRANSCRIPTIONS,
        max_responses=settings.max_responses,
        session_s=settings.max_session_s,
        idle_s=settings.max_idle_s,
    )
