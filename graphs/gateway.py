"""The ingress deployment: the routes of the service, a few lines each.

Without postponed annotations: Ray pickles this class without the names that only its annotations use, and FastAPI
evaluates the annotations of routes.
"""

import time
from collections.abc import AsyncGenerator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response, WebSocket
from fastapi.responses import HTMLResponse
from ray import serve
from ray.serve.handle import DeploymentHandle
from starlette.middleware.cors import CORSMiddleware

from deployments.errors import EngineUnavailable, InvalidRequest
from deployments.live import Live
from deployments.settings import model_path, resolve
from graphs.http import errors, openapi, page
from graphs.http.auth import ApiKeys, AuthMiddleware
from graphs.http.budget import ByteBudget
from graphs.http.chat.request import ChatReader
from graphs.http.chat.response import ChatResponse
from graphs.http.executor import CodecExecutor
from graphs.http.limits import Admissions, LimitsMiddleware
from graphs.http.media.fetch import Fetcher
from graphs.http.media.sandbox import Sandbox
from graphs.http.openai.chat.request import CompletionReader
from graphs.http.openai.chat.response import CompletionResponse
from graphs.http.openai.models import Models
from graphs.http.openai.realtime.endpoint import RealtimeEndpoint
from graphs.http.openai.realtime.services import Services
from graphs.http.openai.realtime.voice_models import VoiceModels
from graphs.http.openai.speech import SpeechReader, SpeechResponse
from graphs.http.openai.transcription import TranscriptionReader, TranscriptionResponse
from graphs.http.turns import TurnReader
from graphs.pipeline.events import Event
from graphs.pipeline.health import Health
from graphs.pipeline.plan import Plan, Stage, plan, rows
from graphs.pipeline.run import run
from graphs.pipeline.stages import Handles, HandleStages
from graphs.pipeline.turn import Turn
from graphs.settings import GatewayArgs, GatewayConfig

DOCS_PAGE = (Path(__file__).parent / "http" / "docs.html").read_text()
EXPOSED_HEADERS = ["X-Request-Id", "X-Graph", "X-Speech-Omitted", "Server-Timing", "Retry-After"]


@serve.deployment(name="Gateway")
@serve.ingress()
class Gateway(Live[GatewayConfig]):
    """Accepts requests, plans them, runs the plan, and sends the response."""

    def __init__(
        self,
        args: GatewayArgs,
        models: dict[Stage, str],
        asr: DeploymentHandle,
        llm: DeploymentHandle,
        vision: DeploymentHandle,
        tts: DeploymentHandle,
    ) -> None:
        """``models`` has the public name of each stage's model."""
        super().__init__(GatewayConfig())
        self._args = args
        self._executor = CodecExecutor(args.decode_threads)
        self._sandbox = Sandbox(
            args.decode_threads,
            memory_bytes=args.decode_memory_bytes,
            cpu_s=args.decode_cpu_s,
            timeout_s=args.decode_timeout_s,
            streams=args.decode_streams,
        )
        self._handles = Handles({Stage.ASR: asr, Stage.LLM: llm, Stage.VISION: vision, Stage.TTS: tts})
        self._health = Health(self._handles)
        self._model_names = models
        self._started = int(time.time())
        self._keys = ApiKeys.load(resolve(args.api_keys_file) if args.api_keys_file else None)
        self._admissions = Admissions(lambda: self._config)
        end_of_turn = model_path(args.end_of_turn_model) if args.end_of_turn_model else None
        self._voice_models = VoiceModels(end_of_turn)
        self._realtime = RealtimeEndpoint()
        self._apply_config()

    def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Replace the live settings; requests in progress keep theirs."""
        super().reconfigure(user_config)
        self._apply_config()

    def _apply_config(self) -> None:
        """Create everything that depends on the live settings."""
        config, executor, sandbox = self._config, self._executor, self._sandbox
        self._models = Models.deployed(self._model_names, self._started, config)
        bodies = self._bodies = ByteBudget(
            config.max_bodies_bytes, config.retry_after_s, config.max_bodies_bytes_per_key
        )
        uploads = ByteBudget(config.max_uploads_bytes, config.retry_after_s, config.max_uploads_bytes_per_key)
        self._chat_reader = ChatReader(config, executor, sandbox, bodies)
        self._completion_reader = CompletionReader(config, executor, sandbox, bodies, self._models, Fetcher(config))
        self._speech_reader = SpeechReader(config, executor, bodies, self._models)
        self._transcription_reader = TranscriptionReader(config, sandbox, uploads, self._models)

    def __serve_build_asgi_app__(self) -> FastAPI:
        """Return the application of this replica. Ray Serve calls this after the constructor."""
        app = FastAPI(
            title="Parley",
            version="0.1.0",
            description="Text, speech and pictures in; text or a voice out.",
            redirect_slashes=False,  # to an address of the header Host, without TLS
            docs_url=None,  # FastAPI's page loads its scripts from the network; /docs below does not
            redoc_url=None,
        )
        errors.install(app)
        self._add_routes(app)
        # The middleware that is added last runs first.
        app.add_middleware(LimitsMiddleware, admissions=self._admissions)
        app.add_middleware(AuthMiddleware, keys=self._keys, origins=self._args.cors_origins)
        if self._args.cors_origins:
            app.add_middleware(
                CORSMiddleware,
                allow_origins=self._args.cors_origins,
                allow_methods=["GET", "POST"],
                allow_headers=["*"],
                expose_headers=EXPOSED_HEADERS,
            )
        return app

    def _add_routes(self, app: FastAPI) -> None:
        app.post("/chat", **openapi.CHAT)(self.chat)
        app.post("/v1/chat/completions", **openapi.CHAT_COMPLETIONS)(self.chat_completions)
        app.post("/v1/audio/speech", **openapi.SPEECH)(self.speech)
        app.post("/v1/audio/transcriptions", **openapi.TRANSCRIPTIONS)(self.transcriptions)
        app.post("/v1/audio/translations", **openapi.TRANSLATIONS)(self.translations)
        app.post("/v1/realtime/client_secrets", **openapi.CLIENT_SECRETS)(self.client_secrets)
        app.websocket("/v1/realtime")(self.realtime)
        app.get("/v1/models", **openapi.MODELS)(self.models)
        app.get("/v1/models/", include_in_schema=False)(self.models)  # the route below would match
        app.get("/v1/models/{name:path}", **openapi.MODEL)(self.model)
        app.get("/graph", **openapi.GRAPH)(self.graph)
        app.get("/health", **openapi.HEALTH)(self.health)
        app.get("/health/live", **openapi.LIVE)(self.live)
        app.get("/docs", include_in_schema=False)(self.docs)
        page.install(app)

    def _run(self, turn: Turn, model: Stage | None = None) -> tuple[Plan, AsyncGenerator[Event, None]]:
        """Return the plan of a turn and the events of its run."""
        planned = plan(turn.inputs, turn.output, model)
        stages = HandleStages(self._handles, self._config.retry_after_s, self._config.stage_timeout_s)
        return planned, run(planned, turn, stages, deadline_s=self._config.request_timeout_s)

    @property
    def _services(self) -> Services:
        """What a live session that begins now uses."""
        turns = TurnReader(self._config, self._sandbox)
        return Services(self._run, self._models, turns, self._admissions, self._voice_models, self._executor)

    async def chat(self, request: Request) -> Response:
        """Text, speech or pictures in; text or a voice out. The same fields in three forms: a form, JSON, or a raw
        body of one kind with the other fields in the query."""
        turn, form = await self._chat_reader.read(request)
        return await ChatResponse(turn, *self._run(turn)).respond(form)

    async def chat_completions(self, request: Request) -> Response:
        """Text, speech and pictures in; text or a voice out, whole or streamed. An unsupported parameter is refused by
        its name."""
        asked = await self._completion_reader.read(request)
        planned, events = self._run(asked.turn, asked.stage)
        return await CompletionResponse(asked, planned, events, self._config.audio_id_ttl_s, self._executor).respond()

    async def speech(self, request: Request) -> Response:
        """Sent while it is synthesized, in any of six formats, or as events."""
        asked = await self._speech_reader.read(request)
        return await SpeechResponse(asked, *self._run(asked.turn, Stage.TTS), self._executor).respond()

    async def transcriptions(self, request: Request) -> Response:
        """Recordings of hours are transcribed in pieces; with stream, segments are sent as they are recognized."""
        asked = await self._transcription_reader.read(request)
        return await TranscriptionResponse(asked, *self._run(asked.turn, Stage.ASR)).respond()

    async def translations(self) -> Response:
        """Always refused."""
        raise InvalidRequest(
            "Parley does not translate. POST /v1/audio/transcriptions transcribes a recording in its own language.",
            param="model",
        )

    async def realtime(self, websocket: WebSocket) -> None:
        """Live talk: text, speech and pictures in, text or a voice out, over one connection."""
        await self._realtime.connect(websocket, self._services, self._config)

    async def client_secrets(self, request: Request) -> dict[str, Any]:
        """A short-lived key for live sessions, for a browser that must not know the API key."""
        return await self._realtime.client_secret(request, self._bodies, self._services, self._config)

    async def models(self) -> dict[str, Any]:
        """The names that a request may use; parley is the graph as a whole. The speech model has its voices."""
        return self._models.listing(await self._voices())

    async def model(self, name: str) -> dict[str, Any]:
        """404 for a model that is not served."""
        return self._models.entry(name, await self._voices())

    async def _voices(self) -> tuple[str, ...]:
        return await self._handles.voices(self._config.health_timeout_s)

    async def graph(self) -> dict[str, list[dict[str, Any]]]:
        """The stages for each combination of inputs, output and model. A request with all of needs, and possibly some
        of may, matches a row; model is asr or tts where the model of that stage is requested by itself."""
        return {"rows": [asdict(row) for row in rows()]}

    async def health(self) -> dict[str, Any]:
        """200 if every deployment has answered lately; 503 with the names of those that have not. The status is
        degraded, with the refusals, where a deployment has refused its user_config and keeps an earlier one."""
        config = self._config
        report = await self._health.report(config.health_timeout_s, config.stage_timeout_s)
        if report.unresponsive:
            raise EngineUnavailable(
                f"No answer from {', '.join(report.unresponsive)}.", retry_after_s=config.retry_after_s
            )
        names = ["Gateway", *map(self._handles.name, self._handles)]
        refused = {"Gateway": self.refusal} if self.refusal else {}
        refused |= report.refused
        if refused:
            return {"status": "degraded", "deployments": names, "refused": refused}
        return {"status": "ready", "deployments": names}

    async def live(self) -> dict[str, str]:
        """Always 200. It calls no other deployment."""
        return {"status": "live"}

    async def docs(self) -> HTMLResponse:
        """The documentation of the routes as a page without external scripts."""
        return HTMLResponse(DOCS_PAGE)
