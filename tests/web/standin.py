"""A stand-in for the service: the page's own routes, and a Realtime socket that follows a script.

It hears speech by its loudness, takes it for ``TRANSCRIPT``, and answers every turn with ``SENTENCES``, each as a
tone. Its events have the names, fields and order of OpenAI's; the real service has its own tests.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import uvicorn
from fastapi import FastAPI, Request, WebSocket, WebSocketDisconnect
from fastapi.responses import JSONResponse, Response

from graphs.http import errors, page

RATE_HZ = 24_000
CHUNK_MS = 100
AHEAD_S = 1.0
LOUD = 0.02  # root mean square of speech
KEY = "a-key-of-the-tests"
PARTIAL = ["What is ", "your "]
TRANSCRIPT = "What is your name?"
SENTENCES = ["My name is Parley. ", "I answer in text and in voice, ", "and you can cut in at any time."]
SENTENCE_MS = 1200
TONES_HZ = [220, 277, 330]
FAILURE = {"type": "server_error", "code": "engine_unavailable", "message": "TextLLM is being restarted; try again."}


@dataclass
class Script:
    """What the stand-in does, and what it has received. A test changes the former and reads the latter."""

    needs_key: bool = False
    full: bool = False
    models: tuple[str, ...] = ("parley", "whisper-base", "smollm2-135m-instruct", "kokoro-82m")
    transcript: str = TRANSCRIPT
    sentences: list[str] = field(default_factory=lambda: [*SENTENCES])
    unread: str = ""  # what the voice of an answer cannot read
    fails: bool = False  # answers fail
    drops: bool = False  # a session ends with an error of the server when it has been configured
    think_s: float = 0.25
    create_s: float = 0.0  # from response.create to response.created
    refuses: dict[str, str] = field(default_factory=dict)  # from a client event's type to the message of an error
    received: list[dict[str, Any]] = field(default_factory=list)
    sockets: list[Talk] = field(default_factory=list)

    def events(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.received if event["type"] == kind]

    def session(self) -> dict[str, Any]:
        """Return the session that the page asked for last."""
        return dict(self.events("session.update")[-1]["session"])


class Talk:
    """One socket."""

    def __init__(self, script: Script, socket: WebSocket) -> None:
        self._script = script
        self._socket = socket
        self._loop = asyncio.get_running_loop()
        self._ids = itertools.count(1)
        self._heard_ms = 0.0
        self._quiet_ms = 0.0
        self._speech: str | None = None  # the item that is being spoken
        self._speech_ms = 0.0
        self._turn_detection: dict[str, Any] | None = None
        self._answer: asyncio.Task[None] | None = None
        self._modality = "audio"
        self._texts: dict[str, str] = {}

    async def send(self, kind: str, **fields: Any) -> None:
        await self._socket.send_json({"type": kind, "event_id": self._id("event"), **fields})

    def emit(self, kind: str, **fields: Any) -> None:
        """Send an event beside the script, from the thread of a test."""
        asyncio.run_coroutine_threadsafe(self.send(kind, **fields), self._loop).result(5)

    def close(self, code: int, reason: str = "") -> None:
        """Close the socket, from the thread of a test."""
        asyncio.run_coroutine_threadsafe(self._socket.close(code, reason), self._loop).result(5)

    def _id(self, kind: str) -> str:
        return f"{kind}_{next(self._ids)}"

    async def run(self) -> None:
        await self.send("session.created", session={"type": "realtime", "id": "sess_1", "model": "parley"})
        try:
            async for event in self._socket.iter_json():
                self._script.received.append(event)
                if message := self._script.refuses.get(event["type"]):
                    await self._refuse("invalid_value", event, message)
                else:
                    await self._receive(event)
        finally:
            if self._answer:
                self._answer.cancel()

    async def _refuse(self, code: str, event: dict[str, Any], message: str = "This is not possible now.") -> None:
        error = {"type": "invalid_request_error", "code": code, "message": message}
        await self.send("error", error={**error, "event_id": event.get("event_id")})

    async def _receive(self, event: dict[str, Any]) -> None:
        match event["type"]:
            case "session.update":
                self._turn_detection = event["session"]["audio"]["input"]["turn_detection"]
                self._modality = event["session"]["output_modalities"][0]
                await self.send("session.updated", session=event["session"])
                if self._script.drops:
                    await self._socket.close(1011)
            case "input_audio_buffer.append":
                await self._hear(np.frombuffer(base64.b64decode(event["audio"]), np.int16))
            case "input_audio_buffer.commit":
                await self._commit(self._id("item"))
            case "conversation.item.create":
                await self.send("conversation.item.added", item=event["item"])
                await self.send("conversation.item.done", item=event["item"])
            case "conversation.item.truncate":
                kept = int(event["audio_end_ms"] // SENTENCE_MS)
                self._texts[event["item_id"]] = (
                    "".join(self._script.sentences[:kept]) + self._script.sentences[kept].split()[0]
                )
                await self.send("conversation.item.truncated", **{k: v for k, v in event.items() if k != "type"})
            case "conversation.item.retrieve":
                part = {"type": "output_audio", "transcript": self._texts[event["item_id"]]}
                item = {"id": event["item_id"], "type": "message", "role": "assistant", "content": [part]}
                await self.send("conversation.item.retrieved", item=item)
            case "response.create":
                await asyncio.sleep(self._script.create_s)
                if self._is_answering:
                    await self._refuse("conversation_already_has_active_response", event)
                else:
                    self._respond()
            case "response.cancel":
                if not self._is_answering:
                    await self._refuse("response_cancel_not_active", event)
                await self._cancel("client_cancelled")

    async def _hear(self, samples: np.ndarray) -> None:
        duration_ms = 1000 * len(samples) / RATE_HZ
        self._heard_ms += duration_ms
        if self._turn_detection is None:
            return
        loud = float(np.sqrt(np.mean((samples / 32768.0) ** 2))) > LOUD
        self._quiet_ms = 0.0 if loud else self._quiet_ms + duration_ms
        if loud and self._speech is None:
            self._speech, self._speech_ms = self._id("item"), 0.0
            start_ms = max(0, self._heard_ms - duration_ms - 300)
            await self.send("input_audio_buffer.speech_started", audio_start_ms=start_ms, item_id=self._speech)
            await self._cancel("turn_detected")
        if self._speech is None:
            return
        before, self._speech_ms = self._speech_ms, self._speech_ms + duration_ms
        for at_ms, words in zip((600, 900), PARTIAL, strict=True):
            if before < at_ms <= self._speech_ms:
                await self._transcription("delta", self._speech, delta=words)
        if self._quiet_ms >= self._turn_detection["silence_duration_ms"]:
            item, self._speech = self._speech, None
            await self.send("input_audio_buffer.speech_stopped", audio_end_ms=self._heard_ms, item_id=item)
            await self._commit(item)
            if self._script.transcript:
                self._respond()

    async def _commit(self, item_id: str) -> None:
        item = {"id": item_id, "type": "message", "role": "user", "content": [{"type": "input_audio"}]}
        await self.send("input_audio_buffer.committed", item_id=item_id)
        await self.send("conversation.item.added", item=item)
        await self.send("conversation.item.done", item=item)
        await asyncio.sleep(self._script.think_s / 2)
        usage = {"type": "duration", "seconds": 2}
        await self._transcription("completed", item_id, transcript=self._script.transcript, usage=usage)

    async def _transcription(self, kind: str, item_id: str, **fields: Any) -> None:
        name = f"conversation.item.input_audio_transcription.{kind}"
        await self.send(name, item_id=item_id, content_index=0, **fields)

    @property
    def _is_answering(self) -> bool:
        return self._answer is not None and not self._answer.done()

    async def _cancel(self, reason: str) -> None:
        if self._answer and not self._answer.done():
            await asyncio.sleep(0)  # the answer begins, and so can end
            self._answer.cancel(reason)
            with suppress(asyncio.CancelledError):
                await self._answer

    def _respond(self) -> None:
        self._answer = asyncio.create_task(self._speak(self._id("resp"), self._id("item")))

    async def _speak(self, response_id: str, item_id: str) -> None:
        item = {"id": item_id, "type": "message", "role": "assistant", "content": []}
        place = {"response_id": response_id, "item_id": item_id, "output_index": 0, "content_index": 0}
        response: dict[str, Any] = {"id": response_id, "status": "in_progress", "output": []}
        await self.send("response.created", response=response)
        try:
            await asyncio.sleep(self._script.think_s)
            if self._script.fails:
                failed = {**response, "status": "failed", "status_details": {"type": "failed", "error": FAILURE}}
                await self.send("response.done", response=failed)
                return
            await self.send("response.output_item.added", response_id=response_id, output_index=0, item=item)
            await self.send("conversation.item.added", item=item)
            if self._modality == "text":
                for sentence in self._script.sentences:
                    await self.send("response.output_text.delta", **place, delta=sentence)
            else:
                await self._sound(place)
            await self.send("conversation.item.done", item=item)
            await self.send("response.output_item.done", response_id=response_id, output_index=0, item=item)
            extension = {"parley": {"speech_omitted": self._script.unread}} if self._script.unread else {}
            completed = {**response, "status": "completed", "output": [item], **extension}
            await self.send("response.done", response=completed)
        except asyncio.CancelledError as cancelled:
            details = {"type": "cancelled", "reason": cancelled.args[0] if cancelled.args else "client_cancelled"}
            done = {**response, "status": "cancelled", "status_details": details, "output": [item]}
            with suppress(RuntimeError):  # the socket is closed
                await self.send("response.done", response=done)

    async def _sound(self, place: dict[str, Any]) -> None:
        started, sent_s = time.monotonic(), 0.0
        for sentence, tone_hz in zip(self._script.sentences, itertools.cycle(TONES_HZ), strict=False):
            await self.send("response.output_audio_transcript.delta", **place, delta=sentence)
            seconds = np.arange(SENTENCE_MS * RATE_HZ // 1000) / RATE_HZ
            envelope = np.sin(np.pi * seconds / (SENTENCE_MS / 1000)) * (0.6 + 0.4 * np.sin(2 * np.pi * 5 * seconds))
            tone = (6000 * envelope * np.sin(2 * np.pi * tone_hz * seconds)).astype(np.int16)
            for chunk in np.split(tone, SENTENCE_MS // CHUNK_MS):
                await asyncio.sleep(max(0.0, started + sent_s - AHEAD_S - time.monotonic()))
                delta = base64.b64encode(chunk.tobytes()).decode()
                await self.send("response.output_audio.delta", **place, delta=delta)
                sent_s += CHUNK_MS / 1000
        await self.send("response.output_audio.done", **place)
        await self.send("response.output_audio_transcript.done", **place, transcript="".join(self._script.sentences))


def application(script: Script) -> FastAPI:
    """Return the stand-in as an ASGI application."""
    app = FastAPI()
    errors.install(app)
    page.install(app)

    @app.get("/v1/models")
    async def models(request: Request) -> Response:
        if script.needs_key and request.headers.get("authorization") != f"Bearer {KEY}":
            return JSONResponse({"error": {"message": "an API key is required"}}, 401)
        return JSONResponse({"object": "list", "data": [{"id": name, "object": "model"} for name in script.models]})

    @app.websocket("/v1/realtime")
    async def realtime(socket: WebSocket) -> None:
        if script.needs_key and f"openai-insecure-api-key.{KEY}" not in socket.scope["subprotocols"]:
            await socket.close(1008)
            return
        await socket.accept("realtime")
        if script.full:
            error = {"type": "server_error", "code": "too_many_sessions", "message": "All sessions are taken."}
            await socket.send_json({"type": "error", "event_id": "event_0", "error": error})
            await socket.close(1013)
            return
        talk = Talk(script, socket)
        script.sockets.append(talk)
        with suppress(WebSocketDisconnect, RuntimeError):
            await talk.run()

    return app


@contextmanager
def serve(script: Script, port: int = 0) -> Iterator[str]:
    """Serve the stand-in in a thread, and return its address."""
    server = uvicorn.Server(
        uvicorn.Config(application(script), host="127.0.0.1", port=port, lifespan="off", log_level="warning")
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.force_exit = server.should_exit = True
        thread.join(10)
