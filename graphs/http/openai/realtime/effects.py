"""What a Session asks of the code around it. Each effect is a value; the socket carries them out in their order.

Times named ``..._ms`` are of the input audio, from the session's first sample on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from deployments.messages import Audio, TranscribeOptions
from graphs.http.openai.realtime.codecs import WireFormat
from graphs.http.openai.realtime.configuration import SemanticVad, ServerVad
from graphs.pipeline.turn import Turn


@dataclass(frozen=True, slots=True)
class Send:
    """Send a server event to the client. The values of ``event`` are JSON's."""

    event: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ConfigureInput:
    """The format of all audio appended from now on, and how turns are detected in it; ``None`` is push to talk.

    The first effect of a session. At each further one detection begins anew: a turn in progress is forgotten.
    """

    wire: WireFormat
    turn_detection: ServerVad | SemanticVad | None


@dataclass(frozen=True, slots=True)
class AppendAudio:
    """Add ``data`` to the input buffer, in the format of the last ``ConfigureInput``."""

    data: bytes


@dataclass(frozen=True, slots=True)
class ClearAudio:
    """Forget the buffered input audio, and a turn that is being detected; the time of the input goes on.

    The audio of items whose words are being recognized stays.
    """


@dataclass(frozen=True, slots=True)
class DiscardAudio:
    """The session needs no audio before ``before_ms`` any more.

    While turns are detected, silence may be forgotten earlier: the detector knows what a next turn can need.
    """

    before_ms: int


@dataclass(frozen=True, slots=True)
class Transcribe:
    """Recognize the buffered audio from ``start_ms`` on as the words of item ``item_id``.

    Without ``end_ms`` the person still speaks: begin, and report with ``Session.transcript_delta`` if ``report`` is
    set. A second ``Transcribe`` of the item has its end; then answer with ``Session.transcribed`` or
    ``Session.transcription_failed``.
    """

    item_id: str
    start_ms: int
    end_ms: int | None
    options: TranscribeOptions
    report: bool


@dataclass(frozen=True, slots=True)
class TranscribeAudio:
    """Recognize a decoded recording as the words of item ``item_id``; answered as ``Transcribe`` is."""

    item_id: str
    audio: Audio
    options: TranscribeOptions


@dataclass(frozen=True, slots=True)
class CancelTranscription:
    """Stop recognizing item ``item_id``: its words are not needed any more."""

    item_id: str


@dataclass(frozen=True, slots=True)
class Decode:
    """Decode a part of an item that is being created, then call ``Session.media_decoded`` or ``media_failed``.

    ``data`` are the bytes of a picture's file, or audio in ``wire``. ``param`` names the field, for errors.
    """

    item_id: str
    part_index: int
    kind: Literal["image", "audio"]
    data: bytes
    wire: WireFormat | None
    param: str


@dataclass(frozen=True, slots=True)
class Respond:
    """Run the graph for ``turn`` and report to the session under ``response_id``.

    ``model`` is the name that the client gave. Audio is reported in ``wire``, which is ``None`` for a text answer. The
    same response may ask again after ``run_failed``: with fewer messages, if the conversation was too long.
    """

    response_id: str
    turn: Turn
    model: str
    wire: WireFormat | None


@dataclass(frozen=True, slots=True)
class CancelRun:
    """Close the run of a response and drop its audio that was not reported yet."""

    response_id: str


@dataclass(frozen=True, slots=True)
class StopPlayback:
    """The client plays nothing more of the audio that was sent."""


@dataclass(frozen=True, slots=True)
class Close:
    """Close the socket with a code of RFC 6455, after everything before it was sent."""

    code: int
    reason: str


Effect = (
    Send
    | ConfigureInput
    | AppendAudio
    | ClearAudio
    | DiscardAudio
    | Transcribe
    | TranscribeAudio
    | CancelTranscription
    | Decode
    | Respond
    | CancelRun
    | StopPlayback
    | Close
)
