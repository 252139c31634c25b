"""Which audio of the input is committed and which is being spoken. Only times: the audio itself is elsewhere. Pure.

Times are milliseconds of the input since the session's first sample.
"""

from __future__ import annotations

from dataclasses import dataclass

from deployments.errors import InvalidRequest, TooLarge
from graphs.http.openai.realtime.client_events import EventError

MIN_COMMIT_MS = 100  # as OpenAI's


@dataclass(frozen=True, slots=True)
class Speech:
    """A turn that a person is speaking, and the id of its item to be."""

    item_id: str
    start_ms: int


class InputBuffer:
    """The input of one session; at most ``max_s`` seconds wait to be committed."""

    def __init__(self, max_s: float) -> None:
        self.start_ms = 0  # what lies before is committed or cleared
        self.speech: Speech | None = None
        self._appended_ms = 0.0
        self._max_s = max_s

    @property
    def end_ms(self) -> int:
        return int(self._appended_ms)

    @property
    def needed_from_ms(self) -> int:
        """What lies before is not part of the buffer or of the turn in progress."""
        return self.speech.start_ms if self.speech is not None else self.start_ms

    def append(self, duration_ms: float, *, detects_turns: bool) -> None:
        """Count audio. Raises ``TooLarge``, of silence between detected turns only for a single append."""
        if duration_ms > self._max_s * 1000:
            raise TooLarge(
                f"The audio is longer than {self._max_s:g} s, the limit. Send smaller pieces.", param="audio"
            )
        if not detects_turns and self._appended_ms - self.start_ms + duration_ms > self._max_s * 1000:
            message = f"The buffer would have more than {self._max_s:g} s of audio, the limit. Commit or clear it."
            raise TooLarge(message, param="audio")
        self._appended_ms += duration_ms

    def begin_speech(self, item_id: str, start_ms: int) -> Speech:
        """Begin a turn. It has no audio of the turn before."""
        self.speech = Speech(item_id, max(start_ms, self.start_ms))
        return self.speech

    def commit(self, item_id: str) -> Speech:
        """Return what the client commits: the turn in progress, or else all audio of the buffer, as ``item_id``.

        Raises ``EventError`` if it is too short.
        """
        earliest_ms = max(self.start_ms, self.end_ms - int(self._max_s * 1000))
        speech = self.speech or Speech(item_id, earliest_ms)
        length_ms = max(0, self.end_ms - speech.start_ms)
        if length_ms < MIN_COMMIT_MS:
            message = f"The buffer has {length_ms} ms of audio; at least {MIN_COMMIT_MS} ms are needed."
            raise EventError(InvalidRequest(message), code="input_audio_buffer_commit_empty")
        return speech

    def end(self, end_ms: int) -> None:
        """Remove the audio up to ``end_ms``, and the turn in progress."""
        self.speech = None
        self.start_ms = max(self.start_ms, end_ms)
