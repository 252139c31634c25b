"""Whatever happens to a session, in whatever order: ``Invariants`` hold, nothing is raised, its state is bounded."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from deployments.errors import ContextOverflow, EngineUnavailable, InvalidRequest
from deployments.messages import Audio, Image
from graphs.http.openai.realtime.effects import (
    CancelRun,
    CancelTranscription,
    Decode,
    Effect,
    Respond,
    Transcribe,
    TranscribeAudio,
)
from tests.graphs.http.openai.realtime.talk import PNG, Talk

LIMITS = {"max_items": 6, "max_chars": 300, "max_images": 2, "max_transcriptions": 2, "max_responses": 2, "idle_s": 200}
IMAGE = Image(np.zeros((2, 2, 3), np.uint8))
AUDIO = Audio(np.zeros(1600, np.float32), 16_000)

words = st.sampled_from(["", "Hello.", "What is the time?", "你好。", "\ud800", "\x00", "a" * 400])
names = st.sampled_from(["mine_1", "mine_2", "item_1", "item_2", "item_3", "item_5", "item_8", "root", "", "\ud800"])
texts = st.builds(lambda text: {"type": "input_text", "text": text}, words)
answers = st.builds(lambda text: {"type": "output_text", "text": text}, words)
spoken = st.builds(lambda text: {"type": "output_audio", "transcript": text}, words)
pictures = st.builds(lambda url: {"type": "input_image", "image_url": url}, st.sampled_from([PNG, "https://a/b.png"]))
recordings = st.builds(lambda data: {"type": "input_audio", "audio": data}, st.sampled_from(["AAAA" * 999, "", "?"]))
items = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["message", "message", "message", "function_call", "item_reference"]),
        "role": st.sampled_from(["user", "user", "assistant", "system"]),
        "content": st.lists(texts | answers | spoken | pictures | recordings, max_size=3),
    },
    optional={"id": st.sampled_from(["mine_1", "mine_2", "mine_3"])},
)
valid_items = st.builds(
    lambda content: {"type": "message", "role": "user", "content": content}, st.lists(texts | pictures, max_size=2)
)
responses = st.fixed_dictionaries(
    {},
    optional={
        "conversation": st.sampled_from(["auto", "none", "none", 3]),
        "output_modalities": st.sampled_from([["text"], ["audio"], ["text", "audio"], []]),
        "instructions": words,
        "metadata": st.dictionaries(st.sampled_from(["a", "b"]), words, max_size=2),
        "max_output_tokens": st.sampled_from([1, "inf", 0, 10**30]),
        "input": st.lists(items | st.builds(lambda name: {"type": "item_reference", "id": name}, names), max_size=2),
    },
)
detections = st.sampled_from(
    [
        None,
        {"type": "server_vad"},
        {"type": "server_vad", "idle_timeout_ms": 5000},
        {"type": "server_vad", "interrupt_response": False},
        {"type": "server_vad", "create_response": False},
        {"type": "semantic_vad", "eagerness": "low"},
        {"type": "other"},
    ]
)
updates = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["realtime", "transcription", "other"]),
        "output_modalities": st.sampled_from([["text"], ["audio"], "text"]),
        "truncation": st.sampled_from(["auto", "disabled", {"type": "retention_ratio", "retention_ratio": 0.8}]),
        "audio": st.fixed_dictionaries(
            {},
            optional={
                "input": st.fixed_dictionaries(
                    {},
                    optional={
                        "turn_detection": detections,
                        "transcription": st.sampled_from([None, {}, {"model": "whisper-1"}]),
                        "format": st.sampled_from([{"type": "audio/pcmu"}, {"type": "audio/pcm"}, {"type": "mp3"}]),
                    },
                )
            },
        ),
    },
)


class Interleavings(RuleBasedStateMachine):
    """Does everything that may happen, also when it makes no sense, and late."""

    @initialize(kind=st.sampled_from(["realtime", "realtime", "realtime", "transcription"]), update=updates)
    def begin(self, kind: Any, update: dict[str, Any]) -> None:
        self.talk = Talk(kind, **LIMITS)
        self.talk.watch = self.watch
        self.runs: list[str] = []
        self.transcriptions: list[str] = []
        self.decodes: list[Decode] = []
        self.talk.client("session.update", session={})
        self.talk.client("session.update", session=update)

    def watch(self, effect: Effect) -> None:
        """Keep what the session waits for, and check that it asks only for what makes sense."""
        match effect:
            case Respond(response_id=response_id, turn=turn):
                assert response_id not in self.runs
                assert response_id in self.talk.invariants.responses
                assert turn.messages
                self.runs.append(response_id)
            case CancelRun(response_id):
                self.runs.remove(response_id)
            case Transcribe(item_id=item_id, start_ms=start_ms, end_ms=end_ms):
                assert end_ms is None or start_ms <= end_ms
                assert (item_id in self.talk.invariants.items) == (end_ms is not None)
                if item_id not in self.transcriptions:
                    self.transcriptions.append(item_id)
            case TranscribeAudio(item_id=item_id):
                self.transcriptions.append(item_id)
            case CancelTranscription(item_id):
                if item_id in self.transcriptions:
                    self.transcriptions.remove(item_id)
            case Decode():
                self.decodes.append(effect)

    # The client

    @rule(update=updates)
    def update(self, update: dict[str, Any]) -> None:
        self.talk.client("session.update", session=update)

    @rule(duration_ms=st.integers(0, 3000))
    def append(self, duration_ms: int) -> None:
        self.talk.append(duration_ms)

    @rule(kind=st.sampled_from(["input_audio_buffer.commit", "input_audio_buffer.clear", "output_audio_buffer.clear"]))
    def buffer(self, kind: str) -> None:
        self.talk.client(kind)

    @rule(item=items | valid_items, previous=st.none() | names)
    def create(self, item: dict[str, Any], previous: str | None) -> None:
        self.talk.client("conversation.item.create", item=item, previous_item_id=previous)

    @rule(kind=st.sampled_from(["retrieve", "delete"]), name=names)
    def item(self, kind: str, name: str) -> None:
        self.talk.client(f"conversation.item.{kind}", item_id=name)

    @rule(name=names, content_index=st.integers(-1, 2), audio_end_ms=st.integers(-1, 5000))
    def truncate(self, name: str, content_index: int, audio_end_ms: int) -> None:
        fields = {"item_id": name, "content_index": content_index, "audio_end_ms": audio_end_ms}
        self.talk.client("conversation.item.truncate", **fields)

    @rule(data=st.data())
    def truncate_an_answer(self, data: st.DataObject) -> None:
        """Truncate an item that exists."""
        if self.talk.invariants.items:
            name = data.draw(st.sampled_from(sorted(self.talk.invariants.items)))
            fields = {"item_id": name, "content_index": 0, "audio_end_ms": data.draw(st.integers(0, 3000))}
            self.talk.client("conversation.item.truncate", **fields)

    @rule(response=st.just({}) | responses)
    def respond(self, response: dict[str, Any]) -> None:
        self.talk.client("response.create", response=response)

    @rule(response_id=st.none() | st.sampled_from(["resp_1", "resp_2", "resp_3"]))
    def cancel(self, response_id: str | None) -> None:
        self.talk.client("response.cancel", response_id=response_id)

    @rule(
        message=st.text(max_size=20)
        | st.binary(max_size=20)
        | st.sampled_from(["[" * 5000, '{"type": 1}', "NaN", "{}"])
    )
    def nonsense(self, message: str | bytes) -> None:
        [effect] = self.talk.message(message) or [None]
        assert effect is None or effect.event["type"] == "error" or self.decodes  # type: ignore[union-attr]

    # Voice activity and recognition

    @rule(start_ms=st.integers(0, 5000))
    def speech_started(self, start_ms: int) -> None:
        self.talk.speech_started(start_ms)

    @rule(end_ms=st.integers(0, 9000))
    def speech_stopped(self, end_ms: int) -> None:
        self.talk.speech_stopped(end_ms)

    @rule(item_id=names, text=st.sampled_from(["", "Hello."]))
    def words_of_nothing(self, item_id: str, text: str) -> None:
        self.talk.transcript_delta(item_id, text)
        if item_id not in self.transcriptions:
            self.talk.transcription_failed("none", EngineUnavailable("It failed."))

    @precondition(lambda self: self.transcriptions)
    @rule(data=st.data(), text=st.sampled_from(["", "Hello.", "Stop!"]), fails=st.booleans())
    def words(self, data: st.DataObject, text: str, fails: bool) -> None:
        item_id = data.draw(st.sampled_from(self.transcriptions))
        if item_id not in self.talk.invariants.items:
            self.talk.transcript_delta(item_id, text)
            return
        self.transcriptions.remove(item_id)
        if fails:
            self.talk.transcription_failed(item_id, EngineUnavailable("It failed."))
        else:
            self.talk.transcribed(item_id, text, 1.0, "en")

    # Decoding

    @precondition(lambda self: self.decodes)
    @rule(fails=st.booleans())
    def decoded(self, fails: bool) -> None:
        decode = self.decodes.pop(0)
        if fails:
            error = InvalidRequest("It failed.", param=decode.param)
            self.talk.media_failed(decode.item_id, decode.part_index, error)
        else:
            media = IMAGE if decode.kind == "image" else AUDIO
            self.talk.media_decoded(decode.item_id, decode.part_index, media)

    # Runs

    @precondition(lambda self: self.runs)
    @rule(data=st.data(), text=st.sampled_from(["", "Hi ", "there."]), duration_ms=st.sampled_from([0.0, 400.0, 999.5]))
    def run(self, data: st.DataObject, text: str, duration_ms: float) -> None:
        response_id = data.draw(st.sampled_from([*self.runs, "resp_1"]))
        match data.draw(st.sampled_from(["text", "sentence", "audio", "audio"])):
            case "text":
                self.talk.text(response_id, text)
            case "sentence":
                self.talk.sentence(response_id, text or "Hello.")
            case "audio":
                self.talk.audio(response_id, "AAAA", duration_ms)

    @precondition(lambda self: self.runs)
    @rule(data=st.data(), end=st.sampled_from(["stop", "stop", "length", "overflow", "fails"]))
    def end_run(self, data: st.DataObject, end: str) -> None:
        response_id = data.draw(st.sampled_from(self.runs))
        self.runs.remove(response_id)
        if end in ("stop", "length"):
            self.talk.run_done(response_id, end)
        else:
            error = ContextOverflow("Too long.") if end == "overflow" else EngineUnavailable("It failed.")
            self.talk.run_failed(response_id, error)

    # Time

    @rule(seconds=st.sampled_from([0.0, 0.5, 5.0, 30.0]))
    def tick(self, seconds: float) -> None:
        self.talk.now_s += seconds
        self.talk.tick()

    @rule(restarts=st.sampled_from([False] * 9 + [True]))
    def drain(self, restarts: bool) -> None:
        if restarts:
            self.talk.drain()

    @invariant()
    def is_bounded(self) -> None:
        if not hasattr(self, "talk"):
            return
        session = self.talk.session
        open_items = sum(state == "added" for state in self.talk.invariants.items.values())
        assert len(self.talk.invariants.items) <= LIMITS["max_items"] + open_items + 1
        assert len(session._conversation) == len(self.talk.invariants.items)
        assert len(session._responses) <= LIMITS["max_responses"]
        assert session._responses.keys() == self.talk.invariants.responses.keys()
        assert sum(item.awaits_words for item in session._conversation) <= LIMITS["max_transcriptions"]
        assert not session._effects

    def teardown(self) -> None:
        """Let everything end; nothing is left."""
        if not hasattr(self, "talk"):
            return
        while self.runs or self.decodes or any(item in self.talk.invariants.items for item in self.transcriptions):
            while self.decodes:
                decode = self.decodes.pop(0)
                self.talk.media_failed(decode.item_id, decode.part_index, InvalidRequest("It failed."))
            for item_id in list(self.transcriptions):
                if item_id in self.talk.invariants.items:
                    self.transcriptions.remove(item_id)
                    self.talk.transcribed(item_id, "Hello.")
            for response_id in list(self.runs):
                self.runs.remove(response_id)
                self.talk.run_done(response_id)
        assert not self.talk.session._waiting
        self.talk.invariants.nothing_is_open()


TestInterleavings = Interleavings.TestCase
TestInterleavings.settings = settings(
    max_examples=25, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)


def test_every_message_of_a_session_is_json() -> None:
    talk = Talk.configured(output_modalities=["text"])
    talk.say("\u2028 \x00 é 😀")
    assert all(json.loads(json.dumps(event, ensure_ascii=False)) == event for event in talk.sent)
