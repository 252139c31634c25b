"""The items of a conversation: their order and limits, and the truncation of what was not heard."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.messages import Image
from graphs.http.openai.realtime.conversation import Conversation, Item, Spoken, Written
from graphs.http.openai.realtime.effects import CancelRun, CancelTranscription, Effect
from tests.graphs.http.openai.realtime.talk import PNG, Talk, error, messages, only, turn, types


def create(talk: Talk, text: str, **fields: Any) -> list[Effect]:
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
    item |= {"id": fields.pop("id")} if "id" in fields else {}
    return talk.client("conversation.item.create", item=item, **fields)


def spoken(talk: Talk) -> str:
    """Speak "One two three. Four five six.", each sentence for a second; return the id of the item."""
    talk.say("Count.")
    talk.client("response.create")
    talk.sentence("resp_1", "One two three.")
    talk.audio("resp_1", "AAAA", 1000)
    talk.sentence("resp_1", "Four five six.")
    item_id: str = only(talk.audio("resp_1", "AAAA", 1000), "response.output_audio.delta")["item_id"]
    return item_id


def truncate(talk: Talk, item_id: str, audio_end_ms: int, content_index: int = 0) -> list[Effect]:
    fields = {"item_id": item_id, "content_index": content_index, "audio_end_ms": audio_end_ms}
    return talk.client("conversation.item.truncate", event_id="mine", **fields)


def transcript(talk: Talk, item_id: str) -> str:
    retrieved = only(talk.client("conversation.item.retrieve", item_id=item_id), "conversation.item.retrieved")
    text: str = retrieved["item"]["content"][0]["transcript"]
    return text


def test_items_are_inserted_after_the_one_that_is_named() -> None:
    talk = Talk.configured(output_modalities=["text"])
    create(talk, "one", id="a")
    create(talk, "three", id="c")
    assert only(create(talk, "two", previous_item_id="a"), "conversation.item.added")["previous_item_id"] == "a"
    assert only(create(talk, "zero", previous_item_id="root"), "conversation.item.added")["previous_item_id"] is None
    assert messages(talk.client("response.create")) == [("user", "zero\none\ntwo\nthree")]


def test_an_item_after_none_that_exists_is_an_error() -> None:
    refused = error(create(Talk.configured(), "one", previous_item_id="none", event_id="mine"))
    assert (refused["code"], refused["event_id"]) == ("item_create_invalid_previous_item_id", "mine")


def test_a_second_item_with_one_id_is_an_error() -> None:
    talk = Talk.configured()
    create(talk, "one", id="a")
    assert error(create(talk, "two", id="a"))["code"] == "item_create_invalid_item_id"


def test_an_item_cannot_have_the_name_of_the_beginning_as_its_id() -> None:
    assert error(create(Talk.configured(), "one", id="root"))["code"] == "item_create_invalid_item_id"


def test_an_item_cannot_have_the_id_of_one_to_come() -> None:
    talk = Talk.configured()
    talk.append(1000)
    talk.speech_started(0)
    assert error(create(talk, "one", id="item_1"))["code"] == "item_create_invalid_item_id"


def test_a_history_can_be_replayed() -> None:
    talk = Talk.configured(output_modalities=["text"])
    create(talk, "Hello")
    for part in ({"type": "output_text", "text": "Hi."}, {"type": "output_audio", "transcript": "How are you?"}):
        item = {"type": "message", "role": "assistant", "content": [part]}
        talk.client("conversation.item.create", item=item)
    item = {"type": "message", "role": "system", "content": [{"type": "input_text", "text": "Be brief."}]}
    talk.client("conversation.item.create", item=item)
    assert messages(talk.client("response.create")) == [
        ("user", "Hello"),
        ("assistant", "Hi.\nHow are you?"),
        ("system", "Be brief."),
    ]


@pytest.mark.parametrize("action", ["retrieve", "delete", "truncate"])
def test_an_item_that_does_not_exist_is_an_error(action: str) -> None:
    talk = Talk.configured()
    fields = {"content_index": 0, "audio_end_ms": 0} if action == "truncate" else {}
    refused = error(talk.client(f"conversation.item.{action}", item_id="none", event_id="mine", **fields))
    assert refused["code"] == f"item_{action}_invalid_item_id"
    assert (refused["param"], refused["event_id"]) == ("item_id", "mine")


def test_a_deleted_item_is_not_in_the_prompt() -> None:
    talk = Talk.configured(output_modalities=["text"])
    create(talk, "one", id="a")
    create(talk, "two")
    assert types(talk.client("conversation.item.delete", item_id="a")) == ["conversation.item.deleted"]
    assert messages(talk.client("response.create")) == [("user", "two")]


def test_deleting_an_answer_in_progress_cancels_it() -> None:
    talk = Talk.configured()
    item_id = spoken(talk)
    effects = talk.client("conversation.item.delete", item_id=item_id)
    assert CancelRun("resp_1") in effects
    assert types(effects)[-2:] == ["response.done", "conversation.item.deleted"]


def test_deleting_audio_stops_its_recognition() -> None:
    talk = Talk.configured(audio={"input": {"turn_detection": None}})
    talk.append(1000)
    talk.client("input_audio_buffer.commit")
    assert CancelTranscription("item_1") in talk.client("conversation.item.delete", item_id="item_1")
    assert talk.transcribed("item_1", "Hello") == []


def test_the_oldest_items_are_deleted_above_the_limit() -> None:
    talk = Talk.configured(limits={"max_items": 2}, output_modalities=["text"])
    for text in ("one", "two"):
        create(talk, text)
    assert types(create(talk, "three")) == [
        "conversation.item.added",
        "conversation.item.done",
        "conversation.item.deleted",
    ]
    assert messages(talk.client("response.create")) == [("user", "two\nthree")]


def test_the_oldest_items_are_deleted_above_the_limit_of_characters() -> None:
    talk = Talk.configured(limits={"max_chars": 10})
    create(talk, "a" * 6)
    assert only(create(talk, "b" * 6), "conversation.item.deleted")["item_id"] == "item_1"
    assert error(create(talk, "c" * 11))["code"] == "too_large"


def test_words_that_are_heard_count_in_the_limit_of_characters() -> None:
    talk = Talk.configured(limits={"max_chars": 10}, audio={"input": {"turn_detection": None}})
    create(talk, "a" * 6)
    talk.append(1000)
    talk.client("input_audio_buffer.commit")
    assert only(talk.transcribed("item_2", "b" * 6), "conversation.item.deleted")["item_id"] == "item_1"


def test_the_oldest_pictures_leave_the_prompt_above_the_limit() -> None:
    talk = Talk.configured(limits={"max_images": 2}, output_modalities=["text"])
    pictures = [Image(np.full((1, 1, 3), value, np.uint8)) for value in range(3)]
    for number, picture in enumerate(pictures, 1):
        item = {"type": "message", "role": "user", "content": [{"type": "input_image", "image_url": PNG}]}
        talk.client("conversation.item.create", item=item)
        talk.media_decoded(f"item_{number}", 0, picture)
    [message] = turn(talk.client("response.create")).messages
    assert message.images == tuple(pictures[1:])


@pytest.mark.parametrize(
    ("audio_end_ms", "heard"),
    [
        (0, ""),
        (400, "One"),
        (999, "One two"),
        (1000, "One two three."),
        (1400, "One two three. Four"),
        (1999, "One two three. Four five"),
    ],
)
def test_a_truncation_removes_what_was_not_heard(audio_end_ms: int, heard: str) -> None:
    talk = Talk.configured()
    item_id = spoken(talk)
    talk.run_done("resp_1")
    truncated = only(truncate(talk, item_id, audio_end_ms), "conversation.item.truncated")
    assert (truncated["item_id"], truncated["audio_end_ms"]) == (item_id, audio_end_ms)
    assert transcript(talk, item_id) == heard


@pytest.mark.parametrize("audio_end_ms", [2000, 9000])
def test_a_truncation_at_or_beyond_the_end_removes_nothing_and_is_no_error(audio_end_ms: int) -> None:
    talk = Talk.configured()
    item_id = spoken(talk)
    talk.run_done("resp_1")
    assert only(truncate(talk, item_id, audio_end_ms), "conversation.item.truncated")["audio_end_ms"] == 2000
    assert transcript(talk, item_id) == "One two three. Four five six."


def test_a_second_truncation_is_no_error() -> None:
    talk = Talk.configured()
    item_id = spoken(talk)
    talk.run_done("resp_1")
    truncate(talk, item_id, 1000)
    assert only(truncate(talk, item_id, 1500), "conversation.item.truncated")["audio_end_ms"] == 1000


def test_truncating_an_answer_in_progress_cancels_it() -> None:
    talk = Talk.configured()
    item_id = spoken(talk)
    effects = truncate(talk, item_id, 1000)
    assert types(effects)[-2:] == ["response.done", "conversation.item.truncated"]
    assert talk.audio("resp_1", "AAAA", 100) == []
    talk.say("Go on.")
    assert messages(talk.client("response.create"))[1] == ("assistant", "One two three.")


def test_a_written_answer_is_not_cut() -> None:
    talk = Talk.configured(output_modalities=["text"])
    talk.say("Hello")
    talk.client("response.create")
    talk.text("resp_1", "Hi there.")
    talk.run_done("resp_1")
    assert only(truncate(talk, "item_2", 10), "conversation.item.truncated")["audio_end_ms"] == 0
    assert messages(talk.client("response.create")) == [("user", "Hello"), ("assistant", "Hi there.")]


def test_only_an_answer_can_be_truncated() -> None:
    talk = Talk.configured()
    create(talk, "one", id="a")
    assert error(truncate(talk, "a", 0))["code"] == "item_truncate_invalid_item_id"


def test_content_that_does_not_exist_cannot_be_truncated() -> None:
    talk = Talk.configured()
    assert error(truncate(talk, spoken(talk), 0, content_index=1))["param"] == "content_index"


SENTENCES = st.lists(
    st.tuples(st.lists(st.text("ab,", min_size=1), min_size=1).map(" ".join), st.lists(st.integers(0, 900), max_size=3))
)


@given(sentences=SENTENCES, cuts=st.lists(st.integers(0, 3000), max_size=3))
def test_what_is_left_is_always_the_beginning(sentences: list[tuple[str, list[int]]], cuts: list[int]) -> None:
    spoken = Spoken()
    for text, audio in sentences:
        spoken.begin_sentence(text)
        for duration_ms in audio:
            spoken.add_audio(duration_ms)
    for cut_ms in cuts:
        before, before_ms = spoken.text, spoken.audio_ms
        removed = spoken.truncate(cut_ms)
        assert before.startswith(spoken.text)
        assert spoken.audio_ms == min(before_ms, cut_ms)
        assert removed == (cut_ms < before_ms)


@given(count=st.integers(1, 20), kept=st.floats(0, 1))
def test_a_prompt_is_shortened_until_only_its_last_message_is_left(count: int, kept: float) -> None:
    conversation = Conversation()
    items = [Item(str(number), "user", [Written("Hello")]) for number in range(count)]
    for item in items:
        conversation.add(item)
    for _ in range(count):
        before = sum(item.in_prompt for item in items)
        assert conversation.shorten_prompt(kept) == (before > 1)
        assert sum(item.in_prompt for item in items) < before or before == 1
    assert [item.in_prompt for item in items] == [False] * (count - 1) + [True]
