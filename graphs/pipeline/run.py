"""A plan and a turn to the events of an answer: the only place with tasks and queues.

The language model, the voice and the listener go on at the same time: while one sentence is heard the next is being
synthesized and the model is further on still. Every buffer between them is bounded. Closing the generator cancels
every task, and with it every call to a replica. It knows neither Ray nor HTTP.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace
from itertools import count
from time import perf_counter
from typing import TYPE_CHECKING, TypeVar

from deployments.errors import DeadlineExceeded, EngineUnavailable, NoSpeech
from deployments.messages import Audio, ChatEnd, ChatMessage, Segment, SpeakOptions, Taken, TextDelta, TranscribeOptions
from graphs.pipeline.events import AudioChunk, Done, Event, SegmentHeard, StageDone, TextChunk, TranscriptReady
from graphs.pipeline.plan import Plan, Stage
from graphs.pipeline.sentences import Sentences
from graphs.pipeline.turn import Turn, TurnMessage

if TYPE_CHECKING:
    from graphs.pipeline.stages import Stages

EVENTS_AHEAD = 64  # events a slow client may lag behind
SENTENCES_AHEAD = 64  # sentences the model may be ahead of the voice
VOICES_AHEAD = 1  # sentences being synthesized while one is heard
CHUNKS_AHEAD = 64  # chunks of sound held of each of them
PIECES_AHEAD = 1  # pieces of a long recording, half a minute each
LISTENERS = 2  # recordings of one conversation transcribed at a time

Emit = Callable[[Event], Awaitable[None]]

T = TypeVar("T")


async def run(
    plan: Plan, turn: Turn, stages: Stages, *, deadline_s: float, overlap: bool = True
) -> AsyncGenerator[Event, None]:
    """The events of one answer, ending with ``Done``.

    Without ``overlap`` the voice waits for the whole text. Raises types of ``deployments.errors``:
    ``NoSpeech`` when a recording holds no words and no text came with it, ``DeadlineExceeded`` after ``deadline_s``.
    """
    async with aclosing(_events(lambda emit: _Answer(plan, turn, stages, emit, overlap).work(), deadline_s)) as events:
        async for event in events:
            yield event


async def say(text: str, voice: SpeakOptions, stages: Stages, *, deadline_s: float) -> AsyncGenerator[Event, None]:
    """``text`` read aloud, ending with ``Done``. Raises types of ``deployments.errors``."""

    async def work(emit: Emit) -> None:
        await _Voice(voice, stages, emit).say(_sentences(text))
        await emit(Done("stop", 0, 0))

    async with aclosing(_events(work, deadline_s)) as events:
        async for event in events:
            yield event


async def hear(
    pieces: AsyncGenerator[tuple[float, Audio], None], options: TranscribeOptions, stages: Stages, *, deadline_s: float
) -> AsyncGenerator[Event, None]:
    """A recording that comes in pieces, each with the second at which it begins, to segments; ends with ``Done``.

    One piece is held while the one before it is heard. ``deadline_s`` counts for each piece; raises types of
    ``deployments.errors``.
    """
    waiting: asyncio.Queue[tuple[float, Audio] | None] = asyncio.Queue(PIECES_AHEAD)
    watch = _StageWatch(Stage.ASR)

    async def work(emit: Emit) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(_pump(pieces, waiting))
            numbers = count()
            async for start_s, audio in _drain(waiting):
                heard = _hear_piece(start_s, audio, replace(options, piece=next(numbers)), emit)
                await _within(deadline_s, heard)
        await emit(watch.done())
        await emit(Done("stop", 0, 0))

    async def _hear_piece(start_s: float, audio: Audio, options: TranscribeOptions, emit: Emit) -> None:
        async with aclosing(watch.taken(stages.transcribe(audio, options))) as segments:
            async for segment in segments:
                await emit(SegmentHeard(_later(segment, start_s)))

    async with aclosing(_events(work, None)) as events:
        async for event in events:
            yield event


async def _events(work: Callable[[Emit], Awaitable[None]], deadline_s: float | None) -> AsyncGenerator[Event, None]:
    """What ``work`` has to say, up to ``Done``."""
    events: asyncio.Queue[Event | Exception] = asyncio.Queue(EVENTS_AHEAD)
    task = asyncio.create_task(_guarded(work, events, deadline_s))
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


async def _guarded(
    work: Callable[[Emit], Awaitable[None]], events: asyncio.Queue[Event | Exception], deadline_s: float | None
) -> None:
    """Work until done or until the deadline; an error is the last thing in the queue."""
    try:
        await _within(deadline_s, work(events.put))
    except Exception as error:
        await events.put(_first(error))


async def _within(deadline_s: float | None, work: Awaitable[None]) -> None:
    try:
        async with asyncio.timeout(deadline_s):
            await work
    except TimeoutError:
        raise DeadlineExceeded(f"The answer was not complete after {deadline_s:g} s.") from None


def _first(error: Exception) -> Exception:
    """Of several tasks that failed, the one that failed first."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


class _Answer:
    """The work behind one run; everything it has to say goes to ``emit``."""

    def __init__(self, plan: Plan, turn: Turn, stages: Stages, emit: Emit, overlap: bool) -> None:
        self._plan = plan
        self._turn = turn
        self._stages = stages
        self._emit = emit
        self._overlap = overlap
        self._end: ChatEnd | None = None

    async def work(self) -> None:
        messages = await self._listen() if Stage.ASR in self._plan else [_as_chat(m) for m in self._turn.messages]
        if Stage.TTS in self._plan:
            await _Voice(self._turn.voice, self._stages, self._emit, self._overlap).say(self._think(messages))
        else:
            async with aclosing(self._think(messages)) as sentences:
                async for _ in sentences:
                    pass
        if self._end is None:
            raise EngineUnavailable(f"The {self._plan.chat} stage ended without saying why.")
        await self._emit(Done(self._end.finish_reason, self._end.prompt_tokens, self._end.completion_tokens))

    async def _listen(self) -> list[ChatMessage]:
        """Every recording of the conversation to text; the last message's is told."""
        watch = _StageWatch(Stage.ASR)
        places = asyncio.Semaphore(LISTENERS)
        async with asyncio.TaskGroup() as group:
            hearings = [
                [group.create_task(self._hear(audio, places, watch)) for audio in message.audio]
                for message in self._turn.messages
            ]
        transcripts = [" ".join(filter(None, (task.result() for task in tasks))) for tasks in hearings]
        last = self._turn.messages[-1]
        if last.audio:
            if not transcripts[-1] and not last.text:
                raise NoSpeech(
                    "No speech was found in the recording. Speak closer to the microphone, or send text.",
                    param="audio",
                )
            await self._emit(TranscriptReady(transcripts[-1]))
        await self._emit(watch.done())
        return [_as_chat(m, heard) for m, heard in zip(self._turn.messages, transcripts, strict=True)]

    async def _hear(self, audio: Audio, places: asyncio.Semaphore, watch: _StageWatch) -> str:
        async with places, aclosing(watch.taken(self._stages.transcribe(audio, self._listening))) as segments:
            return " ".join([segment.text.strip() async for segment in segments]).strip()

    @property
    def _listening(self) -> TranscribeOptions:
        return TranscribeOptions(language=self._turn.language)

    async def _think(self, messages: list[ChatMessage]) -> AsyncGenerator[str, None]:
        """Tells the text as it comes, and gives it away in sentences."""
        watch = _StageWatch(self._plan.chat)
        sentences = Sentences()
        values: AsyncGenerator[TextDelta | ChatEnd, None] = watch.taken(
            self._stages.chat(self._plan.chat, messages, self._turn.chat)
        )
        async with aclosing(values):
            async for value in values:
                if isinstance(value, ChatEnd):
                    self._end = value
                    continue
                await self._emit(TextChunk(value.text))
                for sentence in sentences.feed(value.text):
                    yield sentence
        await self._emit(watch.done())
        for sentence in sentences.finish():
            yield sentence


class _Voice:
    """Speaks one answer, a sentence ahead of what is heard."""

    def __init__(self, options: SpeakOptions, stages: Stages, emit: Emit, overlap: bool = True) -> None:
        self._options = options
        self._stages = stages
        self._emit = emit
        self._overlap = overlap
        self._watch: _StageWatch | None = None

    async def say(self, text: AsyncGenerator[str, None]) -> None:
        """Speak sentences as they come; without overlap, once the last has come."""
        # Without overlap the whole text waits here; max_tokens bounds it.
        sentences: asyncio.Queue[str | None] = asyncio.Queue(SENTENCES_AHEAD if self._overlap else 0)
        voices: asyncio.Queue[asyncio.Queue[Audio | None] | None] = asyncio.Queue(VOICES_AHEAD)
        async with asyncio.TaskGroup() as group:
            thinking = group.create_task(_pump(text, sentences))
            if not self._overlap:
                await thinking
            group.create_task(self._play(voices))
            numbers = count()
            async for sentence in _drain(sentences):
                options = replace(self._options, sentence=next(numbers))
                chunks: asyncio.Queue[Audio | None] = asyncio.Queue(CHUNKS_AHEAD)
                await voices.put(chunks)
                self._watch = self._watch or _StageWatch(Stage.TTS)
                group.create_task(_pump(self._watch.taken(self._stages.speak(sentence, options)), chunks))
            await voices.put(None)

    async def _play(self, voices: asyncio.Queue[asyncio.Queue[Audio | None] | None]) -> None:
        """The sound of each sentence, in the order of the text."""
        async for chunks in _drain(voices):
            async for audio in _drain(chunks):
                await self._emit(AudioChunk(audio))
        if self._watch is not None:
            await self._emit(self._watch.done())


class _StageWatch:
    """Times the calls to one stage, from the first one on, and adds up how long each waited to be taken up."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._started_s = perf_counter()
        self._queued_s = 0.0

    async def taken(self, values: AsyncGenerator[Taken | T, None]) -> AsyncGenerator[T, None]:
        """The values of a call but for what tells of its wait."""
        async with aclosing(values):
            async for value in values:
                if isinstance(value, Taken):
                    self._queued_s += value.waited_s
                else:
                    yield value

    def done(self) -> StageDone:
        return StageDone(self._stage, (perf_counter() - self._started_s) * 1000, self._queued_s * 1000)


async def _sentences(text: str) -> AsyncGenerator[str, None]:
    """A text that is known already, in sentences."""
    sentences = Sentences()
    for sentence in [*sentences.feed(text), *sentences.finish()]:
        yield sentence


def _later(segment: Segment, seconds: float) -> Segment:
    """The segment as if ``seconds`` had been before its sound."""
    words = tuple(replace(word, start_s=word.start_s + seconds, end_s=word.end_s + seconds) for word in segment.words)
    return replace(segment, start_s=segment.start_s + seconds, end_s=segment.end_s + seconds, words=words)


async def _pump(source: AsyncGenerator[T, None], queue: asyncio.Queue[T | None]) -> None:
    """Everything from ``source`` into ``queue``, then ``None``."""
    async with aclosing(source):
        async for item in source:
            await queue.put(item)
    await queue.put(None)


async def _drain(queue: asyncio.Queue[T | None]) -> AsyncIterator[T]:
    """Everything out of ``queue`` until ``None``."""
    while (item := await queue.get()) is not None:
        yield item


def _as_chat(message: TurnMessage, transcript: str = "") -> ChatMessage:
    """The message as a model reads it: what was written, then what was said."""
    return ChatMessage(message.role, "\n".join(filter(None, (message.text, transcript))), message.images)
