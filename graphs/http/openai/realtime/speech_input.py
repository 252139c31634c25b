"""The input side of a connection: appended bytes to samples, turns and transcripts.

Everything is processed in the order in which it was appended. Voice activity detection runs in the event loop for short
pieces and in a thread for long ones. The recognition of a turn begins with the turn.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from deployments.errors import ParleyError
from deployments.messages import TranscribeOptions
from graphs.http.openai.realtime import effects, semantic
from graphs.http.openai.realtime.codecs import WireFormat
from graphs.http.openai.realtime.configuration import SemanticVad, ServerVad
from graphs.http.openai.realtime.input_audio import InputAudio
from graphs.http.openai.realtime.recognition import Recognition, RecognitionRules
from graphs.http.openai.realtime.services import Services
from graphs.http.openai.realtime.turn_detection import (
    SpeechPaused,
    SpeechResumed,
    SpeechStarted,
    SpeechStopped,
    TurnDetector,
    TurnEvent,
    TurnRules,
)
from graphs.http.openai.realtime.vad import FRAME_MS, INLINE, SpeechProbability
from graphs.settings import RealtimeConfig

PORTION_BYTES = 16_384  # of appended audio that is processed at once: a third of a second of PCM, 2 s of G.711
WINDOW_MS = 20_000  # of a turn: the recognizer hears at most 30 s at once
MARGIN_S = 10  # of the buffer, beyond the longest turn


@dataclass(frozen=True, slots=True)
class Reports:
    """Where the results go: calls of the session."""

    started: Callable[[int], None]
    stopped: Callable[[int], None]
    delta: Callable[[str, str], None]
    transcribed: Callable[[str, str, float, str | None], None]
    failed: Callable[[str, ParleyError], None]


@dataclass(slots=True)
class _Item:
    """The recognition of one item. ``start_ms`` is where its audio begins."""

    start_ms: int
    options: TranscribeOptions
    recognition: Recognition
    finishing: asyncio.Task[None] | None = None


class SpeechInput:
    """The input of one session. ``is_playing`` tells whether the person hears an answer at the moment."""

    def __init__(
        self, services: Services, settings: RealtimeConfig, is_playing: Callable[[], bool], reports: Reports
    ) -> None:
        self._services = services
        self._executor = services.executor
        self._settings = settings
        self._is_playing = is_playing
        self._reports = reports
        self._wire = WireFormat.PCM
        self._audio = InputAudio(self._wire, max_buffer_s=2 * settings.max_buffer_s + MARGIN_S)
        self._detection: ServerVad | SemanticVad | None = None
        self._detector: TurnDetector | None = None
        self._vad: SpeechProbability | None = None
        self._end_of_turn: semantic.EndOfTurn | None = None
        self._pending: deque[bytes | effects.ConfigureInput | effects.ClearAudio] = deque()
        self._resets = 0  # changes that are not processed yet, each of which begins detection anew
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._items: dict[str, _Item] = {}
        self._turn_item: str | None = None  # of the turn in progress
        self._speech_end_ms: int | None = None  # of the turn that has just ended
        self._needed_from_ms = 0
        self._tasks: set[asyncio.Task[None]] = set()

    # --- what the session asks for ------------------------------------------------------------------------------------

    def put(self, effect: effects.ConfigureInput | effects.AppendAudio | effects.ClearAudio) -> None:
        """Process what was appended, or a change, after everything before it."""
        if isinstance(effect, effects.AppendAudio):
            data = effect.data
            self._pending.extend(data[at : at + PORTION_BYTES] for at in range(0, len(data), PORTION_BYTES))
        else:
            self._pending.append(effect)
            self._resets += 1
        self._idle.clear()
        self._wake.set()

    def discard(self, before_ms: int) -> None:
        """Forget the audio before a time, once nothing uses it."""
        self._needed_from_ms = before_ms
        self._discard_unused()

    def transcribe(self, effect: effects.Transcribe) -> None:
        """Begin the recognition of an item, or finish it."""
        item = self._items.get(effect.item_id)
        if item is None:
            item = self._items[effect.item_id] = self._begun(effect)
        if effect.end_ms is None:
            self._turn_item = effect.item_id
        elif item.finishing is None:
            if self._turn_item == effect.item_id:
                self._turn_item = None
            speech_end_ms, self._speech_end_ms = self._speech_end_ms, None
            item.finishing = self._start(self._finish(effect.item_id, item, effect.end_ms, speech_end_ms))

    def cancel(self, item_id: str) -> None:
        """Stop the recognition of an item."""
        if self._turn_item == item_id:
            self._turn_item = None
        if item := self._items.pop(item_id, None):
            if item.finishing:
                item.finishing.cancel()
            self._start(item.recognition.close())

    # --- processing ---------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Process what is put, until cancelled. Raise ``TooLarge`` if transcripts lag behind the speech too far."""
        try:
            while True:
                await self._wake.wait()
                while self._pending:
                    await self._process(self._pending.popleft())
                self._wake.clear()
                self._idle.set()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*(item.recognition.close() for item in self._items.values()))

    async def _process(self, work: bytes | effects.ConfigureInput | effects.ClearAudio) -> None:
        match work:
            case bytes():
                await self._hear(work)
            case effects.ClearAudio():
                if not self._items:  # else their audio is still needed
                    self._audio.clear()
                if self._detector:
                    self._detector.reset()
                self._resets -= 1
            case effects.ConfigureInput(wire, detection):
                if wire is not self._wire:
                    self._wire = wire
                    self._audio.configure(wire)
                await self._detect(detection)
                self._resets -= 1

    async def _hear(self, data: bytes) -> None:
        samples = self._audio.append(data)
        is_playing = self._is_playing()
        if self._vad and self._detector:
            if is_playing and self._settings.half_duplex:
                samples = samples * 0
            feed = self._vad.feed
            probabilities = feed(samples) if len(samples) <= INLINE else await self._executor.encode(0, feed, samples)
            minimum_ms = self._settings.min_interruption_ms if is_playing else None
            for event in self._detector.feed(probabilities.tolist(), min_speech_ms=minimum_ms):
                await self._turn(event)
        if self._turn_item:
            self._items[self._turn_item].recognition.advance()
        self._discard_unused()

    async def _turn(self, event: TurnEvent) -> None:
        if self._resets:
            return  # for the session this audio is committed, cleared or over already
        recognition = self._items[self._turn_item].recognition if self._turn_item else None
        match event:
            case SpeechStarted(start_ms):
                self._reports.started(start_ms)
            case SpeechPaused(speech_end_ms):
                if recognition:
                    recognition.pause(speech_end_ms)
                await self._end_if_said()
            case SpeechResumed():
                if recognition:
                    recognition.resume()
            case SpeechStopped(speech_end_ms, end_ms):
                self._speech_end_ms = speech_end_ms
                self._reports.stopped(end_ms)
                self._speech_end_ms = None

    async def _end_if_said(self) -> None:
        """End the turn in its pause if the words sound complete; only with ``semantic_vad``."""
        if self._end_of_turn is None or self._detector is None or not isinstance(self._detection, SemanticVad):
            return
        turn = self._audio.slice(self._detector.needed_from_ms)
        probability = await self._executor.encode(0, self._end_of_turn.probability, turn)
        if probability >= semantic.PATIENCE[self._detection.eagerness].threshold:
            for event in self._detector.stop():
                await self._turn(event)

    async def _detect(self, detection: ServerVad | SemanticVad | None) -> None:
        self._detection = detection
        if detection is None:
            self._vad = self._detector = None
            return
        if self._vad is None:
            self._vad = SpeechProbability(await self._services.voice_models.speech())
        if isinstance(detection, SemanticVad) and self._end_of_turn is None:
            self._end_of_turn = await self._services.voice_models.end_of_turn()
        self._detector = TurnDetector(self._rules(detection), frame_ms=FRAME_MS, at_ms=self._audio.end_ms)

    def _rules(self, detection: ServerVad | SemanticVad) -> TurnRules:
        settings = self._settings
        voice = detection if isinstance(detection, ServerVad) else ServerVad()  # its defaults, but for the silence
        patience = None if isinstance(detection, ServerVad) else semantic.PATIENCE[detection.eagerness]
        return TurnRules(
            threshold=voice.threshold,
            prefix_ms=voice.prefix_padding_ms,
            silence_ms=patience.max_wait_ms if patience else voice.silence_duration_ms,
            pause_ms=settings.early_silence_ms,
            min_speech_ms=settings.min_speech_ms,
            max_speech_ms=round(settings.max_buffer_s * 1000),
        )

    # --- recognition --------------------------------------------------------------------------------------------------

    def _begun(self, effect: effects.Transcribe) -> _Item:
        settings = self._settings
        rules = RecognitionRules(
            partial=settings.partial_transcripts,
            interval_ms=round(settings.partial_interval_s * 1000),
            window_ms=WINDOW_MS,
        )
        item_id, report = effect.item_id, effect.report
        recognition = Recognition(
            self._services.transcribe,
            self._audio,
            effect.start_ms,
            effect.options,
            rules,
            lambda text: self._reports.delta(item_id, text) if report else None,
        )
        return _Item(effect.start_ms, effect.options, recognition)

    async def _finish(self, item_id: str, item: _Item, end_ms: int, speech_end_ms: int | None) -> None:
        """Report the transcript of an item, or why there is none."""
        await self._idle.wait()  # its last audio may not be processed yet
        try:
            text = await item.recognition.finish(end_ms, speech_end_ms)
        except ParleyError as error:
            self._reports.failed(item_id, error)
        else:
            self._reports.transcribed(item_id, text, (end_ms - item.start_ms) / 1000, item.options.language)
        finally:
            self._items.pop(item_id, None)

    def _discard_unused(self) -> None:
        """Forget the audio that neither the session, nor a recognition, nor the next turn needs."""
        limits = [self._needed_from_ms, *(item.start_ms for item in self._items.values())]
        if self._detector:
            limits[0] = self._detector.needed_from_ms
        self._audio.discard(min(limits))

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
