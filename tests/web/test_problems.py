"""What keeps the page from working is said in words that help."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.web.browser import INSECURE_HOST, say, state
from tests.web.conftest import QUESTION, Visit
from tests.web.standin import FAILURE, KEY, SENTENCES, Script, serve


def test_a_service_that_wants_a_key_is_given_one(visit: Visit, script: Script) -> None:
    script.needs_key = True
    page = visit()
    expect(page.get_by_role("alert")).to_contain_text("The service wants an API key.")
    page.get_by_label("API key").fill("a wrong key")
    page.get_by_role("button", name="Use this key").click()
    expect(page.get_by_role("alert")).to_contain_text("The service does not know this key.")
    page.get_by_label("API key").fill(KEY)
    page.get_by_role("button", name="Use this key").click()
    expect(page.get_by_role("alert")).to_be_hidden()
    say(page)
    expect(page.locator(".parley")).to_contain_text(SENTENCES[0].strip())
    assert page.evaluate("JSON.stringify(localStorage)") == "{}"  # the key outlives no tab


def test_no_key_is_asked_for_where_none_is_needed(visit: Visit) -> None:
    expect(visit().get_by_label("API key")).to_be_hidden()


def test_a_full_service_is_named_and_tried_again(visit: Visit, script: Script) -> None:
    script.full = True
    page = visit()
    page.get_by_role("button", name="Talk").click()
    expect(page.get_by_role("alert")).to_contain_text("The service is full at the moment.")
    state(page, "off")
    script.full = False
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("alert")).to_be_hidden()
    state(page, "ready")


def test_what_was_typed_stays_while_nobody_takes_it(visit: Visit, script: Script) -> None:
    script.full = True
    page = visit()
    say(page, "A long question")
    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.get_by_label("Message", exact=True)).to_have_value("A long question")


def test_a_missing_model_is_named(visit: Visit, script: Script) -> None:
    script.models = ("another",)
    expect(visit().locator("#problem-text")).to_have_text('The service has no model "parley".')


def test_a_failed_answer_says_why_in_its_place(visit: Visit, script: Script) -> None:
    script.fails = True
    page = visit()
    say(page)
    expect(page.locator(".parley .note")).to_have_text(FAILURE["message"])
    state(page, "ready")


def test_a_refused_picture_or_message_says_so_where_it_is(visit: Visit, script: Script) -> None:
    script.refuses = {"conversation.item.create": "The picture is too large."}
    page = visit()
    say(page)
    expect(page.locator(".you .note")).to_have_text("The picture is too large.")


def test_a_refused_setting_says_so(visit: Visit, script: Script) -> None:
    script.refuses = {"session.update": "There is no voice 'nobody'."}
    page = visit()
    say(page)
    expect(page.locator("#problem-text")).to_have_text("There is no voice 'nobody'.")
    page.get_by_role("button", name="Close this message").click()
    expect(page.get_by_role("alert")).to_be_hidden()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("NotAllowedError", "did not allow the microphone"),
        ("NotFoundError", "No microphone was found"),
        ("NotReadableError", "in use by another program"),
    ],
)
def test_a_missing_microphone_says_what_to_do(visit: Visit, name: str, words: str) -> None:
    page = visit()
    page.evaluate(
        "name => { navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('', name)); }", name
    )
    page.get_by_role("button", name="Talk").click()
    expect(page.get_by_role("alert")).to_contain_text(words)
    state(page, "off")
    say(page)  # typing works
    expect(page.locator(".parley")).to_contain_text(SENTENCES[0].strip())


def test_a_microphone_that_goes_away_is_missed(visit: Visit) -> None:
    page = visit()
    page.evaluate(
        """() => {
          const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
          navigator.mediaDevices.getUserMedia = async (what) => (window.opened = await open(what));
        }"""
    )
    page.get_by_role("button", name="Talk").click()
    state(page, "listening")
    page.evaluate("window.opened.getTracks()[0].dispatchEvent(new Event('ended'))")
    expect(page.get_by_role("alert")).to_contain_text("The microphone is gone")
    state(page, "ready")


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (
            "window.AudioContext = function () { throw new DOMException('no device', 'NotSupportedError'); }",
            "no device",
        ),
        (
            "AudioContext.prototype.resume = () => Promise.reject(new DOMException('', 'InvalidStateError'))",
            "InvalidStateError",
        ),
    ],
)
def test_a_browser_without_sound_says_so(visit: Visit, fault: str, words: str) -> None:
    page = visit()
    page.evaluate(f"() => {{ {fault}; }}")
    say(page, "Hello")
    expect(page.locator("#problem-text")).to_contain_text("The browser plays no sound")
    expect(page.locator("#problem-text")).to_contain_text(words)
    expect(page.get_by_label("Message", exact=True)).to_have_value("Hello")
    page.get_by_role("button", name="Talk").click()
    expect(page.get_by_role("alert")).to_contain_text(words)
    state(page, "ready")


def test_answers_that_are_to_be_spoken_from_now_on_say_where_there_is_no_sound(visit: Visit) -> None:
    page = visit()
    change(page, "text")
    say(page, "Hello")
    expect(page.locator(".parley")).to_have_text("Parley: " + "".join(SENTENCES))
    page.evaluate("() => { window.AudioContext = function () { throw new DOMException('no device'); }; }")
    change(page, "audio")
    expect(page.locator("#problem-text")).to_contain_text("The browser plays no sound: no device.")


def change(page: Page, answer: str) -> None:
    page.get_by_role("button", name="Settings").click()
    page.get_by_label("Given as").select_option(answer)
    page.get_by_role("button", name="Done").click()


def test_a_message_is_sent_though_the_sound_has_stopped_answering(visit: Visit, script: Script) -> None:
    page = visit()
    say(page, "one")
    state(page, "answering")
    page.evaluate("() => { MessagePort.prototype.postMessage = () => {}; }")
    say(page, "two")
    expect(page.locator(".you")).to_have_count(2)
    expect(page.locator(".parley .note")).to_have_text("Interrupted")


def test_a_page_without_a_secure_context_still_answers_in_text(visit: Visit, url: str) -> None:
    page = visit(at=url.replace("127.0.0.1", INSECURE_HOST))
    expect(page.get_by_role("alert")).to_contain_text("not opened over https")
    say(page)
    expect(page.locator(".parley")).to_have_text("Parley: " + "".join(SENTENCES))
    page.get_by_role("button", name="Talk").click()
    expect(page.get_by_role("alert")).to_contain_text("not opened over https")


def test_an_unreachable_service_is_tried_again(visit: Visit) -> None:
    other = Script()
    with serve(other) as url:
        page = visit(at=url)
        port = int(url.rpartition(":")[2])
    say(page)
    expect(page.get_by_role("alert")).to_contain_text("The service cannot be reached.")
    with serve(other, port):
        page.get_by_role("button", name="Try again").click()
        expect(page.get_by_role("alert")).to_be_hidden()


def test_a_session_that_the_service_ends_is_begun_again_with_the_next_press(visit: Visit, script: Script) -> None:
    page = visit()
    page.get_by_role("button", name="Talk").click()
    state(page, "listening")
    script.sockets[-1].close(1000, "nobody spoke for 10 minutes")
    expect(page.locator("#problem-text")).to_have_text("The service ended the session: nobody spoke for 10 minutes")
    state(page, "off")
    page.get_by_role("button", name="Talk").click()
    state(page, "listening")


def test_a_service_that_drops_every_session_is_tried_less_and_less_often(visit: Visit, script: Script) -> None:
    script.drops = True
    page = visit()
    page.get_by_role("button", name="Talk").click()
    page.wait_for_timeout(4500)
    assert 3 <= len(script.sockets) <= 4  # after 0.5, 1 and 2 s, and then 4 s
    script.drops = False
    expect(page.get_by_role("alert")).to_be_hidden(timeout=10_000)
    state(page, "listening")


def test_speech_that_a_lost_connection_ends_says_so(visit: Visit, script: Script) -> None:
    page = visit()
    page.get_by_role("button", name="Talk").click()
    state(page, "listening")
    script.sockets[-1].emit("input_audio_buffer.speech_started", item_id="item_a", audio_start_ms=0)
    state(page, "hearing")
    script.sockets[-1].close(1011)
    expect(page.locator(".you .note")).to_contain_text("The connection was lost")
    state(page, "listening")
    assert script.events("conversation.item.create") == []


def test_an_answer_that_a_lost_connection_ends_says_so(visit: Visit, script: Script) -> None:
    script.think_s = 5
    page = visit(QUESTION)
    say(page)
    state(page, "thinking")
    script.sockets[-1].close(1011)
    expect(page.get_by_role("alert")).to_contain_text("The connection to the service was lost.")
