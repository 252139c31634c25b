"""The recognition of an utterance while it grows.

A pass is one call of the recognizer over the audio of the utterance. While the person speaks, passes follow each other,
and what two of them agree on is reported. In a pause a pass over everything is begun at once: if no more speech comes,
its result is the transcript by the time the utterance ends. At most one pass of an utterance is in progress.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

from deployments.errors import ParleyError
from deployments.messages import Audio, Segment, TranscribeOptions
from graphs.http.openai.realtime.agreement import Agreement, Unit, units
from graphs.http.openai.realtime.input_audio import InputAudio

Transcribe = Callable[[Audio, TranscribeOptions], AsyncGenerator[Segment, None]]

TRAIL_MS = 100  # of sound after the last frame of speech, which a transcript of all the speech has heard
REST = 2  # passes begin no more often than every so many times the duration of one: a slow recognizer gets fewer
PARTIAL_PIECE = 1  # a lower priority in the recognizer than that of the last pass of an utterance
SENTENCE_ENDS = (".", "?", "!", "…", "。", "？", "！")

logger = logging.getLogger("ray.serve")


@dataclass(frozen=True, slots=True)
class RecognitionRules:
    """``partial`` switches passes during speech. One begins ``interval_ms`` after the last one began.

    When an utterance is longer than ``window_ms``, the sentences that are confirmed are not heard again.
    """

    partial: bool
    interval_ms: int
    window_ms: int


class Recognition:
    """One utterance, which begins at ``start_ms`` of ``audio``.

    Call it from the event loop, and append to ``audio`` at other times: audio is copied in the call, never later.
    ``on_delta`` gets the confirmed text piece by piece: the pieces add up to a beginning of the transcript, unless the
    last pass understands a word differently; then the transcript is right, and no piece follows.
    """

    def __init__(
        self,
        transcribe: Transcribe,
        audio: InputAudio,
        start_ms: int,
        options: TranscribeOptions,
        rules: RecognitionRules,
        on_delta: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._transcribe = transcribe
        self._audio = audio
        self._options = options
        self._rules = rules
        self._on_delta = on_delta
        self._clock = clock
        self._from_ms = start_ms  # what lies before is not heard again
        self._before = ""  # the text of what lies before
        self._agreement = Agreement()
        self._latest: list[Unit] = []  # the result of the latest pass
        self._heard_ms = start_ms  # the end of its audio
        self._begun_ms = start_ms  # the end of the audio of the latest pass that was begun
        self._interval_ms: float = rules.interval_ms
        self._paused = False
        self._task: asyncio.Task[None] | None = None
        self._one_pass = asyncio.Lock()

    def advance(self) -> None:
        """Begin a pass if enough audio was appended since the last one. To be called after each append."""
        if (
            self._rules.partial
            and not self._paused
            and not self._in_progress
            and self._audio.end_ms - self._begun_ms >= self._interval_ms
        ):
            self._begin(PARTIAL_PIECE)

    def pause(self, speech_end_ms: int) -> None:
        """Begin a pass over everything, as speech ended at ``speech_end_ms``, unless one has heard that."""
        self._paused = True
        if self._rules.partial and not self._covers(speech_end_ms + TRAIL_MS):
            self._cancel()
            self._begin(self._options.piece)

    def resume(self) -> None:
        """Speech goes on after a pause."""
        self._paused = False

    def finish(self, end_ms: int, speech_end_ms: int | None = None) -> Coroutine[Any, Any, str]:
        """Return the transcript of the utterance, which ends at ``end_ms``; empty if there was no speech.

        After ``speech_end_ms`` there is only silence; ``None`` if that is not known. The audio may be discarded after
        the call, before the transcript is there. Awaiting it raises the recognizer's error.
        """
        self._paused = True
        needed_ms = end_ms if speech_end_ms is None else min(end_ms, speech_end_ms + TRAIL_MS)
        return self._finish(self._audio.slice(self._from_ms, end_ms), end_ms, needed_ms)

    async def close(self) -> None:
        """Cancel the pass in progress; the recognizer stops."""
        task = self._task
        self._cancel()
        if task is not None:
            await asyncio.wait([task])

    async def _finish(self, clip: Audio, end_ms: int, needed_ms: int) -> str:
        if self._covers(needed_ms) and self._task is not None:
            await self._task
        if self._heard_ms < needed_ms:
            self._cancel()
            await self._pass(clip, self._options, end_ms)
        text = self._before + "".join(unit.text for unit in self._latest)
        reported = self._before + "".join(unit.text for unit in self._agreement.confirmed)
        if text.startswith(reported) and text != reported:
            self._on_delta(text[len(reported) :])
        return text

    @property
    def _in_progress(self) -> bool:
        return self._task is not None and not self._task.done()

    def _covers(self, until_ms: int) -> bool:
        """Return whether a pass has heard the audio up to a time, or will have."""
        return (self._begun_ms if self._in_progress else self._heard_ms) >= until_ms

    def _begin(self, piece: int) -> None:
        clip = self._audio.slice(self._from_ms)
        self._begun_ms = self._audio.end_ms
        options = replace(self._options, piece=piece, words=clip.duration_s * 1000 > self._rules.window_ms)
        if piece == PARTIAL_PIECE:
            options = replace(options, tries=1)  # a later pass hears the same audio
        self._task = asyncio.create_task(self._attempt(clip, options, self._begun_ms))

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _attempt(self, clip: Audio, options: TranscribeOptions, end_ms: int) -> None:
        """Make a pass that may fail: a later one hears the same audio."""
        began_s = self._clock()
        try:
            await self._pass(clip, options, end_ms)
        except ParleyError as error:
            logger.info("a partial recognition failed: %s", error)
        self._interval_ms = max(self._rules.interval_ms, REST * (self._clock() - began_s) * 1000)

    async def _pass(self, clip: Audio, options: TranscribeOptions, end_ms: int) -> None:
        async with self._one_pass, aclosing(self._transcribe(clip, options)) as segments:
            found = [segment async for segment in segments]
        self._latest = units(found, self._before)
        self._heard_ms = end_ms
        if agreed := self._agreement.insert(self._latest):
            self._on_delta("".join(unit.text for unit in agreed))
        if options.words:
            self._cut()

    def _cut(self) -> None:
        """Hear the confirmed sentences no more. In mid-sentence the times of words are not precise enough."""
        words = enumerate(self._agreement.confirmed, 1)
        ends = [count for count, unit in words if unit.end_s is not None and unit.text.endswith(SENTENCE_ENDS)]
        if ends:
            removed = self._agreement.cut(ends[-1])
            self._before += "".join(unit.text for unit in removed)
            self._latest = self._latest[ends[-1] :]
            assert removed[-1].end_s is not None
            self._from_ms += round(removed[-1].end_s * 1000)
