"""Messages that are typed, with and without pictures, and the settings."""

from __future__ import annotations

import base64
import io

import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.web.browser import DATA, say, state
from tests.web.conftest import QUESTION, Visit
from tests.web.standin import SENTENCES, Script

ANSWER = "".join(SENTENCES)
PICTURE = DATA / "two_red_circles.png"


def test_a_typed_message_is_answered_by_voice(visit: Visit, script: Script) -> None:
    page = visit()
    say(page, "Who are you?")
    expect(page.locator(".you")).to_have_text("You: Who are you?")
    state(page, "answering")
    expect(page.locator(".parley")).to_have_text(f"Parley: {ANSWER}", timeout=10_000)
    (item,) = (event["item"] for event in script.events("conversation.item.create"))
    assert item["content"] == [{"type": "input_text", "text": "Who are you?"}]
    expect(page.locator("#times dd:visible")).to_have_count(2)
    expect(page.get_by_label("Message", exact=True)).to_have_value("")


def test_enter_sends_and_shift_enter_begins_a_line(visit: Visit, script: Script) -> None:
    page = visit()
    page.get_by_label("Message", exact=True).fill("one")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("two")
    page.keyboard.press("Enter")
    expect(page.locator(".you p")).to_have_text("one two")
    assert script.events("conversation.item.create")[0]["item"]["content"][0]["text"] == "one\ntwo"


def test_a_typed_message_cuts_the_answer(visit: Visit, script: Script) -> None:
    page = visit()
    say(page, "Who are you?")
    state(page, "answering")
    say(page, "Something else.")
    expect(page.locator(".parley .note")).to_have_text("Interrupted")
    expect(page.locator(".parley").nth(1)).to_have_text(f"Parley: {ANSWER}", timeout=10_000)
    assert len(script.events("conversation.item.truncate")) == 1


def test_escape_stops_an_answer_that_has_not_begun(visit: Visit, script: Script) -> None:
    script.create_s = 0.5
    page = visit()
    say(page, "Who are you?")
    state(page, "thinking")
    page.keyboard.press("Escape")
    state(page, "ready", 0.3)
    page.wait_for_timeout(1000)
    assert len(script.events("response.cancel")) == 1
    expect(page.locator(".parley")).to_have_count(0)


def test_of_messages_that_follow_each_other_at_once_the_last_is_answered(visit: Visit, script: Script) -> None:
    script.create_s = 0.5
    page = visit()
    for text in ("one", "two", "three"):
        say(page, text)
    expect(page.locator(".parley")).to_have_text(f"Parley: {ANSWER}", timeout=10_000)
    expect(page.get_by_role("alert")).to_be_hidden()
    state(page, "ready")
    said = [event["item"]["content"][0]["text"] for event in script.events("conversation.item.create")]
    assert said == ["one", "two", "three"]
    kinds = [e["type"] for e in script.received if e["type"].startswith("response.")]
    assert kinds == ["response.create", "response.cancel", "response.create"]


def test_a_refused_response_lets_the_next_message_be_answered(visit: Visit, script: Script) -> None:
    script.refuses = {"response.create": "Not now."}
    page = visit()
    say(page, "one")
    expect(page.locator("#problem-text")).to_have_text("Not now.")
    state(page, "ready")
    script.refuses.clear()
    say(page, "two")
    expect(page.locator(".parley")).to_have_text(f"Parley: {ANSWER}", timeout=10_000)


def test_text_answers_come_without_sound(visit: Visit, script: Script) -> None:
    page = visit()
    page.get_by_role("button", name="Settings").click()
    page.get_by_label("Given as").select_option("text")
    page.get_by_role("button", name="Done").click()
    say(page, "Who are you?")
    expect(page.locator(".parley")).to_have_text(f"Parley: {ANSWER}")
    assert script.session()["output_modalities"] == ["text"]
    expect(page.locator("#announcer")).to_have_text(ANSWER)  # a screen reader reads what no voice speaks


def test_a_picture_goes_with_the_message(visit: Visit, script: Script) -> None:
    page = visit()
    page.locator("#file").set_input_files(PICTURE)
    expect(page.get_by_role("button", name="Remove picture 1")).to_be_visible()
    say(page, "What is this?")
    expect(page.locator(".you img")).to_be_visible()
    (item,) = (event["item"] for event in script.events("conversation.item.create"))
    assert [part["type"] for part in item["content"]] == ["input_image", "input_text"]
    head, _, data = item["content"][0]["image_url"].partition(",")
    assert head == "data:image/jpeg;base64"
    assert Image.open(io.BytesIO(base64.b64decode(data))).size == Image.open(PICTURE).size


def test_a_large_picture_is_made_smaller(visit: Visit, script: Script) -> None:
    page = visit()
    large = io.BytesIO()
    Image.new("RGB", (3000, 1500), "navy").save(large, "PNG")
    page.locator("#file").set_input_files({"name": "large.png", "mimeType": "image/png", "buffer": large.getvalue()})
    expect(page.get_by_role("button", name="Remove picture 1")).to_be_visible()
    page.get_by_role("button", name="Send").click()
    expect(page.locator(".you img")).to_be_visible()
    expect(page.locator(".parley")).to_be_attached()
    url = script.events("conversation.item.create")[0]["item"]["content"][0]["image_url"]
    assert Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).size == (1024, 512)


def test_a_picture_can_be_pasted_and_removed(visit: Visit) -> None:
    page = visit()
    page.evaluate(
        """bytes => {
          const transfer = new DataTransfer();
          transfer.items.add(new File([Uint8Array.from(bytes)], "pasted.png", { type: "image/png" }));
          document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: transfer }));
        }""",
        list(PICTURE.read_bytes()),
    )
    page.get_by_role("button", name="Remove picture 1").click()
    expect(page.get_by_role("button", name="Remove picture 1")).to_have_count(0)


def test_the_camera_takes_a_picture(visit: Visit) -> None:
    page = visit()
    page.get_by_role("button", name="Use the camera").click()
    page.get_by_role("button", name="Take the picture").click()
    expect(page.get_by_role("button", name="Remove picture 1")).to_be_visible()
    assert page.evaluate("document.querySelector('video').srcObject") is None


def test_a_picture_goes_with_the_speech_that_follows(visit: Visit, script: Script) -> None:
    page = visit(QUESTION)
    page.locator("#file").set_input_files(PICTURE)
    expect(page.get_by_role("button", name="Remove picture 1")).to_be_visible()
    page.get_by_role("button", name="Talk").click()
    expect(page.locator(".you img")).to_be_visible(timeout=10_000)
    (item,) = (event["item"] for event in script.events("conversation.item.create"))
    assert [part["type"] for part in item["content"]] == ["input_image"]


def test_settings_are_kept_and_sent(visit: Visit, script: Script) -> None:
    page = visit()
    page.get_by_role("button", name="Settings").click()
    page.get_by_label("Voice", exact=True).fill("af_heart")
    page.get_by_label("Instructions").fill("Be brief.")
    page.get_by_label("Sensitivity").fill("0.7")
    page.get_by_label("Your turn ends").fill("800")
    page.get_by_role("button", name="Done").click()
    page.reload()
    say(page, "Hello")
    expect(page.locator(".parley")).to_contain_text(SENTENCES[0].strip())
    session = script.session()
    assert session["instructions"] == "Be brief."
    assert session["audio"]["output"]["voice"] == "af_heart"
    assert session["audio"]["input"]["turn_detection"] == {
        "type": "server_vad",
        "threshold": 0.7,
        "prefix_padding_ms": 300,
        "silence_duration_ms": 800,
        "create_response": True,
        "interrupt_response": True,
    }


@pytest.mark.parametrize("saved", ["no JSON", "null", '{"threshold": "high", "unknown": 1}'])
def test_settings_that_make_no_sense_are_the_defaults(visit: Visit, script: Script, saved: str) -> None:
    page = visit()
    page.evaluate("saved => localStorage.setItem('parley.settings', saved)", saved)
    page.reload()
    say(page, "Hello")
    state(page, "answering")
    assert script.session()["audio"]["input"]["turn_detection"]["threshold"] == 0.5


def test_everything_can_be_reached_with_the_keyboard(visit: Visit) -> None:
    page = visit()
    reached = []
    for _ in range(9):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id"))
    assert reached[:7] == ["open-settings", "scroller", "talk", "attach", "open-camera", "text", "send"]
