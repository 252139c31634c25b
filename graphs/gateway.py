"""The ingress deployment: routes of a few lines each. What they mean is in ``wire``, ``plan`` and ``run``.

Without postponed annotations: FastAPI could not resolve them once Ray Serve has copied the application.
"""

from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse
from ray import serve
from ray.serve.handle import DeploymentHandle

from deployments.errors import EngineUnavailable
from deployments.settings import GatewayArgs
from graphs.plan import TABLE, Stage, plan
from graphs.run import run
from graphs.stages import HandleStages
from graphs.wire import errors, openapi
from graphs.wire.answers import Answer
from graphs.wire.http import read_chat

DOCS_PAGE = (Path(__file__).parent / "wire" / "docs.html").read_text()

app = FastAPI(
    title="Parley",
    version="0.1.0",
    description="Text, speech and pictures in; text or a voice out.",
    docs_url=None,  # FastAPI's page loads its scripts from the network; ours is below
    redoc_url=None,
)
errors.install(app)


@serve.deployment(name="Gateway")
@serve.ingress(app)
class Gateway:
    """Takes requests, decides their way through the graph, and answers."""

    def __init__(
        self,
        args: GatewayArgs,
        asr: DeploymentHandle,
        llm: DeploymentHandle,
        vision: DeploymentHandle,
        tts: DeploymentHandle,
    ) -> None:
        self._args = args
        handles = {Stage.ASR: asr, Stage.LLM: llm, Stage.VISION: vision, Stage.TTS: tts}
        self._stages = HandleStages(handles, args.retry_after_s)

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
        turn, form = await read_chat(request, self._args)
        way = plan(turn.inputs, turn.output)
        events = run(
            way,
            turn,
            self._stages,
            deadline_s=self._args.request_timeout_s,
            overlap=self._args.overlap_speech,
        )
        return await Answer(turn, way, events).respond(form)

    @app.get("/graph", summary="The stages of every kind of request")
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
        silent = await self._stages.silent(self._args.health_timeout_s)
        if silent:
            raise EngineUnavailable(f"No answer from {', '.join(silent)}.", retry_after_s=self._args.retry_after_s)
        return {"status": "ready", "deployments": ["Gateway", *self._stages.names]}

    @app.get("/docs", include_in_schema=False)
    async def docs(self) -> HTMLResponse:
        return HTMLResponse(DOCS_PAGE)
