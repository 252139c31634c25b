"""A session under test: with counted ids and a clock that stands still, and with every event checked."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from deployments.errors import ParleyError
from deployments.messages import Audio, Image
from graphs.http.openai.realtime.configuration import Configuration, Kind
from graphs.http.openai.realtime.effects import Close, Effect, Respond, Send
from graphs.http.openai.realtime.session import Session
from graphs.http.openai.realtime.session_limits import SessionLimits
from graphs.pipeline.events import Done
from graphs.pipeline.turn import Turn
from tests.graphs.http.openai.realtime.invariants import Invariants

LIMITS = SessionLimits(
    max_message_bytes=4_000_000,
    max_json_items=10_000,
    max_buffer_s=60,
    max_items=100,
    max_chars=100_000,
    max_images=2,
    max_transcriptions=4,
    max_responses=3,
    session_s=3600,
    idle_s=600,
)
PNG = "data:image/png;base64,iVBORw0KGgo="


class Talk:
    """Calls a session; each call returns the effects, whose events have been checked.

    ``sent`` has all events, and ``effects`` everything.
    """

    def __init__(self, kind: Kind = "realtime", *, configuration: Configuration | None = None, **limits: float) -> None:
        self.now_s = 0.0
        self.sent: list[dict[str, Any]] = []
        self.effects: list[Effect] = []
        self.invariants = Invariants()
        self.watch: Callable[[Effect], None] = lambda effect: None  # sees effects other than events, in their order
        self._counts: Counter[str] = Counter()
        self.session = Session(
            session_id="sess_1",
            model="parley",
            kind=kind,
            limits=replace(LIMITS, **limits),
            new_id=self._new_id,
            now_s=0.0,
            require=lambda configuration: None,
            configuration=configuration,
        )
        self._saw(self.session.start())

    @classmethod
    def configured(cls, *, kind: Kind = "realtime", limits: dict[str, float] | None = None, **session: Any) -> Talk:
        """Return a talk after its session.update with these fields."""
        talk = cls(kind, **(limits or {}))
        talk.client("session.update", session=session)
        return talk

    def client(self, type_: str, **fields: Any) -> list[Effect]:
        """Send an event of the client."""
        return self.message(json.dumps({"type": type_, **fields}))

    def message(self, message: str | bytes) -> list[Effect]:
        return self._saw(self.session.receive(message, self.now_s))

    def append(self, duration_ms: int) -> list[Effect]:
        """Append silence as audio/pcm."""
        return self.client("input_audio_buffer.append", audio=base64.b64encode(bytes(duration_ms * 48)).decode())

    def say(self, text: str) -> list[Effect]:
        """Create an item of the user's text."""
        content = [{"type": "input_text", "text": text}]
        return self.client("conversation.item.create", item={"type": "message", "role": "user", "content": content})

    def speech_started(self, start_ms: int) -> list[Effect]:
        return self._saw(self.session.speech_started(start_ms, self.now_s))

    def speech_stopped(self, end_ms: int) -> list[Effect]:
        return self._saw(self.session.speech_stopped(end_ms, self.now_s))

    def transcript_delta(self, item_id: str, text: str) -> list[Effect]:
        return self._saw(self.session.transcript_delta(item_id, text, self.now_s))

    def transcribed(
        self, item_id: str, transcript: str, seconds: float = 1.0, language: str | None = None
    ) -> list[Effect]:
        return self._saw(self.session.transcribed(item_id, transcript, seconds, language, self.now_s))

    def transcription_failed(self, item_id: str, error: ParleyError) -> list[Effect]:
        return self._saw(self.session.transcription_failed(item_id, error, self.now_s))

    def media_decoded(self, item_id: str, part_index: int, media: Image | Audio) -> list[Effect]:
        return self._saw(self.session.media_decoded(item_id, part_index, media, self.now_s))

    def media_failed(self, item_id: str, part_index: int, error: ParleyError) -> list[Effect]:
        return self._saw(self.session.media_failed(item_id, part_index, error, self.now_s))

    def text(self, response_id: str, delta: str) -> list[Effect]:
        return self._saw(self.session.text(response_id, delta, self.now_s))

    def sentence(self, response_id: str, text: str) -> list[Effect]:
        return self._saw(self.session.sentence(response_id, text, self.now_s))

    def audio(self, response_id: str, data_base64: str, duration_ms: float) -> list[Effect]:
        return self._saw(self.session.audio(response_id, data_base64, duration_ms, self.now_s))

    def run_done(
        self, response_id: str, finish_reason: Any = "stop", prompt_tokens: int = 10, completion_tokens: int = 5
    ) -> list[Effect]:
        done = Done(finish_reason, prompt_tokens, completion_tokens)
        return self._saw(self.session.run_done(response_id, done, self.now_s))

    def run_failed(self, response_id: str, error: ParleyError) -> list[Effect]:
        return self._saw(self.session.run_failed(response_id, error, self.now_s))

    def tick(self) -> list[Effect]:
        return self._saw(self.session.tick(self.now_s))

    def drain(self, within_s: float = 100) -> list[Effect]:
        return self._saw(self.session.drain(self.now_s + within_s, self.now_s))

    def _new_id(self, prefix: str) -> str:
        self._counts[prefix] += 1
        return f"{prefix}_{self._counts[prefix]}"

    def _saw(self, effects: list[Effect]) -> list[Effect]:
        assert not any(isinstance(effect, Close) for effect in self.effects) or effects == []
        for effect in effects:
            if isinstance(effect, Send):
                self.invariants.saw(effect.event)
                self.sent.append(effect.event)
            else:
                self.watch(effect)
        self.effects += effects
        return effects


def events(effects: list[Effect]) -> list[dict[str, Any]]:
    return [effect.event for effect in effects if isinstance(effect, Send)]


def types(effects: list[Effect]) -> list[str]:
    return [event["type"] for event in events(effects)]


def only(effects: list[Effect], type_: str) -> dict[str, Any]:
    """Return the one event of a type."""
    [event] = [event for event in events(effects) if event["type"] == type_]
    return event


def error(effects: list[Effect]) -> dict[str, Any]:
    """Return the error, which is all that was sent."""
    [effect] = effects
    assert isinstance(effect, Send)
    assert effect.event["type"] == "error"
    details: dict[str, Any] = effect.event["error"]
    return details


def turn(effects: list[Effect]) -> Turn:
    """Return the turn of the one run that was asked for."""
    [respond] = [effect for effect in effects if isinstance(effect, Respond)]
    return respond.turn


def messages(effects: list[Effect]) -> list[tuple[str, str]]:
    """Return the roles and texts of the messages of the one run that was asked for."""
    return [(message.role, message.text) for message in turn(effects).messages]
