"""The output side of a connection: the run of one response, and its audio at the pace at which it is heard."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import aclosing
from dataclasses import replace

from deployments.messages import MessagesDropped
from graphs.http import errors
from graphs.http.openai.realtime.codecs import WireFormat
from graphs.http.openai.realtime.effects import Effect, Respond
from graphs.http.openai.realtime.output_audio import OutputAudio, Piece
from graphs.http.openai.realtime.pacing import Pacing
from graphs.http.openai.realtime.services import Services
from graphs.http.openai.realtime.session import Session
from graphs.http.response import CollectedEvents, extension
from graphs.pipeline.events import AudioChunk, Done, Event, SentenceReady, TextChunk, TextOmitted
from graphs.pipeline.plan import Stage

MAX_UNPLAYED = 128  # chunks of audio that a run may be ahead of what is sent: a minute or more
PIECE_MS = 100  # of audio in one message: an interruption takes effect after at most one


class Answering:
    """The response that ``asked`` is for. ``key`` is the digest of the API key whose limits apply."""

    def __init__(self, asked: Respond, session: Session, services: Services, pacing: Pacing, key: str | None) -> None:
        self._asked = asked
        self._id = asked.response_id
        self._session = session
        self._services = services
        self._pacing = pacing
        self._key = key

    async def effects(self) -> AsyncGenerator[Iterable[Effect], None]:
        """Yield what the session asks for as the answer is generated, and at last for its end or its error."""
        try:
            async with aclosing(self._paced()) as paced:
                async for effects in paced:
                    yield effects
        except Exception as error:
            yield self._session.run_failed(self._id, errors.as_parley(error), time.monotonic())

    async def _paced(self) -> AsyncGenerator[Iterable[Effect], None]:
        """Yield the effects of the run's events; audio no earlier than it is due."""
        events: asyncio.Queue[Event | Exception] = asyncio.Queue(MAX_UNPLAYED)
        task = asyncio.create_task(self._run(events))
        try:
            output = OutputAudio(self._asked.wire or WireFormat.PCM, piece_ms=PIECE_MS)
            collected = CollectedEvents()  # only what is said beside the answer
            async for event in _until_done(events):
                match event:
                    case TextChunk(text):
                        yield self._session.text(self._id, text, time.monotonic())
                    case SentenceReady(text):
                        yield self._session.sentence(self._id, text, time.monotonic())
                    case AudioChunk(audio):
                        pieces = await self._services.executor.encode(audio.samples.nbytes, output.feed, audio)
                        async for effects in self._sent(pieces):
                            yield effects
                    case MessagesDropped() | TextOmitted():
                        collected.add(event)
                    case Done():
                        async for effects in self._sent(output.finish()):
                            yield effects
                        yield self._session.run_done(self._id, event, time.monotonic(), extension(collected))
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def _sent(self, pieces: Iterable[Piece]) -> AsyncIterator[Iterable[Effect]]:
        for piece in pieces:
            await asyncio.sleep(self._pacing.delay_s(time.monotonic()))
            now_s = time.monotonic()
            self._pacing.sent(piece.duration_ms, now_s)
            data = base64.b64encode(piece.data).decode()
            yield self._session.audio(self._id, data, piece.duration_ms, now_s)

    async def _run(self, events: asyncio.Queue[Event | Exception]) -> None:
        """Put the events of the run into the queue, and at last its error if it fails.

        The response counts as a request while it is generated, not while its audio is played.
        """
        admissions = self._services.admissions
        try:
            admissions.announce(self._key)
            admissions.enter(self._key)
            try:
                async with aclosing(self._events()) as found:
                    async for event in found:
                        await events.put(event)
            finally:
                admissions.leave(self._key)
        except Exception as error:
            await events.put(error)

    def _events(self) -> AsyncGenerator[Event, None]:
        models = self._services.models
        stage = models.live_stage(self._asked.model, (Stage.LLM, Stage.VISION))
        voice = self._asked.turn.voice
        turn = replace(self._asked.turn, voice=replace(voice, voice=models.voice(voice.voice)))
        return self._services.run(turn, stage)[1]


async def _until_done(events: asyncio.Queue[Event | Exception]) -> AsyncIterator[Event]:
    """Yield the events up to ``Done``. Raise the error that ends them."""
    while True:
        event = await events.get()
        if isinstance(event, Exception):
            raise event
        yield event
        if isinstance(event, Done):
            return
