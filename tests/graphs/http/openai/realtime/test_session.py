"""The state machine of a session: what it sends and asks for, one behaviour each. ``scenarios`` has whole ones."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pytest

from deployments.errors import BrokenMedia, EngineUnavailable
from deployments.messages import Audio, Image, TranscribeOptions
from graphs.http.openai.realtime.configuration import ServerVad, default, updated
from graphs.http.openai.realtime.effects import (
    AppendAudio,
    CancelRun,
    CancelTranscription,
    ClearAudio,
    Close,
    ConfigureInput,
    Decode,
    DiscardAudio,
    Effect,
    Respond,
    StopPlayback,
    Transcribe,
    TranscribeAudio,
)
from tests.graphs.http.openai.realtime.talk import PNG, Talk, error, events, messages, only, types

IMAGE = Image(np.zeros((2, 3, 3), np.uint8))
AUDIO = Audio(np.zeros(16_000, np.float32), 16_000)
PUSH_TO_TALK: dict[str, Any] = {"input": {"turn_detection": None}}
PICTURE = {"type": "input_image", "image_url": PNG}


def of(kind: type[Effect], effects: list[Effect]) -> list[Any]:
    """Return the effects of one kind."""
    return [effect for effect in effects if isinstance(effect, kind)]


def heard(**detection: Any) -> Talk:
    """Return a talk in which turns are detected and transcripts are sent, with 10 s of audio."""
    turn_detection = {"type": "server_vad", **detection}
    talk = Talk.configured(audio={"input": {"turn_detection": turn_detection, "transcription": {}}})
    talk.append(10_000)
    return talk


def spoken_turn(talk: Talk, item_id: str, start_ms: int, transcript: str) -> list[Effect]:
    """Speak for a second; return the effects of the transcript."""
    talk.speech_started(start_ms)
    talk.speech_stopped(start_ms + 1000)
    return talk.transcribed(item_id, transcript)


def create(talk: Talk, *content: dict[str, Any], role: str = "user", **fields: Any) -> list[Effect]:
    item = {"type": "message", "role": role, "content": list(content), **fields}
    return talk.client("conversation.item.create", event_id="mine", item=item)


# Configuration


def test_a_session_begins_with_its_configuration() -> None:
    talk = Talk()
    assert talk.effects[0] == ConfigureInput(talk.session._input.wire, ServerVad())
    assert types(talk.effects) == ["session.created"]


def test_an_update_configures_the_input_only_where_it_changes() -> None:
    talk = Talk.configured()
    assert of(ConfigureInput, talk.client("session.update", session={"instructions": "Be brief."})) == []
    [configured] = of(ConfigureInput, talk.client("session.update", session={"audio": PUSH_TO_TALK}))
    assert configured.turn_detection is None


def test_a_wrong_update_is_an_error_and_changes_nothing() -> None:
    talk = Talk()
    session = {"instructions": "Be brief.", "tools": [{"type": "function", "name": "f"}]}
    refused = error(talk.client("session.update", event_id="mine", session=session))
    assert (refused["param"], refused["event_id"]) == ("session.tools", "mine")
    assert only(talk.client("session.update", session={}), "session.updated")["session"]["instructions"] == ""


@pytest.mark.parametrize("message", ["", "{", "[]", '{"type": "x"}', "[" * 5000, b"\xff"])
def test_a_message_that_is_wrong_is_an_error(message: str | bytes) -> None:
    talk = Talk.configured()
    assert error(talk.message(message))["type"] == "invalid_request_error"


def test_a_session_of_a_client_secret_is_configured_from_its_start() -> None:
    configuration = updated(default("realtime", "parley"), {"instructions": "Be brief."})
    talk = Talk(configuration=configuration)
    assert talk.sent[0]["session"]["instructions"] == "Be brief."
    assert of(AppendAudio, talk.append(100)) != []


# The input buffer


def test_audio_before_the_first_update_is_an_error() -> None:
    talk = Talk()
    refused = talk.client("input_audio_buffer.append", event_id="mine", audio="AAAA")
    assert error(refused)["code"] == "session_not_configured"
    assert error(refused)["event_id"] == "mine"


def test_wrong_base64_is_an_error() -> None:
    talk = Talk.configured()
    refused = error(talk.client("input_audio_buffer.append", event_id="mine", audio="?"))
    assert (refused["param"], refused["event_id"]) == ("audio", "mine")


@pytest.mark.parametrize("duration_ms", [0, 99])
def test_a_commit_of_nothing_is_an_error(duration_ms: int) -> None:
    talk = Talk.configured(audio=PUSH_TO_TALK)
    talk.append(duration_ms)
    refused = error(talk.client("input_audio_buffer.commit", event_id="mine"))
    assert (refused["code"], refused["event_id"]) == ("input_audio_buffer_commit_empty", "mine")


@pytest.mark.parametrize("turn_detection", [None, {"type": "server_vad"}])
def test_an_append_beyond_the_limit_is_an_error_and_is_not_buffered(turn_detection: Any) -> None:
    talk = Talk.configured(limits={"max_buffer_s": 1}, audio={"input": {"turn_detection": turn_detection}})
    assert error(talk.append(1001))["code"] == "too_large"
    assert of(AppendAudio, talk.append(1000)) != []


def test_the_buffer_of_push_to_talk_is_bounded() -> None:
    talk = Talk.configured(limits={"max_buffer_s": 1}, audio=PUSH_TO_TALK)
    talk.append(900)
    assert error(talk.append(200))["code"] == "too_large"
    talk.client("input_audio_buffer.clear")
    assert of(AppendAudio, talk.append(200)) != []


def test_silence_between_turns_does_not_fill_the_buffer() -> None:
    talk = Talk.configured(limits={"max_buffer_s": 1})
    for _ in range(5):
        assert of(AppendAudio, talk.append(900)) != []


def test_the_time_of_the_input_is_that_of_its_format() -> None:
    talk = Talk.configured(audio={"input": {"turn_detection": None, "format": {"type": "audio/pcmu"}}})
    talk.client("input_audio_buffer.append", audio=base64.b64encode(bytes(8000)).decode())
    talk.client("session.update", session={"audio": {"input": {"format": {"type": "audio/pcm"}}}})
    talk.append(500)
    [transcribe] = of(Transcribe, talk.client("input_audio_buffer.commit"))
    assert (transcribe.start_ms, transcribe.end_ms) == (0, 1500)


def test_a_commit_during_a_turn_ends_it_and_the_client_asks_for_the_response() -> None:
    talk = heard()
    talk.speech_started(9000)
    effects = talk.client("input_audio_buffer.commit")
    assert "input_audio_buffer.speech_stopped" not in types(effects)
    assert only(effects, "input_audio_buffer.committed")["item_id"] == "item_1"
    assert len(of(ConfigureInput, effects)) == 1  # the detector begins anew
    assert talk.speech_stopped(9900) == []
    assert "response.created" not in types(talk.transcribed("item_1", "Hello"))
    assert "response.created" in types(talk.client("response.create"))


def test_a_clear_forgets_the_turn_in_progress() -> None:
    talk = heard()
    talk.speech_started(9000)
    effects = talk.client("input_audio_buffer.clear")
    assert of(CancelTranscription, effects) == [CancelTranscription("item_1")]
    assert of(ClearAudio, effects) == [ClearAudio()]
    assert talk.speech_stopped(9900) == []


def test_a_change_of_the_detection_forgets_the_turn_in_progress_but_keeps_its_audio() -> None:
    talk = heard()
    talk.speech_started(9000)
    assert of(CancelTranscription, talk.client("session.update", session={"audio": PUSH_TO_TALK})) != []
    [transcribe] = of(Transcribe, talk.client("input_audio_buffer.commit"))
    assert (transcribe.start_ms, transcribe.end_ms) == (0, 10_000)


def test_audio_is_discarded_when_no_item_needs_it() -> None:
    talk = Talk.configured(audio=PUSH_TO_TALK)
    for _ in range(2):
        talk.append(1000)
        talk.client("input_audio_buffer.commit")
    assert of(DiscardAudio, talk.transcribed("item_2", "two")) == [DiscardAudio(0)]
    assert of(DiscardAudio, talk.transcribed("item_1", "one")) == [DiscardAudio(2000)]


def test_the_audio_of_an_answer_is_not_with_the_server() -> None:
    assert "response.cancel" in error(Talk.configured().client("output_audio_buffer.clear"))["message"]


# Turns that are detected


def test_recognition_begins_with_the_speech_and_has_the_sessions_options() -> None:
    transcription = {"model": "whisper-1", "language": "de", "prompt": "Parley"}
    talk = Talk.configured(audio={"input": {"transcription": transcription}})
    [transcribe] = of(Transcribe, talk.speech_started(100))
    assert transcribe == Transcribe("item_1", 100, None, TranscribeOptions("de", "Parley"), True)


def test_transcripts_are_sent_only_if_they_are_asked_for() -> None:
    talk = Talk.configured()
    [transcribe] = of(Transcribe, talk.speech_started(0))
    assert not transcribe.report
    assert talk.transcript_delta("item_1", "Hel") == []
    talk.speech_stopped(1000)
    effects = talk.transcribed("item_1", "Hello")
    assert types(effects) == ["response.created"]
    assert messages(effects) == [("user", "Hello")]


def test_words_that_come_late_are_ignored() -> None:
    talk = heard()
    spoken_turn(talk, "item_1", 0, "Hello")
    assert talk.transcript_delta("item_1", "Hello") == []
    assert talk.transcribed("item_1", "Hello") == []
    assert talk.transcription_failed("item_1", EngineUnavailable("It failed.")) == []
    assert talk.transcribed("item_9", "Hello") == []


def test_a_cough_gets_no_response_and_is_not_in_the_prompt() -> None:
    talk = heard()
    effects = spoken_turn(talk, "item_1", 0, "  ")
    assert only(effects, "conversation.item.input_audio_transcription.completed")["transcript"] == ""
    assert of(Respond, effects) == []
    assert messages(spoken_turn(talk, "item_2", 2000, "Hello")) == [("user", "Hello")]


def test_without_create_response_the_client_asks() -> None:
    talk = heard(create_response=False)
    assert of(Respond, spoken_turn(talk, "item_1", 0, "Hello")) == []
    assert messages(talk.client("response.create")) == [("user", "Hello")]


def test_a_turn_whose_words_are_not_recognized_gets_a_failed_response() -> None:
    talk = heard()
    talk.speech_started(0)
    talk.speech_stopped(1000)
    effects = talk.transcription_failed("item_1", EngineUnavailable("It failed."))
    failed = only(effects, "conversation.item.input_audio_transcription.failed")
    assert failed["error"]["code"] == "engine_unavailable"
    done = only(effects, "response.done")["response"]
    assert (done["status"], done["status_details"]["error"]["code"]) == ("failed", "engine_unavailable")


def test_a_person_who_goes_on_before_the_words_are_known_is_answered_once() -> None:
    talk = heard()
    talk.speech_started(0)
    talk.speech_stopped(1000)
    talk.speech_started(1600)
    assert "response.created" not in types(talk.transcribed("item_1", "What is the weather"))
    talk.speech_stopped(2600)
    assert messages(talk.transcribed("item_2", "in Paris?")) == [("user", "What is the weather\nin Paris?")]


def test_a_turn_is_answered_after_a_cough_during_it() -> None:
    talk = heard()
    talk.speech_started(0)
    talk.speech_stopped(1000)
    talk.speech_started(1600)
    talk.transcribed("item_1", "Hello")
    talk.speech_stopped(1900)
    assert messages(talk.transcribed("item_2", "")) == [("user", "Hello")]


def test_words_that_come_in_another_order_are_answered_when_all_are_known() -> None:
    talk = heard()
    for start_ms in (0, 2000):
        talk.speech_started(start_ms)
        talk.speech_stopped(start_ms + 1000)
    assert of(Respond, talk.transcribed("item_2", "in Paris?")) == []
    assert messages(talk.transcribed("item_1", "What is the weather")) == [("user", "What is the weather\nin Paris?")]


def test_a_cough_that_cuts_off_an_answer_before_it_begins_does_not_lose_the_question() -> None:
    talk = heard()
    spoken_turn(talk, "item_1", 0, "Hello")
    assert of(CancelRun, talk.speech_started(2000)) == [CancelRun("resp_1")]
    talk.speech_stopped(2200)
    assert messages(talk.transcribed("item_3", "")) == [("user", "Hello")]


def test_without_interrupt_response_an_answer_goes_on_and_the_turn_is_answered_after_it() -> None:
    talk = heard(interrupt_response=False)
    spoken_turn(talk, "item_1", 0, "One")
    talk.sentence("resp_1", "Two.")
    talk.audio("resp_1", "AAAA", 500)
    effects = spoken_turn(talk, "item_3", 2000, "Three")
    assert of(CancelRun, effects) == of(Respond, effects) == []
    assert messages(talk.run_done("resp_1")) == [("user", "One"), ("assistant", "Two."), ("user", "Three")]


def test_a_turn_is_answered_when_the_response_before_it_has_nothing_to_answer() -> None:
    talk = heard(interrupt_response=False)
    talk.speech_started(0)
    talk.speech_stopped(1000)
    talk.client("response.create")
    spoken_turn(talk, "item_3", 2000, "Hello")
    effects = talk.transcribed("item_1", "")
    assert types(effects)[-2:] == ["response.done", "response.created"]
    assert messages(effects) == [("user", "Hello")]


def test_speech_does_not_interrupt_responses_beside_the_conversation() -> None:
    talk = heard()
    talk.say("Hello")
    talk.client("response.create", response={"conversation": "none"})
    assert of(CancelRun, talk.speech_started(0)) == []


def test_a_turn_does_not_begin_in_audio_that_is_committed() -> None:
    talk = heard()
    spoken_turn(talk, "item_1", 0, "")
    assert only(talk.speech_started(700), "input_audio_buffer.speech_started")["audio_start_ms"] == 1000


def test_more_recordings_than_may_be_transcribed_at_a_time_fail() -> None:
    talk = Talk.configured(limits={"max_transcriptions": 1}, audio=PUSH_TO_TALK | {"input": {"transcription": {}}})
    talk.client("session.update", session={"audio": PUSH_TO_TALK})
    talk.append(1000)
    talk.client("input_audio_buffer.commit")
    talk.append(1000)
    effects = talk.client("input_audio_buffer.commit")
    assert of(Transcribe, effects) == []
    failed = only(effects, "conversation.item.input_audio_transcription.failed")
    assert (failed["item_id"], failed["error"]["code"]) == ("item_2", "overloaded")


# What the client plays


def answered_aloud() -> Talk:
    """Return a talk with an answer of 2 s in item_2."""
    talk = Talk.configured()
    talk.say("Hello")
    talk.client("response.create")
    talk.sentence("resp_1", "Hello there.")
    talk.audio("resp_1", "AAAA", 2000)
    talk.run_done("resp_1")
    return talk


def test_truncating_the_last_spoken_answer_stops_what_is_played() -> None:
    talk = answered_aloud()
    item_id = talk.sent[-1]["response"]["output"][0]["id"]
    assert of(StopPlayback, talk.client("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=9))


def test_truncating_an_earlier_answer_leaves_the_last_one_playing() -> None:
    talk = answered_aloud()
    item_id = talk.sent[-1]["response"]["output"][0]["id"]
    talk.client("response.create")
    talk.audio("resp_2", "AAAA", 2000)
    effects = talk.client("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=9)
    assert of(StopPlayback, effects) == []


@pytest.mark.parametrize(("modality", "stops"), [("audio", 1), ("text", 0)])
def test_cancelling_a_response_stops_what_is_played_if_it_has_a_voice(modality: str, stops: int) -> None:
    talk = answered_aloud()
    talk.client("response.create", response={"output_modalities": [modality]})
    assert len(of(StopPlayback, talk.client("response.cancel"))) == stops


# Items that a client creates


def test_a_picture_is_decoded_before_its_item_is_added() -> None:
    talk = Talk.configured(output_modalities=["text"])
    [decode] = create(talk, {"type": "input_text", "text": "What is this?"}, PICTURE)
    assert decode == Decode("item_1", 1, "image", b"\x89PNG\r\n\x1a\n", None, "item.content.1.image_url")
    assert talk.client("response.create") == []  # it waits
    effects = talk.media_decoded("item_1", 1, IMAGE)
    assert types(effects) == ["conversation.item.added", "conversation.item.done", "response.created"]
    [respond] = of(Respond, effects)
    assert respond.turn.messages[0].images == (IMAGE,)


def test_a_medium_that_cannot_be_decoded_is_an_error_of_its_event() -> None:
    talk = Talk.configured()
    create(talk, PICTURE, PICTURE)
    assert talk.media_failed("item_1", 0, BrokenMedia("It is damaged.", param="item.content.0.image_url")) == []
    refused = error(talk.media_decoded("item_1", 1, IMAGE))
    assert (refused["code"], refused["param"], refused["event_id"]) == (
        "broken_media",
        "item.content.0.image_url",
        "mine",
    )
    assert talk.media_decoded("item_1", 1, IMAGE) == []


def test_what_waits_for_a_picture_is_bounded() -> None:
    talk = Talk.configured(limits={"max_message_bytes": 5000})
    create(talk, PICTURE)
    for _ in range(2):
        assert talk.append(30) == []  # 1,920 characters of base64
    assert error(talk.append(30))["code"] == "rate_limited"
    assert len(of(AppendAudio, talk.media_decoded("item_1", 0, IMAGE))) == 2


def test_a_recording_in_an_item_is_decoded_and_transcribed() -> None:
    talk = Talk.configured(output_modalities=["text"])
    [decode] = create(talk, {"type": "input_audio", "audio": "AAAA"})
    assert (decode.kind, decode.data, decode.wire) == ("audio", b"\0\0\0", "audio/pcm")
    assert of(TranscribeAudio, talk.media_decoded("item_1", 0, AUDIO)) == [
        TranscribeAudio("item_1", AUDIO, TranscribeOptions())
    ]
    assert of(Respond, talk.client("response.create")) == []
    assert messages(talk.transcribed("item_1", "Hello")) == [("user", "Hello")]


def test_a_recording_with_a_transcript_needs_no_recognition() -> None:
    talk = Talk.configured(output_modalities=["text"])
    effects = create(talk, {"type": "input_audio", "audio": "AAAA", "transcript": "Hello"})
    assert types(effects) == ["conversation.item.added", "conversation.item.done"]
    assert messages(talk.client("response.create")) == [("user", "Hello")]


def test_a_recording_in_an_item_is_at_most_as_long_as_the_buffer() -> None:
    talk = Talk.configured(limits={"max_buffer_s": 1})
    audio = base64.b64encode(bytes(48_002)).decode()
    assert error(create(talk, {"type": "input_audio", "audio": audio}))["param"] == "item.content.0.audio"


def test_an_item_has_at_most_as_many_pictures_as_a_prompt() -> None:
    assert "limit is 2" in error(create(Talk.configured(), PICTURE, PICTURE, PICTURE))["message"]


@pytest.mark.parametrize("kind", ["new", "repeated"])
def test_the_input_of_a_response_has_at_most_as_many_pictures_as_a_prompt(kind: str) -> None:
    talk = Talk.configured()
    create(talk, PICTURE, PICTURE)
    talk.media_decoded("item_1", 0, IMAGE)
    talk.media_decoded("item_1", 1, IMAGE)
    new = {"type": "message", "role": "user", "content": [PICTURE, PICTURE]}
    one = new if kind == "new" else {"type": "item_reference", "id": "item_1"}
    refused = error(talk.client("response.create", response={"conversation": "none", "input": [one, one]}))
    assert refused["param"] == "response.input"
    assert "has 4 pictures; the limit is 2" in refused["message"]


def test_the_input_of_a_response_has_at_most_as_many_characters_as_a_conversation() -> None:
    talk = Talk.configured(limits={"max_chars": 100})
    talk.say("x" * 60)
    reference = {"type": "item_reference", "id": "item_1"}
    refused = error(talk.client("response.create", response={"conversation": "none", "input": [reference] * 2}))
    assert (refused["code"], refused["param"]) == ("too_large", "response.input")


def test_a_transcription_session_has_no_items_of_the_client() -> None:
    talk = Talk.configured(kind="transcription")
    assert error(create(talk, {"type": "input_text", "text": "Hello"}))["event_id"] == "mine"


# Time


@pytest.mark.parametrize("kind", ["realtime", "transcription"])
def test_a_session_ends_at_its_limit(kind: Any) -> None:
    talk = Talk.configured(kind=kind, limits={"session_s": 60, "idle_s": 1000})
    assert talk.session.next_deadline_s == 60
    talk.now_s = 59.9
    assert talk.tick() == []
    talk.now_s = 60.0
    effects = talk.tick()
    assert events(effects)[0]["error"]["code"] == "session_expired"
    assert [close.code for close in of(Close, effects)] == [1001]


def test_a_response_in_progress_fails_at_the_end_of_the_session() -> None:
    talk = Talk.configured(limits={"session_s": 60}, output_modalities=["text"])
    talk.say("Hello")
    talk.client("response.create")
    talk.text("resp_1", "Hi")
    talk.now_s = 60.0
    effects = talk.tick()
    assert of(CancelRun, effects) == [CancelRun("resp_1")]
    assert only(effects, "response.done")["response"]["status"] == "failed"
    assert isinstance(effects[-1], Close)


def test_an_idle_session_ends() -> None:
    talk = Talk.configured(limits={"idle_s": 60})
    talk.now_s = 30.0
    talk.client("input_audio_buffer.clear")
    assert talk.session.next_deadline_s == 90
    talk.now_s = 90.0
    assert events(talk.tick())[0]["error"]["code"] == "session_idle"


def test_a_session_with_a_response_is_not_idle() -> None:
    talk = Talk.configured(limits={"idle_s": 60}, output_modalities=["text"])
    talk.say("Hello")
    talk.client("response.create")
    talk.now_s = 100.0
    assert talk.tick() == []
    talk.run_done("resp_1")
    assert talk.session.next_deadline_s == 160


def test_a_closed_session_ignores_everything() -> None:
    talk = heard()
    talk.drain()
    assert of(Close, talk.effects) != []
    assert talk.say("Hello") == talk.speech_started(0) == talk.drain() == talk.tick() == []


def test_silence_is_not_broken_before_the_first_answer_or_while_somebody_speaks() -> None:
    talk = heard(idle_timeout_ms=5000)
    assert talk.session.next_deadline_s == 600
    spoken_turn(talk, "item_1", 0, "Hello")
    talk.run_done("resp_1")
    assert talk.session.next_deadline_s == 5
    talk.speech_started(2000)
    assert talk.session.next_deadline_s == 600


# The end of a replica


def test_a_session_that_drains_closes_after_its_responses() -> None:
    talk = Talk.configured(output_modalities=["text"])
    talk.say("Hello")
    talk.client("response.create")
    assert error(talk.drain())["code"] == "session_draining"
    talk.text("resp_1", "Hi")
    effects = talk.run_done("resp_1")
    assert types(effects)[-1] == "response.done"
    assert isinstance(effects[-1], Close)


def test_a_session_that_drains_closes_after_the_words_that_are_being_recognized() -> None:
    talk = heard()
    talk.speech_started(0)
    talk.speech_stopped(1000)
    assert of(Close, talk.drain()) == []
    effects = talk.transcribed("item_1", "Hello")
    assert types(effects) == ["conversation.item.input_audio_transcription.completed"]
    assert isinstance(effects[-1], Close)


def test_a_session_that_drains_closes_at_its_deadline_whatever_is_in_progress() -> None:
    talk = heard(create_response=False)
    talk.speech_started(0)
    talk.speech_stopped(1000)
    talk.client("response.create")
    talk.drain(within_s=20)
    assert talk.session.next_deadline_s == 20
    talk.now_s = 20
    effects = talk.tick()
    assert types(effects) == ["response.done"]
    assert isinstance(effects[-1], Close)


def test_a_session_that_drains_begins_no_response() -> None:
    talk = heard(interrupt_response=False)
    talk.say("Hello")
    talk.client("response.create")
    talk.drain()
    assert error(talk.client("response.create"))["code"] == "session_draining"
    assert of(Respond, spoken_turn(talk, "item_3", 0, "And this?")) == []


def test_every_event_is_json() -> None:
    talk = Talk.configured(output_modalities=["text"])
    talk.say("\u2028 \x00 é 😀")
    assert all(json.loads(json.dumps(event)) == event for event in talk.sent)
