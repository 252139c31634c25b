"""The ingress deployment: routes of a few lines each. What they mean is in ``wire``, ``plan`` and ``run``.

Without postponed annotations: FastAPI could not resolve them once Ray Serve has copied the application.
"""

import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse
from ray import serve
from ray.serve.handle import DeploymentHandle
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from deployments.errors import EngineUnavailable, InvalidRequest
from deployments.live import Live
from deployments.settings import GatewayArgs, GatewayConfig, resolve
from graphs.http.limits import Admission
from graphs.pipeline.events import Event
from graphs.http.auth import Guard, Keys
from graphs.pipeline.plan import TABLE, Plan, Stage, plan
from graphs.pipeline.run import hear, run, say
from graphs.pipeline.stages import HandleStages
from graphs.pipeline.turn import Turn
from graphs.http import errors, openapi
from graphs.http.chat.response import Answer
from graphs.http.body import json_body, request_id
from graphs.http.media.fetch import Fetcher
from graphs.http.heap import return_large_blocks
from graphs.http.chat.request import read_chat
from graphs.http.executor import Lanes
from graphs.http.openai import openapi as openai_openapi
from graphs.http.openai.models import catalogue
from graphs.http.openai.chat.response import ChatAnswer
from graphs.http.openai.chat.request import read_chat_completion
from graphs.http.openai.speech import SpeechAnswer, read_speech
from graphs.http.openai.transcription import TranscriptionAnswer, read_transcription

DOCS_PAGE = (Path(__file__).parent / "wire" / "docs.html").read_text()

app = FastAPI(
    title="Parley",
    version="0.1.0",
    description="Text, speech and pictures in; text or a voice out.",
    docs_url=None,  # FastAPI's page loads its scripts from the network; ours is below
    redoc_url=None,
)
errors.install(app)


class Door:
    """Keys and origins as this replica's settings say; they are known once its gateway is."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._guarded: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if self._guarded is None:
            self._guarded = serve.get_replica_context().servable_object.guarded(self._app)
        await self._guarded(scope, receive, send)


app.add_middleware(Door)


@serve.deployment(name="Gateway")
@serve.ingress(app)
class Gateway(Live[GatewayConfig]):
    """Takes requests, decides their way through the graph, and answers."""

    def __init__(
        self,
        args: GatewayArgs,
        models: dict[Stage, str],
        asr: DeploymentHandle,
        llm: DeploymentHandle,
        vision: DeploymentHandle,
        tts: DeploymentHandle,
    ) -> None:
        super().__init__(GatewayConfig())
        return_large_blocks()
        self._args = args
        self._lanes = Lanes(args.decode_threads)
        self._handles = {Stage.ASR: asr, Stage.LLM: llm, Stage.VISION: vision, Stage.TTS: tts}
        self._models = models
        self._started = int(time.time())
        self._keys = Keys.load(resolve(args.api_keys_file) if args.api_keys_file else None)
        self._follow()

    def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Replace the live settings; requests under way keep theirs."""
        super().reconfigure(user_config)
        self._follow()

    def _follow(self) -> None:
        """What is made of the settings in force."""
        self._stages = HandleStages(self._handles, self._config.retry_after_s)
        self._catalogue = catalogue(self._models, self._started, self._config.model_aliases)
        self._fetcher = Fetcher(self._config)

    def guarded(self, app: ASGIApp) -> ASGIApp:
        """``app`` behind the limits and the keys, and open to the pages of the origins that the settings name."""
        guard = Guard(Admission(app, lambda: self._config), self._keys)
        if not self._args.cors_origins:
            return guard
        return CORSMiddleware(
            guard,
            allow_origins=self._args.cors_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["*"],
            expose_headers=["X-Request-Id", "X-Graph", "Server-Timing", "Retry-After"],
        )

    def _run(self, way: Plan, turn: Turn) -> AsyncGenerator[Event, None]:
        """The events of one answer, under the settings in force."""
        return run(
            way, turn, self._stages, deadline_s=self._config.request_timeout_s, overlap=self._config.overlap_speech
        )

    @app.post(
        "/chat",
        summary="One turn of a conversation",
        response_class=Response,
        responses=openapi.CHAT_ANSWERS,
        openapi_extra={"requestBody": openapi.REQUEST_BODY, "parameters": openapi.QUERY_PARAMETERS},
    )
    async def chat(self, request: Request) -> Response:
        """Text, speech or pictures in; text or a voice out. The same fields in three forms: a form, JSON, or a raw
        body of one kind whose other fields stand in the query."""
        turn, form = await read_chat(request, self._config, self._lanes)
        way = plan(turn.inputs, turn.output)
        return await Answer(turn, way, self._run(way, turn)).respond(form)

    @app.post(
        "/v1/chat/completions",
        summary="A chat completion, as OpenAI's clients ask for it",
        response_class=Response,
        responses=schema.CHAT_ANSWERS,
        openapi_extra={"requestBody": schema.CHAT_BODY},
    )
    async def chat_completions(self, request: Request) -> Response:
        """Text, speech and pictures in; text or a voice out, whole or streamed. What Parley does not do is refused by
        the parameter's name."""
        data = await json_body(request, self._config.max_body_bytes)
        asked = await read_chat_completion(
            data, request_id(request), self._config, self._catalogue, self._fetcher, self._lanes
        )
        way = plan(asked.turn.inputs, asked.turn.output)
        if asked.stage:
            way = way.thought_by(asked.stage)
        events = self._run(way, asked.turn)
        return await ChatAnswer(asked, way, events, self._config.audio_id_ttl_s, self._lanes).respond()

    @app.post(
        "/v1/audio/speech",
        summary="A text read aloud",
        response_class=Response,
        responses=schema.SPEECH_ANSWERS,
        openapi_extra={"requestBody": schema.SPEECH_BODY},
    )
    async def speech(self, request: Request) -> Response:
        """Sent while it is being spoken, in any of six formats, or as events."""
        data = await json_body(request, self._config.max_body_bytes)
        asked = await self._lanes.text(len(data), read_speech, data, self._config, self._catalogue)
        events = say(asked.text, asked.options, self._stages, deadline_s=self._config.request_timeout_s)
        return await SpeechAnswer(asked, events, self._lanes).respond()

    @app.post(
        "/v1/audio/transcriptions",
        summary="A recording written down",
        response_class=Response,
        responses=schema.TRANSCRIPTION_ANSWERS,
        openapi_extra={"requestBody": schema.TRANSCRIPTION_BODY},
    )
    async def transcriptions(self, request: Request) -> Response:
        """Recordings of hours are heard in pieces; with stream the words come as they are heard."""
        asked = await read_transcription(request, self._config, self._catalogue, self._lanes)
        events = hear(asked.pieces(), asked.options, self._stages, deadline_s=self._config.request_timeout_s)
        return await TranscriptionAnswer(asked, events).respond()

    @app.post(
        "/v1/audio/translations",
        summary="Not done: Parley writes down what is said, in its own language",
        response_class=Response,
        responses=schema.TRANSLATION_ANSWERS,
        status_code=400,
    )
    async def translations(self) -> Response:
        """Refused, always."""
        raise InvalidRequest(
            "Parley does not translate. POST /v1/audio/transcriptions writes a recording down in its own language.",
            param="model",
        )

    @app.get("/v1/models", summary="The models that are served", responses=schema.MODELS_ANSWERS)
    async def models(self) -> dict[str, Any]:
        """By the names that a request may use; parley is the graph as a whole."""
        return self._catalogue.listing()

    @app.get("/v1/models/{name:path}", summary="One model", responses=schema.MODEL_ANSWERS)
    async def model(self, name: str) -> dict[str, Any]:
        """404 for one that is not served."""
        return self._catalogue.entry(name)

    @app.get("/graph", summary="The stages of every kind of request", responses=openapi.error_answers(401))
    async def graph(self) -> dict[str, list[dict[str, Any]]]:
        """What must have come in, what may come along, what is wanted, and who is called for it."""
        return {
            "rows": [
                {
                    "needs": sorted(row.needs),
                    "may": sorted(row.may),
                    "output": row.output,
                    "stages": list(row.plan.stages),
                }
                for row in TABLE
            ]
        }

    @app.get("/health", summary="Whether every deployment answers", responses=openapi.error_answers(503))
    async def health(self) -> dict[str, Any]:
        """200 when every deployment answers; 503 that names those which do not."""
        silent = await self._stages.silent(self._config.health_timeout_s)
        if silent:
            raise EngineUnavailable(f"No answer from {', '.join(silent)}.", retry_after_s=self._config.retry_after_s)
        return {"status": "ready", "deployments": ["Gateway", *self._stages.names]}

    @app.get("/docs", include_in_schema=False)
    async def docs(self) -> HTMLResponse:
        return HTMLResponse(DOCS_PAGE)
