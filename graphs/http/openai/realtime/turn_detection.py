"""When a person begins and stops to speak, from the probability of speech of each frame. Pure.

An utterance is what a person says until it is the service's turn to answer.

Times are milliseconds of the input since the session's first sample. Speech begins with a frame of at least
``threshold`` and goes on while frames have at least ``threshold - HYSTERESIS``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

HYSTERESIS = 0.15  # Silero's own rule


@dataclass(frozen=True, slots=True)
class TurnRules:
    """What counts as an utterance.

    It begins when ``min_speech_ms`` of speech have been heard with no pause of ``pause_ms`` in between, and ends after
    ``silence_ms`` of silence, or when it is ``max_speech_ms`` long. ``prefix_ms`` is the audio before the first frame
    of speech that belongs to it.
    """

    threshold: float
    prefix_ms: int
    silence_ms: int
    pause_ms: int
    min_speech_ms: int
    max_speech_ms: int


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """An utterance began at ``start_ms``, prefix included, which was known at ``detected_ms``."""

    start_ms: int
    detected_ms: int


@dataclass(frozen=True, slots=True)
class SpeechPaused:
    """Speech ended at ``speech_end_ms``; at ``detected_ms`` the person has been silent for ``pause_ms``."""

    speech_end_ms: int
    detected_ms: int


@dataclass(frozen=True, slots=True)
class SpeechResumed:
    """Speech goes on after a pause."""

    detected_ms: int


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    """The utterance ended: it is the audio up to ``end_ms``, of which the last speech ended at ``speech_end_ms``."""

    speech_end_ms: int
    end_ms: int


TurnEvent = SpeechStarted | SpeechPaused | SpeechResumed | SpeechStopped


class TurnDetector:
    """The utterances of one session.

    Started and stopped alternate. Between them paused and resumed alternate, beginning with paused; an utterance that
    ends by silence was paused before.
    """

    def __init__(self, rules: TurnRules, *, frame_ms: int, at_ms: int = 0) -> None:
        """Begin at ``at_ms``, the time of the first frame's beginning."""
        self.rules = rules
        self._frame_ms = frame_ms
        self._now_ms = at_ms
        self._floor_ms = at_ms  # the end of the utterance before: none begins earlier
        self.reset()

    @property
    def in_speech(self) -> bool:
        """Whether an utterance has begun and not ended."""
        return self._begin_ms is not None

    @property
    def needed_from_ms(self) -> int:
        """The earliest audio that this or the next utterance can have; what lies before may be discarded."""
        if self._begin_ms is not None:
            return self._begin_ms
        onset_ms = self._now_ms if self._onset_ms is None else self._onset_ms
        return max(self._floor_ms, onset_ms - self.rules.prefix_ms)

    def reset(self) -> None:
        """Forget the utterance in progress, without an event: the client cleared or committed the buffer."""
        self._begin_ms: int | None = None
        self._onset_ms: int | None = None  # of speech that may become an utterance, or is one
        self._speech_end_ms = self._now_ms
        self._speech_ms = 0  # heard since the onset
        self._paused = False
        self._floor_ms = self._now_ms

    def feed(self, probabilities: Iterable[float], *, min_speech_ms: int | None = None) -> list[TurnEvent]:
        """Return the events of the next frames. ``min_speech_ms`` replaces the rule's while something is spoken."""
        enough_ms = self.rules.min_speech_ms if min_speech_ms is None else min_speech_ms
        return [event for probability in probabilities for event in self._frame(probability, enough_ms)]

    def stop(self) -> list[TurnEvent]:
        """End the utterance in its pause, as the words say that it is over; no event unless it is paused."""
        return [self._stopped()] if self._paused else []

    def _frame(self, probability: float, enough_ms: int) -> list[TurnEvent]:
        begin_ms = self._now_ms
        self._now_ms += self._frame_ms
        speaking = self._onset_ms is not None and self._speech_end_ms == begin_ms  # in the frame before
        if probability >= self.rules.threshold - (HYSTERESIS if speaking else 0):
            return self._speech(begin_ms, enough_ms)
        return self._silence()

    def _speech(self, begin_ms: int, enough_ms: int) -> list[TurnEvent]:
        if self._onset_ms is None:
            self._onset_ms = begin_ms
            self._speech_ms = 0
        self._speech_end_ms = self._now_ms
        self._speech_ms += self._frame_ms
        events: list[TurnEvent] = []
        if self._begin_ms is None:
            if self._speech_ms < enough_ms:
                return []
            self._begin_ms = max(self._floor_ms, self._onset_ms - self.rules.prefix_ms)
            events.append(SpeechStarted(self._begin_ms, self._now_ms))
        elif self._paused:
            self._paused = False
            events.append(SpeechResumed(self._now_ms))
        return [*events, *self._stop_if_long()]

    def _silence(self) -> list[TurnEvent]:
        if self._onset_ms is None:
            return []
        silence_ms = self._now_ms - self._speech_end_ms
        if self._begin_ms is None:
            if silence_ms >= self.rules.pause_ms:  # too short: a cough
                self._onset_ms = None
            return []
        events: list[TurnEvent] = []
        if not self._paused and silence_ms >= min(self.rules.pause_ms, self.rules.silence_ms):
            self._paused = True
            events.append(SpeechPaused(self._speech_end_ms, self._now_ms))
        if silence_ms >= self.rules.silence_ms:
            return [*events, self._stopped()]
        return [*events, *self._stop_if_long()]

    def _stop_if_long(self) -> list[TurnEvent]:
        assert self._begin_ms is not None
        return [self._stopped()] if self._now_ms - self._begin_ms >= self.rules.max_speech_ms else []

    def _stopped(self) -> SpeechStopped:
        stopped = SpeechStopped(self._speech_end_ms, self._now_ms)
        self.reset()
        return stopped
