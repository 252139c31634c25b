"""Responses: what they answer, how they are told apart, and how they end."""

from __future__ import annotations

from typing import Any

import pytest

from deployments.errors import ContextOverflow, EngineUnavailable
from graphs.http.openai.realtime.effects import CancelRun, Effect, Respond
from graphs.pipeline.turn import Output
from tests.graphs.http.openai.realtime.talk import Talk, error, messages, only, turn, types

TEXT = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Only this."}]}


def texted(**session: Any) -> Talk:
    """Return a talk with written answers, and with one item."""
    talk = Talk.configured(output_modalities=["text"], **session)
    talk.say("Hello")
    return talk


def done(effects: list[Effect]) -> dict[str, Any]:
    response: dict[str, Any] = only(effects, "response.done")["response"]
    return response


def answered(talk: Talk, response_id: str, text: str) -> list[Effect]:
    talk.client("response.create")
    talk.text(response_id, text)
    return talk.run_done(response_id)


def test_a_turn_has_the_options_of_the_session() -> None:
    talk = Talk.configured(
        instructions="Be brief.", max_output_tokens=50, audio={"output": {"voice": "marin", "speed": 1.2}}
    )
    talk.say("Hello")
    effects = talk.client("response.create")
    asked = turn(effects)
    assert messages(effects) == [("system", "Be brief."), ("user", "Hello")]
    assert (asked.output, asked.chat.max_tokens) == (Output.VOICE, 50)
    assert (asked.voice.voice, asked.voice.speed) == ("marin", 1.2)


def test_a_response_has_options_of_its_own() -> None:
    talk = texted(instructions="Be brief.")
    response = {
        "instructions": "Be long.",
        "output_modalities": ["audio"],
        "max_output_tokens": "inf",
        "metadata": {"client_event_id": "e1"},
        "audio": {"output": {"voice": "cedar", "format": {"type": "audio/pcma"}}},
    }
    effects = talk.client("response.create", response=response)
    created = only(effects, "response.created")["response"]
    assert created["metadata"] == {"client_event_id": "e1"}
    assert created["audio"] == {"output": {"voice": "cedar", "format": {"type": "audio/pcma"}}}
    assert messages(effects)[0] == ("system", "Be long.")
    assert (turn(effects).chat.max_tokens, turn(effects).voice.voice) == (None, "cedar")
    [respond] = [effect for effect in effects if isinstance(effect, Respond)]
    assert respond.wire == "audio/pcma"


def test_empty_instructions_switch_off_those_of_the_session() -> None:
    talk = texted(instructions="Be brief.")
    assert messages(talk.client("response.create", response={"instructions": ""})) == [("user", "Hello")]


def test_the_model_is_the_sessions() -> None:
    talk = texted(model="other")
    [respond] = [effect for effect in talk.client("response.create") if isinstance(effect, Respond)]
    assert respond.model == "other"


def test_instructions_alone_can_be_answered() -> None:
    talk = Talk.configured(instructions="Greet the user.")
    assert messages(talk.client("response.create")) == [("system", "Greet the user.")]


def test_a_response_to_nothing_fails() -> None:
    effects = Talk.configured().client("response.create")
    assert types(effects) == ["response.created", "response.done"]
    assert done(effects)["status_details"]["error"]["code"] == "empty_prompt"


def test_input_replaces_the_conversation() -> None:
    talk = texted()
    assert messages(talk.client("response.create", response={"input": [TEXT]})) == [("user", "Only this.")]


def test_a_reference_to_no_item_is_an_error() -> None:
    response = {"input": [{"type": "item_reference", "id": "none"}]}
    assert error(texted().client("response.create", response=response))["param"] == "response.input.0.id"


def test_audio_in_the_input_of_a_response_is_refused() -> None:
    item = {"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": "AAAA"}]}
    assert error(texted().client("response.create", response={"input": [item]}))["param"] == "response.input"


def test_an_answer_beside_the_conversation_is_not_in_the_prompt() -> None:
    talk = texted()
    talk.client("response.create", response={"conversation": "none"})
    talk.text("resp_1", "Beside")
    talk.run_done("resp_1")
    assert messages(talk.client("response.create")) == [("user", "Hello")]


def test_responses_in_progress_are_limited() -> None:
    talk = texted()
    for _ in range(3):
        talk.client("response.create", response={"conversation": "none"})
    assert error(talk.client("response.create", event_id="mine"))["code"] == "rate_limited"


def test_a_response_answers_a_turn_that_was_waiting_for_one() -> None:
    talk = Talk.configured()
    talk.append(3000)
    talk.speech_started(0)
    talk.speech_stopped(1000)
    talk.client("response.create")
    assert messages(talk.transcribed("item_1", "Hello")) == [("user", "Hello")]
    assert types(talk.run_done("resp_1")) == ["response.done"]


def test_deleting_the_item_that_a_response_waits_for_lets_it_go_on() -> None:
    talk = texted(audio={"input": {"turn_detection": None}})
    talk.append(1000)
    talk.client("input_audio_buffer.commit")
    assert types(talk.client("response.create")) == ["response.created"]
    assert messages(talk.client("conversation.item.delete", item_id="item_2")) == [("user", "Hello")]


def test_a_response_with_instructions_does_not_need_the_words_of_the_last_audio() -> None:
    talk = Talk.configured(audio={"input": {"turn_detection": None}})
    talk.append(1000)
    talk.client("input_audio_buffer.commit")
    talk.client("response.create", response={"instructions": "Ask what the user wants."})
    assert messages(talk.transcribed("item_1", "")) == [("system", "Ask what the user wants.")]


def test_events_of_a_run_that_was_cancelled_are_ignored() -> None:
    talk = texted()
    talk.client("response.create")
    assert CancelRun("resp_1") in talk.client("response.cancel")
    assert talk.text("resp_1", "Hi") == talk.sentence("resp_1", "Hi.") == talk.audio("resp_1", "AAAA", 10.0) == []
    assert talk.run_done("resp_1") == talk.run_failed("resp_1", EngineUnavailable("It failed.")) == []


def test_a_response_that_waits_for_words_has_no_run_to_cancel() -> None:
    talk = Talk.configured(audio={"input": {"turn_detection": None}})
    talk.append(1000)
    talk.client("input_audio_buffer.commit")
    talk.client("response.create")
    assert types(talk.client("response.cancel")) == ["response.done"]
    assert not any(isinstance(effect, CancelRun) for effect in talk.effects)
    assert not any(isinstance(effect, Respond) for effect in talk.transcribed("item_1", "Hello"))


def test_a_failed_run_fails_its_response_with_the_errors_code() -> None:
    talk = texted()
    talk.client("response.create")
    talk.text("resp_1", "Hi")
    failed = done(talk.run_failed("resp_1", EngineUnavailable("It failed.")))
    assert failed["status_details"]["error"] == {
        "type": "server_error",
        "code": "engine_unavailable",
        "message": "It failed.",
    }
    assert failed["output"][0]["status"] == "incomplete"


def test_a_conversation_too_long_for_the_model_is_answered_without_its_oldest_items() -> None:
    talk = texted()
    answered(talk, "resp_1", "Hi.")
    talk.say("And now?")
    talk.client("response.create")
    effects = talk.run_failed("resp_2", ContextOverflow("Too long."))
    assert messages(effects) == [("user", "And now?")]
    assert types(effects) == []
    talk.text("resp_2", "Now.")
    talk.run_done("resp_2")
    assert messages(talk.client("response.create")) == [("user", "And now?"), ("assistant", "Now.")]


def test_a_last_message_that_is_too_long_alone_fails() -> None:
    talk = texted()
    talk.client("response.create")
    failed = done(talk.run_failed("resp_1", ContextOverflow("Too long.")))
    assert failed["status_details"]["error"]["code"] == "context_length_exceeded"


def test_truncation_can_be_disabled() -> None:
    talk = texted(truncation="disabled")
    talk.say("And now?")
    talk.client("response.create")
    assert done(talk.run_failed("resp_1", ContextOverflow("Too long.")))["status"] == "failed"


def test_an_input_too_long_for_the_model_does_not_shorten_the_conversation() -> None:
    talk = texted()
    talk.say("And now?")
    talk.client("response.create", response={"conversation": "none", "input": [TEXT, TEXT]})
    assert done(talk.run_failed("resp_1", ContextOverflow("Too long.")))["status"] == "failed"
    assert messages(talk.client("response.create")) == [("user", "Hello\nAnd now?")]


def test_a_spoken_answer_shows_no_sentence_before_its_audio() -> None:
    talk = Talk.configured()
    talk.say("Hello")
    talk.client("response.create")
    assert talk.text("resp_1", "One. Two.") == talk.sentence("resp_1", "One.") == []
    assert only(talk.audio("resp_1", "AAAA", 100), "response.output_audio_transcript.delta")["delta"] == "One."
    talk.sentence("resp_1", "Two.")
    assert done(talk.client("response.cancel"))["output"][0]["content"][0]["transcript"] == "One."


def test_sentences_without_audio_are_sent_with_the_next_audio_or_at_the_end() -> None:
    talk = Talk.configured()
    talk.say("Hello")
    talk.client("response.create")
    talk.sentence("resp_1", "One.")
    talk.sentence("resp_1", "Two.")
    assert types(talk.audio("resp_1", "AAAA", 100))[-3:] == [
        "response.output_audio_transcript.delta",
        "response.output_audio_transcript.delta",
        "response.output_audio.delta",
    ]
    talk.sentence("resp_1", "Three.")
    assert done(talk.run_done("resp_1"))["output"][0]["content"][0]["transcript"] == "One. Two. Three."


def test_an_answer_that_cannot_be_spoken_is_shown() -> None:
    talk = Talk.configured()
    talk.say("Hello")
    talk.client("response.create")
    talk.text("resp_1", "🙂")
    assert done(talk.run_done("resp_1"))["output"][0]["content"][0]["transcript"] == "🙂"


@pytest.mark.parametrize("modality", ["text", "audio"])
def test_an_empty_answer_has_no_item(modality: str) -> None:
    talk = Talk.configured(output_modalities=[modality])
    talk.say("Hello")
    talk.client("response.create")
    talk.text("resp_1", "")
    assert done(talk.run_done("resp_1"))["output"] == []
