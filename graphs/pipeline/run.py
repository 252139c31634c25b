"""Execute the plan of a turn: the only module of the graph with tasks and queues.

The stages overlap: while one sentence is sent to the client, the next one is synthesized and the chat model generates
the ones after it. Every queue between them is bounded. Closing the generator cancels every task, and with them every
call to a replica. Knows neither Ray nor HTTP.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from itertools import count
from time import perf_counter
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from deployments.errors import DeadlineExceeded, EngineUnavailable, NoSpeech
from deployments.messages import (
    Audio,
    ChatEnd,
    ChatMessage,
    MessagesDropped,
    Omitted,
    Segment,
    SpeakOptions,
    TextDelta,
)
from graphs.pipeline.events import (
    AudioChunk,
    Done,
    Event,
    SegmentReady,
    SentenceReady,
    StageDone,
    TextChunk,
    TextOmitted,
    TranscriptReady,
)
from graphs.pipeline.plan import Plan, Stage
from graphs.pipeline.sentences import Sentences
from graphs.pipeline.turn import Turn, TurnMessage

if TYPE_CHECKING:
    from graphs.pipeline.stages import Stages

logger = logging.getLogger("ray.serve")

MAX_EVENTS = 64  # that a slow client may lag behind
MAX_SENTENCES = 64  # that the chat stage may be ahead of the voice
MAX_CHUNKS = 64  # of each sentence, that the voice may be ahead of the client
SYNTHESIZED_AHEAD = 1  # sentences that are synthesized while an earlier one is sent
PIECES_AHEAD = 1  # pieces of a recording that are decoded while an earlier one is transcribed
CONCURRENT_TRANSCRIPTIONS = 2  # of one conversation
QUIET_PEAK = 0.125  # -18 dBFS

Emit = Callable[[Event], Awaitable[None]]

T = TypeVar("T")


async def run(plan: Plan, turn: Turn, stages: Stages, *, deadline_s: float) -> AsyncGenerator[Event, None]:
    """Yield the events of a turn, ending with ``Done``.

    Raises types of ``deployments.errors``: ``NoSpeech`` when the last message has speech without words and no text,
    ``DeadlineExceeded`` after ``deadline_s`` (of a recording, for each of its pieces).
    """
    events: asyncio.Queue[Event | Exception] = asyncio.Queue(MAX_EVENTS)
    task = asyncio.create_task(_guarded(_Run(plan, turn, stages, events.put, deadline_s).work(), events))
    try:
        while True:
            event = await events.get()
            if isinstance(event, Exception):
                raise event
            yield event
            if isinstance(event, Done):
                return
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _guarded(work: Awaitable[None], events: asyncio.Queue[Event | Exception]) -> None:
    """Await ``work``; its error is the last item of the queue."""
    try:
        await work
    except Exception as error:
        await events.put(_first(error))


async def _within(deadline_s: float, work: Awaitable[None]) -> None:
    try:
        async with asyncio.timeout(deadline_s):
            await work
    except TimeoutError:
        raise DeadlineExceeded(f"The answer was not complete after {deadline_s:g} s.") from None


def _first(error: Exception) -> Exception:
    """Return the first error of a task group's."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


class _Run:
    """The work behind one run; its events go to ``emit``."""

    def __init__(self, plan: Plan, turn: Turn, stages: Stages, emit: Emit, deadline_s: float) -> None:
        self._plan = plan
        self._turn = turn
        self._stages = stages
        self._emit = emit
        self._deadline_s = deadline_s
        self._end = ChatEnd("stop", 0, 0)

    async def work(self) -> None:
        if self._turn.recording is not None:
            await self._transcribe_recording(self._turn.recording)
        else:
            await _within(self._deadline_s, self._respond())
        await self._emit(Done(self._end.finish_reason, self._end.prompt_tokens, self._end.completion_tokens))

    async def _respond(self) -> None:
        if self._plan.chat is None:
            sentences = _sentences(self._turn.messages[-1].text)
        else:
            sentences = self._chat(self._plan.chat, await self._conversation())
        if Stage.TTS in self._plan:
            await _Voice(self._turn.voice, self._stages, self._emit).speak(sentences)
        else:
            async with aclosing(sentences):
                async for _ in sentences:
                    pass

    async def _conversation(self) -> list[ChatMessage]:
        """Return the messages with all speech transcribed. The transcript of the last message is an event."""
        if Stage.ASR not in self._plan:
            return [_as_chat(message) for message in self._turn.messages]
        timer = _StageTimer(Stage.ASR, self._stages)
        permits = asyncio.Semaphore(CONCURRENT_TRANSCRIPTIONS)
        async with asyncio.TaskGroup() as group:
            tasks = [
                [group.create_task(self._transcribe(audio, permits)) for audio in message.audio]
                for message in self._turn.messages
            ]
        transcripts = [" ".join(filter(None, (task.result() for task in of_message))) for of_message in tasks]
        last = self._turn.messages[-1]
        if last.audio:
            if not transcripts[-1] and not last.text:
                raise _no_speech(last.audio)
            await self._emit(TranscriptReady(transcripts[-1]))
        await self._emit(timer.done())
        return [_as_chat(m, transcript) for m, transcript in zip(self._turn.messages, transcripts, strict=True)]

    async def _transcribe(self, audio: Audio, permits: asyncio.Semaphore) -> str:
        async with permits, aclosing(self._stages.transcribe(audio, self._turn.transcription)) as segments:
            return " ".join([segment.text.strip() async for segment in segments]).strip()

    async def _chat(self, stage: Stage, messages: list[ChatMessage]) -> AsyncGenerator[str, None]:
        """Emit the answer in deltas, and yield it in sentences."""
        timer = _StageTimer(stage, self._stages)
        sentences = Sentences()
        end: ChatEnd | None = None
        async with aclosing(self._stages.chat(stage, messages, self._turn.chat)) as values:
            async for value in values:
                match value:
                    case ChatEnd():
                        end = value
                    case MessagesDropped():
                        await self._emit(value)
                    case TextDelta(text):
                        await self._emit(TextChunk(text))
                        for sentence in sentences.feed(text):
                            yield sentence
        await self._emit(timer.done())
        for sentence in sentences.finish():
            yield sentence
        if end is None:
            raise EngineUnavailable(f"The {stage} stage ended without a finish reason.")
        self._end = end

    async def _transcribe_recording(self, pieces: AsyncGenerator[tuple[float, Audio], None]) -> None:
        """Emit the segments of a recording; one piece is decoded while the one before it is transcribed."""
        timer = _StageTimer(Stage.ASR, self._stages)
        waiting: asyncio.Queue[tuple[float, Audio] | None] = asyncio.Queue(PIECES_AHEAD)
        async with asyncio.TaskGroup() as group:
            group.create_task(_pump(pieces, waiting))
            index = count()
            async for start_s, audio in _drain(waiting):
                await _within(self._deadline_s, self._transcribe_piece(start_s, audio, next(index)))
        await self._emit(timer.done())

    async def _transcribe_piece(self, start_s: float, audio: Audio, index: int) -> None:
        options = replace(self._turn.transcription, piece=index)
        async with aclosing(self._stages.transcribe(audio, options)) as segments:
            async for segment in segments:
                await self._emit(SegmentReady(_shifted(segment, start_s)))


@dataclass(frozen=True, slots=True)
class _Spoken:
    """A sentence, and the queue of its audio."""

    sentence: str
    chunks: asyncio.Queue[Omitted | Audio | None]


class _Voice:
    """Speaks one answer, one sentence ahead of the client."""

    def __init__(self, options: SpeakOptions, stages: Stages, emit: Emit) -> None:
        self._options = options
        self._stages = stages
        self._emit = emit
        self._timer: _StageTimer | None = None
        self._omitted = 0

    async def speak(self, text: AsyncGenerator[str, None]) -> None:
        """Synthesize sentences as they arrive and emit their audio in order."""
        sentences: asyncio.Queue[str | None] = asyncio.Queue(MAX_SENTENCES)
        playing: asyncio.Queue[_Spoken | None] = asyncio.Queue(SYNTHESIZED_AHEAD)
        async with asyncio.TaskGroup() as group:
            group.create_task(_pump(text, sentences))
            group.create_task(self._play(playing))
            index = count()
            async for sentence in _drain(sentences):
                options = replace(self._options, sentence=next(index))
                chunks: asyncio.Queue[Omitted | Audio | None] = asyncio.Queue(MAX_CHUNKS)
                await playing.put(_Spoken(sentence, chunks))
                self._timer = self._timer or _StageTimer(Stage.TTS, self._stages)
                group.create_task(_pump(self._stages.speak(sentence, options), chunks))
            await playing.put(None)
        if self._omitted:
            logger.warning("the voice left out %d characters of a text, which it cannot read", self._omitted)

    async def _play(self, playing: asyncio.Queue[_Spoken | None]) -> None:
        """Emit each sentence, what is left out of it, and its audio, in the order of the text."""
        async for spoken in _drain(playing):
            is_announced = False
            values: AsyncIterator[Omitted | Audio] = _drain(spoken.chunks)
            async for value in values:
                if isinstance(value, Omitted):
                    self._omitted += len(value.text.replace(" ", ""))
                    await self._emit(TextOmitted(value.text))
                    continue
                if not is_announced:
                    is_announced = True
                    await self._emit(SentenceReady(spoken.sentence))
                await self._emit(AudioChunk(value))
        if self._timer is not None:
            await self._emit(self._timer.done())


class _StageTimer:
    """Times one stage, from its first call on."""

    def __init__(self, stage: Stage, stages: Stages) -> None:
        self._stage = stage
        self._stages = stages
        self._started_s = perf_counter()

    def done(self) -> StageDone:
        queued_s = self._stages.queued_s.get(self._stage, 0.0)
        return StageDone(self._stage, (perf_counter() - self._started_s) * 1000, queued_s * 1000)


async def _sentences(text: str) -> AsyncGenerator[str, None]:
    """Yield the sentences of a complete text."""
    sentences = Sentences()
    for sentence in [*sentences.feed(text), *sentences.finish()]:
        yield sentence


def _shifted(segment: Segment, seconds: float) -> Segment:
    """Return the segment with all its times ``seconds`` later."""
    words = tuple(replace(word, start_s=word.start_s + seconds, end_s=word.end_s + seconds) for word in segment.words)
    return replace(segment, start_s=segment.start_s + seconds, end_s=segment.end_s + seconds, words=words)


async def _pump(source: AsyncGenerator[T, None], queue: asyncio.Queue[T | None]) -> None:
    """Put everything of ``source`` into ``queue``, then ``None``."""
    async with aclosing(source):
        async for item in source:
            await queue.put(item)
    await queue.put(None)


async def _drain(queue: asyncio.Queue[T | None]) -> AsyncIterator[T]:
    """Yield everything of ``queue`` up to ``None``."""
    while (item := await queue.get()) is not None:
        yield item


def _no_speech(recordings: Sequence[Audio]) -> NoSpeech:
    peak = max(float(np.abs(audio.samples).max(initial=0)) for audio in recordings)
    advice = "It is quiet: speak closer to the microphone" if peak < QUIET_PEAK else "Record again"
    return NoSpeech(f"No speech was recognized in the recording. {advice}, or send text.", param="audio")


def _as_chat(message: TurnMessage, transcript: str = "") -> ChatMessage:
    """Return the message for the chat model: its text, followed by the transcript of its speech."""
    return ChatMessage(message.role, "\n".join(filter(None, (message.text, transcript))), message.images)
