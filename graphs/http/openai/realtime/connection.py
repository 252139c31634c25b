"""One client's WebSocket: it feeds the session with what happens, and does what the session asks for.

All calls of the session are made in the event loop, so their effects keep their order. Everything that takes time is a
task of the connection: listening, one task per response and one per transcript. All of them end with the connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Coroutine, Iterable
from contextlib import aclosing
from typing import Any

import numpy as np
from starlette.websockets import WebSocket, WebSocketDisconnect

from deployments.errors import ParleyError, RateLimited
from deployments.messages import Audio, Image
from graphs.http import errors
from graphs.http.openai.realtime import effects
from graphs.http.openai.realtime.answering import Answering
from graphs.http.openai.realtime.codecs import WireFormat, decode
from graphs.http.openai.realtime.input_audio import RATE_HZ
from graphs.http.openai.realtime.pacing import Pacing
from graphs.http.openai.realtime.resampler import Resampler
from graphs.http.openai.realtime.services import Services
from graphs.http.openai.realtime.session import Session
from graphs.http.openai.realtime.speech_input import Reports, SpeechInput
from graphs.settings import RealtimeConfig

CLOSE_TIMEOUT_S = 5  # for what was to be sent before
MAX_UNSENT = 1024  # messages that a client may lag behind
POLICY_VIOLATION, INTERNAL_ERROR = 1008, 1011  # close codes (RFC 6455)

logger = logging.getLogger("ray.serve")


class Connection:
    """One accepted WebSocket. ``key`` is the digest of its API key, ``None`` where the service has none."""

    def __init__(
        self,
        websocket: WebSocket,
        session: Session,
        services: Services,
        settings: RealtimeConfig,
        key: str | None,
    ) -> None:
        self._websocket = websocket
        self._session = session
        self._services = services
        self._key = key
        self._outgoing: asyncio.Queue[dict[str, Any] | effects.Close] = asyncio.Queue(MAX_UNSENT)
        self._pacing = Pacing(settings.audio_ahead_s)
        reports = Reports(
            started=lambda start_ms: self._do(session.speech_started(start_ms, self._now_s())),
            stopped=lambda end_ms: self._do(session.speech_stopped(end_ms, self._now_s())),
            delta=lambda item, text: self._do(session.transcript_delta(item, text, self._now_s())),
            transcribed=lambda item, text, seconds, language: self._do(
                session.transcribed(item, text, seconds, language, self._now_s())
            ),
            failed=lambda item, error: self._do(session.transcription_failed(item, error, self._now_s())),
        )
        self._speech_input = SpeechInput(services, settings, lambda: self._pacing.is_playing(self._now_s()), reports)
        self._settings = settings
        self._wire = WireFormat.PCM
        self._appended_s = 0.0  # of audio
        self._started_s = self._now_s()
        self._tasks: set[asyncio.Task[None]] = set()
        self._runs: dict[str, asyncio.Task[None]] = {}
        self._transcriptions: dict[str, asyncio.Task[None]] = {}  # of recordings that the client has sent as items
        self._is_closing = False
        self._changed = asyncio.Event()  # the session's deadline may have changed
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def serve(self) -> None:
        """Serve the client until it disconnects or the session closes."""
        for work in (self._receive(), self._send(), self._speech_input.run(), self._tick()):
            self._start(work)
        self._do(self._session.start())
        try:
            await self._ended
        finally:
            tasks = list(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def drain(self, within_s: float) -> None:
        """End the session after its current responses, and in any case within ``within_s``: the replica stops."""
        now_s = self._now_s()
        self._do(self._session.drain(now_s + max(0.0, within_s - CLOSE_TIMEOUT_S), now_s))

    # --- tasks of the whole connection --------------------------------------------------------------------------------

    async def _receive(self) -> None:
        """Pass the client's messages to the session; large ones are parsed in a thread."""
        while (message := await self._websocket.receive())["type"] == "websocket.receive":
            content = message.get("text")
            content = message.get("bytes") or b"" if content is None else content
            event = await self._services.executor.parse(len(content), self._session.parse, content)
            self._do(self._session.handle(event, self._now_s()))
        self._end()

    async def _send(self) -> None:
        """Send what the session says, in order. A client that is gone ends the session."""
        with contextlib.suppress(WebSocketDisconnect, OSError):
            while not isinstance(message := await self._outgoing.get(), effects.Close):
                await self._websocket.send_text(json.dumps(message, ensure_ascii=False))
            await self._websocket.close(message.code, message.reason)
        self._end()

    async def _tick(self) -> None:
        """Tell the session when its next deadline has come."""
        while True:
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, self._session.next_deadline_s - self._now_s())):
                    await self._changed.wait()
                    continue
            self._do(self._session.tick(self._now_s()))

    def _end(self) -> None:
        if not self._ended.done():
            self._ended.set_result(None)

    # --- effects ------------------------------------------------------------------------------------------------------

    def _do(self, wanted: Iterable[effects.Effect]) -> None:
        """Carry out what the session asks for. Everything that takes time becomes a task."""
        for effect in wanted:
            match effect:
                case effects.Send(event):
                    self._put(event)
                case effects.Close():
                    self._put(effect)
                case effects.AppendAudio():
                    self._append(effect)
                case effects.ConfigureInput(wire):
                    self._wire = wire
                    self._speech_input.put(effect)
                case effects.ClearAudio():
                    self._speech_input.put(effect)
                case effects.DiscardAudio(before_ms):
                    self._speech_input.discard(before_ms)
                case effects.Transcribe():
                    self._speech_input.transcribe(effect)
                case effects.TranscribeAudio(item_id):
                    self._transcriptions[item_id] = self._start(self._transcribe(effect))
                case effects.CancelTranscription(item_id):
                    self._speech_input.cancel(item_id)
                    if transcription := self._transcriptions.pop(item_id, None):
                        transcription.cancel()
                case effects.Decode():
                    self._start(self._decode(effect))
                case effects.Respond(response_id):
                    self._runs[response_id] = self._start(self._respond(effect))
                case effects.CancelRun(response_id):
                    if run := self._runs.pop(response_id, None):
                        run.cancel()  # down to the engines
                case effects.StopPlayback():
                    self._pacing.flush(self._now_s())
        self._changed.set()

    def _put(self, message: dict[str, Any] | effects.Close) -> None:
        if self._is_closing:
            return
        if isinstance(message, effects.Close):
            self._is_closing = True
            asyncio.get_running_loop().call_later(CLOSE_TIMEOUT_S, self._end)
        try:
            self._outgoing.put_nowait(message)
        except asyncio.QueueFull:
            logger.warning("a live session ends: its client does not read")
            self._end()

    def _append(self, effect: effects.AppendAudio) -> None:
        """Pass audio on, unless more comes than can be processed for everybody: then the session ends."""
        self._appended_s += self._wire.duration_ms(len(effect.data)) / 1000
        settings = self._settings
        allowed_s = settings.max_buffer_s + settings.max_input_rate * (self._now_s() - self._started_s)
        if self._appended_s <= allowed_s:
            self._speech_input.put(effect)
        elif not self._is_closing:
            message = f"Audio comes faster than {settings.max_input_rate:g} s per second, the limit."
            self._do(self._session.end(RateLimited(message), POLICY_VIOLATION, self._now_s()))

    async def _respond(self, asked: effects.Respond) -> None:
        answering = Answering(asked, self._session, self._services, self._pacing, self._key)
        try:
            async with aclosing(answering.effects()) as found:
                async for wanted in found:
                    self._do(wanted)
        finally:
            if self._runs.get(asked.response_id) is asyncio.current_task():
                del self._runs[asked.response_id]

    async def _decode(self, asked: effects.Decode) -> None:
        """Decode the media of an item that the client creates."""
        item_id, index = asked.item_id, asked.part_index
        media: Image | Audio
        try:
            if asked.kind == "image":
                media = await self._services.turns.image(asked.data, asked.param)
            else:
                assert asked.wire is not None
                media = await self._services.executor.parse(len(asked.data), _decoded, asked.data, asked.wire)
        except ParleyError as error:
            self._do(self._session.media_failed(item_id, index, error, self._now_s()))
        else:
            self._do(self._session.media_decoded(item_id, index, media, self._now_s()))

    async def _transcribe(self, asked: effects.TranscribeAudio) -> None:
        """Recognize a recording that the client has sent as an item."""
        try:
            async with aclosing(self._services.transcribe(asked.audio, asked.options)) as segments:
                text = " ".join([segment.text.strip() async for segment in segments])
        except ParleyError as error:
            self._do(self._session.transcription_failed(asked.item_id, error, self._now_s()))
        else:
            seconds = asked.audio.duration_s
            self._do(self._session.transcribed(asked.item_id, text, seconds, asked.options.language, self._now_s()))
        finally:
            self._transcriptions.pop(asked.item_id, None)

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[None]) -> None:
        """A bug in any task ends the session, rather than leaving it half alive."""
        self._tasks.discard(task)
        if not task.cancelled() and isinstance(error := task.exception(), Exception):
            errors.as_parley(error)  # logs it
            self._put(effects.Close(INTERNAL_ERROR, "Parley failed on this session; its log has the reason."))

    @staticmethod
    def _now_s() -> float:
        return time.monotonic()


def _decoded(data: bytes, wire: WireFormat) -> Audio:
    """Return audio of a client as the recognizer needs it."""
    resampler = Resampler(wire.rate_hz, RATE_HZ)
    samples = decode(data[: len(data) - len(data) % wire.sample_bytes], wire)
    return Audio(np.concatenate([resampler.feed(samples), resampler.flush()]), RATE_HZ)
