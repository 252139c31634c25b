"""Speech in, a voice out, and the ways to cut in."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.web.browser import state
from tests.web.conftest import QUESTION, QUESTION_AND_INTERRUPTION, Visit
from tests.web.standin import SENTENCE_MS, SENTENCES, TRANSCRIPT, Script

TRANSCRIPTION = "conversation.item.input_audio_transcription"
ANSWER = "".join(SENTENCES)


def save(page: Page, **settings: object) -> None:
    """Give the page settings, as if they had been made at an earlier visit."""
    page.evaluate("saved => localStorage.setItem('parley.settings', JSON.stringify(saved))", settings)
    page.reload()
    page.wait_for_function("document.body.dataset.state")


def test_the_page_hears_a_question_and_speaks_the_answer(visit: Visit, script: Script) -> None:
    page = visit(QUESTION)
    page.get_by_role("button", name="Talk").click()
    expect(page.locator(".you")).to_contain_text(TRANSCRIPT, timeout=10_000)
    expect(page.locator(".parley")).to_have_text(f"Parley: {ANSWER}", timeout=10_000)
    state(page, "listening")
    assert script.events("response.cancel") == script.events("conversation.item.truncate") == []


def test_the_words_of_a_question_appear_in_grey_until_it_is_over(visit: Visit, script: Script) -> None:
    page = visit()
    page.get_by_role("button", name="Talk").click()
    state(page, "listening")
    script.sockets[-1].emit("input_audio_buffer.speech_started", item_id="item_a", audio_start_ms=0)
    state(page, "hearing")
    script.sockets[-1].emit(f"{TRANSCRIPTION}.delta", item_id="item_a", content_index=0, delta="What is ")
    expect(page.locator(".you.partial p")).to_have_text("What is")
    script.sockets[-1].emit(f"{TRANSCRIPTION}.delta", item_id="item_a", content_index=0, delta="your ")
    expect(page.locator(".you.partial p")).to_have_text("What is your")
    script.sockets[-1].emit(f"{TRANSCRIPTION}.completed", item_id="item_a", content_index=0, transcript=TRANSCRIPT)
    expect(page.locator(".you:not(.partial) p")).to_have_text(TRANSCRIPT)


def test_a_sentence_appears_when_its_voice_begins(visit: Visit) -> None:
    page = visit(QUESTION)
    page.get_by_role("button", name="Talk").click()
    expect(page.locator(".parley")).to_have_text(f"Parley: {SENTENCES[0]}", timeout=10_000)
    # The stand-in is a second ahead: it has sent the second sentence before the first has been heard.
    state(page, "answering")
    expect(page.locator(".parley")).to_have_text(f"Parley: {SENTENCES[0]}{SENTENCES[1]}")
    expect(page.locator(".parley")).to_have_text(f"Parley: {ANSWER}")


def test_what_the_voice_cannot_read_is_told(visit: Visit, script: Script) -> None:
    script.unread = "Привет"
    page = visit(QUESTION)
    page.get_by_role("button", name="Talk").click()
    expect(page.locator(".parley .note")).to_have_text("Not read aloud: Привет", timeout=10_000)


def test_a_screen_reader_is_told_the_words_and_the_states_apart(visit: Visit, script: Script) -> None:
    script.think_s = 1
    page = visit(QUESTION)
    page.get_by_role("button", name="Talk").click()
    state(page, "thinking")
    expect(page.locator("#announcer")).to_have_text(f"You said: {TRANSCRIPT}")
    expect(page.get_by_role("status").filter(has_text="Thinking")).to_be_visible()
    state(page, "answering")
    expect(page.locator("#announcer")).to_have_text(f"You said: {TRANSCRIPT}")


def test_a_cough_leaves_nothing(visit: Visit, script: Script) -> None:
    script.transcript = ""
    page = visit(QUESTION)
    page.get_by_role("button", name="Talk").click()
    expect(page.locator(".you.partial")).to_be_attached(timeout=10_000)
    expect(page.locator(".you")).to_have_count(0)
    state(page, "listening")


def test_speech_cuts_the_answer_and_the_service_learns_what_was_heard(visit: Visit, script: Script) -> None:
    page = visit(QUESTION_AND_INTERRUPTION)
    page.get_by_role("button", name="Talk").click()
    expect(page.locator(".parley .note")).to_have_text("Interrupted", timeout=15_000)
    expect(page.locator(".you")).to_have_count(2)
    (cut,) = script.events("conversation.item.truncate")
    assert 0 < cut["audio_end_ms"] < SENTENCE_MS * len(SENTENCES)
    assert len(script.events("conversation.item.retrieve")) == 1
    # The text is what the service keeps of the answer: the stand-in cuts a sentence after its first word.
    kept = "".join(SENTENCES[: cut["audio_end_ms"] // SENTENCE_MS])
    expect(page.locator(".parley p").first).to_contain_text(kept)
    expect(page.locator(".parley p").first).not_to_have_text(ANSWER)
    assert script.events("response.cancel") == []  # the service does that itself


@pytest.mark.parametrize("way", ["key", "button"])
def test_a_key_or_a_button_stops_the_answer(visit: Visit, script: Script, way: str) -> None:
    page = visit(QUESTION)
    page.get_by_role("button", name="Talk").click()
    state(page, "answering")
    page.wait_for_timeout(300)
    page.keyboard.press("Escape") if way == "key" else page.get_by_role("button", name="Stop the answer").click()
    expect(page.locator(".parley .note")).to_have_text("Interrupted")
    state(page, "listening")
    assert len(script.events("response.cancel")) == 1
    (cut,) = script.events("conversation.item.truncate")
    assert 0 < cut["audio_end_ms"] < 2 * SENTENCE_MS


def test_escape_stops_the_answer_to_a_question_whose_words_are_not_known_yet(visit: Visit, script: Script) -> None:
    script.think_s = 2
    page = visit(QUESTION)
    page.get_by_role("button", name="Talk").click()
    state(page, "thinking")
    page.keyboard.press("Escape")
    state(page, "listening", 0.5)
    expect(page.locator(".you:not(.partial) p")).to_have_text(TRANSCRIPT)
    page.wait_for_timeout(500)
    assert len(script.events("response.cancel")) == 1
    state(page, "listening", 0.5)
    expect(page.locator(".parley")).to_have_count(0)


def test_speech_after_a_stopped_answer_is_answered(visit: Visit, script: Script) -> None:
    page = visit()
    page.get_by_role("button", name="Talk").click()
    state(page, "listening")
    emit = script.sockets[-1].emit
    for item in ("item_a", "item_b"):
        emit("input_audio_buffer.speech_started", item_id=item, audio_start_ms=0)
        state(page, "hearing")
        emit("input_audio_buffer.speech_stopped", item_id=item, audio_end_ms=1000)
        state(page, "thinking")
        if item == "item_a":
            page.keyboard.press("Escape")
            state(page, "listening")
    emit("response.created", response={"id": "resp_a", "status": "in_progress", "output": []})
    page.wait_for_timeout(200)
    assert script.events("response.cancel") == []


def test_a_setting_that_is_changed_while_one_speaks_forgets_the_turn(visit: Visit, script: Script) -> None:
    page = visit()
    page.get_by_role("button", name="Talk").click()
    state(page, "listening")
    script.sockets[-1].emit("input_audio_buffer.speech_started", item_id="item_a", audio_start_ms=0)
    state(page, "hearing")
    page.get_by_role("button", name="Settings").click()
    page.get_by_label("Voice", exact=True).fill("af_heart")
    page.get_by_role("button", name="Done").click()
    page.wait_for_timeout(200)
    state(page, "hearing", 0.5)  # the voice has nothing to do with the turn
    page.get_by_role("button", name="Settings").click()
    page.get_by_label("Your turn ends").fill("800")
    page.get_by_role("button", name="Done").click()
    state(page, "listening")
    expect(page.locator(".you")).to_have_count(0)


def test_the_times_of_a_turn_are_shown(visit: Visit) -> None:
    page = visit(QUESTION)
    page.get_by_role("button", name="Talk").click()
    expect(page.locator("[data-mark=sound] dd")).to_contain_text("s", timeout=10_000)
    shown = dict(
        zip(page.locator("#times dt").all_inner_texts(), page.locator("#times dd").all_inner_texts(), strict=True)
    )
    assert list(shown) == ["End of speech", "Transcript", "First word", "First sound"]
    times = [float(text.removesuffix(" s")) for text in shown.values()]
    assert times == sorted(times)
    assert times[0] >= 0.3  # the service waits for 500 ms of silence before it takes the turn for over


def test_the_microphone_is_closed_with_the_same_button(visit: Visit, script: Script) -> None:
    page = visit()
    page.get_by_role("button", name="Talk").click()
    state(page, "listening")
    page.get_by_role("button", name="Stop listening").click()
    state(page, "ready")
    sent = len(script.received)
    page.wait_for_timeout(200)
    assert len(script.received) == sent


def test_a_turn_is_answered_whose_last_silence_the_closed_microphone_did_not_hear(visit: Visit) -> None:
    page = visit(QUESTION)
    page.get_by_role("button", name="Talk").click()
    state(page, "hearing")
    page.get_by_role("button", name="Stop listening").click()
    expect(page.locator(".parley")).to_contain_text(SENTENCES[0].strip())


def test_the_microphone_is_asked_for_echo_cancellation_which_is_reported(visit: Visit) -> None:
    page = visit()
    page.get_by_role("button", name="Talk").click()
    state(page, "listening")
    page.get_by_role("button", name="Settings").click()
    expect(page.locator("#fact-echo")).to_have_text("on")


def test_push_to_talk_sends_what_is_said_while_the_button_is_held(visit: Visit, script: Script) -> None:
    page = visit((0.2, "what_is_your_name.wav"))
    save(page, pushToTalk=True)
    button = page.get_by_role("button", name="Hold to talk")
    button.hover()
    page.mouse.down()
    state(page, "hearing")
    page.wait_for_timeout(600)
    assert script.session()["audio"]["input"]["turn_detection"] is None
    assert script.events("input_audio_buffer.commit") == []
    page.mouse.up()
    expect(page.locator(".parley")).to_have_text(f"Parley: {ANSWER}", timeout=10_000)
    assert len(script.events("input_audio_buffer.commit")) == len(script.events("response.create")) == 1
    sent = len(script.events("input_audio_buffer.append"))
    page.wait_for_timeout(200)
    assert len(script.events("input_audio_buffer.append")) == sent


def test_push_to_talk_works_with_the_space_bar_and_ignores_a_slip(visit: Visit, script: Script) -> None:
    page = visit((0.2, "what_is_your_name.wav"))
    save(page, pushToTalk=True)
    page.locator("#talk").focus()
    page.keyboard.down("Space")
    state(page, "hearing")
    page.wait_for_timeout(600)
    page.keyboard.up("Space")
    expect(page.locator(".you")).to_contain_text(TRANSCRIPT)
    page.evaluate(
        """async () => {
          const key = (type) => document.activeElement.dispatchEvent(new KeyboardEvent(type, { key: " " }));
          key("keydown");
          for (let step = 0; step < 20; step++) await null; // no block of audio comes in between
          key("keyup");
        }"""
    )
    page.wait_for_timeout(200)
    assert len(script.events("input_audio_buffer.commit")) == 1
    assert len(script.events("input_audio_buffer.clear")) == 3  # two presses, and the slip


def test_push_to_talk_answers_a_turn_that_follows_another_at_once(visit: Visit, script: Script) -> None:
    script.create_s = 0.8
    page = visit((0.2, "what_is_your_name.wav"))
    save(page, pushToTalk=True)
    page.locator("#talk").focus()
    for _ in range(2):
        page.keyboard.down("Space")
        state(page, "hearing")
        page.wait_for_timeout(400)
        page.keyboard.up("Space")
        state(page, "thinking")
    expect(page.locator(".parley")).to_have_text(f"Parley: {ANSWER}", timeout=10_000)
    expect(page.get_by_role("alert")).to_be_hidden()
    assert len(script.events("input_audio_buffer.commit")) == len(script.events("response.create")) == 2


def test_a_microphone_that_goes_away_while_the_button_is_held_ends_the_turn(visit: Visit) -> None:
    page = visit()
    save(page, pushToTalk=True)
    page.evaluate(
        """() => {
          const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
          navigator.mediaDevices.getUserMedia = async (what) => (window.opened = await open(what));
        }"""
    )
    page.get_by_role("button", name="Hold to talk").hover()
    page.mouse.down()
    state(page, "hearing")
    page.evaluate("window.opened.getTracks()[0].dispatchEvent(new Event('ended'))")
    state(page, "ready")


def test_half_duplex_hears_nothing_while_an_answer_is_spoken(visit: Visit, script: Script) -> None:
    page = visit(QUESTION_AND_INTERRUPTION)
    save(page, halfDuplex=True)
    page.get_by_role("button", name="Talk").click()
    expect(page.locator(".parley").first).to_have_text(f"Parley: {ANSWER}", timeout=15_000)
    assert script.events("conversation.item.truncate") == []


def test_a_lost_connection_comes_back_with_the_conversation(visit: Visit, script: Script) -> None:
    page = visit(QUESTION)
    page.get_by_role("button", name="Talk").click()
    expect(page.locator(".parley")).to_have_text(f"Parley: {ANSWER}", timeout=15_000)
    state(page, "listening")
    script.received.clear()
    script.sockets[-1].close(1012)
    expect(page.get_by_role("alert")).to_contain_text("Reconnecting")
    expect(page.get_by_role("alert")).to_be_hidden(timeout=10_000)
    state(page, "listening")
    told = [(e["item"]["role"], e["item"]["content"][0]["text"]) for e in script.events("conversation.item.create")]
    assert told == [("user", TRANSCRIPT), ("assistant", ANSWER)]


def test_a_new_connection_is_told_the_answer_that_is_still_playing(visit: Visit, script: Script) -> None:
    page = visit(QUESTION)
    page.get_by_role("button", name="Talk").click()
    state(page, "answering")
    script.received.clear()
    script.sockets[-1].close(1012)
    expect(page.get_by_role("alert")).to_contain_text("Reconnecting")
    expect(page.get_by_role("alert")).to_be_hidden(timeout=10_000)
    expect(page.locator(".parley p")).to_contain_text(SENTENCES[0].strip())
    state(page, "listening")
    told = [(e["item"]["role"], e["item"]["content"][0]["text"]) for e in script.events("conversation.item.create")]
    assert told[0] == ("user", TRANSCRIPT)
    assert told[1][0] == "assistant"
    assert told[1][1].startswith(SENTENCES[0])
