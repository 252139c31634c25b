"""What one session may use."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """Limits of one session; a message beyond them gets an error.

    ``max_buffer_s`` is audio that is not committed yet, and the longest recording of a message. The oldest items are
    deleted above ``max_items`` and ``max_chars``; the oldest pictures leave the prompt above ``max_images``.
    ``max_transcriptions`` are in progress or wait; ``max_responses`` counts the conversation's own and those beside it.
    A session ends after ``session_s``, or after ``idle_s`` in which neither the client nor the service sent anything.
    """

    max_message_bytes: int
    max_json_items: int
    max_buffer_s: float
    max_items: int
    max_chars: int
    max_images: int
    max_transcriptions: int
    max_responses: int
    session_s: float
    idle_s: float
