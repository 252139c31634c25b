"""A connection for tests: a WebSocket in memory, and a graph with scripted answers. No Ray, no models but the VAD."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from itertools import count
from typing import Any

import numpy as np
from starlette.types import Message

from deployments.messages import Audio, Segment
from graphs.http.executor import CodecExecutor
from graphs.http.limits import Admissions
from graphs.http.openai.models import Models
from graphs.http.openai.realtime import configuration
from graphs.http.openai.realtime.connection import Connection
from graphs.http.openai.realtime.endpoint import session_limits
from graphs.http.openai.realtime.services import Services
from graphs.http.openai.realtime.session import Session
from graphs.http.openai.realtime.voice_models import VoiceModels
from graphs.pipeline.events import AudioChunk, Done, Event, SegmentReady, SentenceReady, TextChunk, TextOmitted
from graphs.pipeline.plan import Plan, Stage, plan
from graphs.pipeline.turn import Output, Turn
from graphs.settings import GatewayConfig, RealtimeConfig
from tests.graphs.http.openai.realtime.recordings import RATE_HZ

NAMES = {Stage.ASR: "asr", Stage.LLM: "llm", Stage.VISION: "vision", Stage.TTS: "tts"}
CHUNK_S = 0.5
TIMEOUT_S = 20


class Graph:
    """Answers with ``sentences``, each spoken for ``seconds``; counts the runs that are open."""

    def __init__(self, *sentences: str, seconds: float = 1.0, transcript: str = "What is it?") -> None:
        self.sentences = sentences or ("It is a test.",)
        self.seconds = seconds
        self.transcript = transcript
        self.unread = ""  # letters that the voice has no characters for
        self.open = 0
        self.turns: list[Turn] = []
        self.before: Callable[[], Awaitable[None]] | None = None  # awaited before an answer
        self.before_transcript: Callable[[], Awaitable[None]] | None = None
        self.error: Exception | None = None

    def run(self, turn: Turn, stage: Stage | None = None) -> tuple[Plan, AsyncGenerator[Event, None]]:
        planned = plan(turn.inputs, turn.output, stage)
        return planned, self._events(planned, turn)

    async def _events(self, planned: Plan, turn: Turn) -> AsyncGenerator[Event, None]:
        self.open += 1
        try:
            if turn.recording is not None:
                if self.before_transcript:
                    await self.before_transcript()
                async for _, audio in turn.recording:
                    yield SegmentReady(Segment(self.transcript, 0, audio.duration_s))
            else:
                self.turns.append(turn)
                async for event in self._answer(turn):
                    yield event
            yield Done("stop", 5, 7)
        finally:
            self.open -= 1

    async def _answer(self, turn: Turn) -> AsyncGenerator[Event, None]:
        if self.before:
            await self.before()
        if self.error:
            raise self.error
        for sentence in self.sentences:
            yield TextChunk(f"{sentence} ")
            if turn.output is Output.VOICE:
                if self.unread:
                    yield TextOmitted(self.unread)
                yield SentenceReady(sentence)
                for _ in range(round(self.seconds / CHUNK_S)):
                    yield AudioChunk(Audio(np.full(round(24_000 * CHUNK_S), 0.1, np.float32), 24_000))
                    await asyncio.sleep(0)


class Live:
    """A served connection, and its client's side. ``async with`` ends it."""

    def __init__(
        self,
        graph: Graph,
        *,
        gateway: dict[str, Any] | None = None,
        voice_models: VoiceModels | None = None,
        **settings: Any,
    ) -> None:
        config = GatewayConfig(realtime=RealtimeConfig(**settings), **(gateway or {}))
        self.graph = graph
        self.admissions = Admissions(lambda: config)
        self.sent: list[dict[str, Any]] = []
        self.close_code: int | None = None
        self._config = config
        self._voice_models = voice_models or VoiceModels()
        self._incoming: asyncio.Queue[Message] = asyncio.Queue()
        self._arrived = asyncio.Condition()
        self._read = 0

    async def __aenter__(self) -> Live:
        models = Models(NAMES, 0)
        services = Services(self.graph.run, models, None, self.admissions, self._voice_models, CodecExecutor(2))  # type: ignore[arg-type]
        numbers = count(1)
        session = Session(
            session_id="sess_1",
            model="parley",
            kind="realtime",
            limits=session_limits(self._config),
            new_id=lambda kind: f"{kind}_{next(numbers)}",
            now_s=asyncio.get_running_loop().time(),
            require=services.require,
            configuration=configuration.default("realtime", "parley"),
        )
        self.connection = Connection(self, session, services, self._config.realtime, None)  # type: ignore[arg-type]
        self.served = asyncio.create_task(self.connection.serve())
        return self

    async def __aexit__(self, *_: object) -> None:
        self.leave()
        await asyncio.wait_for(self.served, TIMEOUT_S)

    # --- the WebSocket's side of the connection ---

    async def receive(self) -> Message:
        return await self._incoming.get()

    async def send_text(self, text: str) -> None:
        async with self._arrived:
            self.sent.append(json.loads(text))
            self._arrived.notify_all()

    async def close(self, code: int, reason: str) -> None:
        self.close_code = code

    # --- the client ---

    def leave(self) -> None:
        """Close the client's side."""
        self._incoming.put_nowait({"type": "websocket.disconnect", "code": 1000})

    def send(self, **event: Any) -> None:
        self.message(json.dumps(event))

    def message(self, text: str) -> None:
        """Send a message, which need not be an event."""
        self._incoming.put_nowait({"type": "websocket.receive", "text": text})

    async def settled(self) -> None:
        """Wait until every message so far was handled."""
        self.send(type="no.such.event", event_id="last")
        while (await self.until("error"))["error"].get("event_id") != "last":
            pass

    def forget(self) -> None:
        """Forget the events so far."""
        self.sent.clear()
        self._read = 0

    def configure(self, **session: Any) -> None:
        self.send(type="session.update", session={"type": "realtime"} | session)

    def say(self, text: str) -> None:
        """Send a typed message and ask for an answer."""
        content = [{"type": "input_text", "text": text}]
        self.send(type="conversation.item.create", item={"type": "message", "role": "user", "content": content})
        self.send(type="response.create")

    def speak(self, samples: np.ndarray[Any, np.dtype[np.float32]], part_s: float = 0.1) -> None:
        """Append speech, mono float32 at 16 kHz, as fast as possible."""
        repeated = np.interp(np.arange(0, len(samples), RATE_HZ / 24_000), np.arange(len(samples)), samples)
        pcm = (np.clip(repeated, -1, 1) * 32767).astype("<i2").tobytes()
        size = round(part_s * 24_000) * 2
        for at in range(0, len(pcm), size):
            self.send(type="input_audio_buffer.append", audio=base64.b64encode(pcm[at : at + size]).decode())

    async def until(self, kind: str) -> dict[str, Any]:
        """Return the next event of this type; those before it are passed over."""

        async def found() -> dict[str, Any]:
            async with self._arrived:
                while True:
                    while self._read < len(self.sent):
                        event = self.sent[self._read]
                        self._read += 1
                        if event["type"] == kind:
                            return event
                    await self._arrived.wait()

        try:
            return await asyncio.wait_for(found(), TIMEOUT_S)
        except TimeoutError:
            raise AssertionError(f"no {kind} among {self.kinds}") from None

    @property
    def kinds(self) -> list[str]:
        return [event["type"] for event in self.sent]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.sent if event["type"] == kind]

    def audio_s(self) -> float:
        """The seconds of audio that were sent."""
        return sum(len(base64.b64decode(e["delta"])) / 48_000 for e in self.of("response.output_audio.delta"))
