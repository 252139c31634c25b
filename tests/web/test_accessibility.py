"""axe-core in the states of the page, in both colour schemes and at the width of a phone."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.web.browser import DESKTOP, PHONE, say, state, violations
from tests.web.conftest import Visit
from tests.web.standin import Script
from tests.web.test_talk import TRANSCRIPTION
from tests.web.test_type import PICTURE

LOOKS = [
    pytest.param({"color_scheme": scheme, "viewport": size, "reduced_motion": "reduce"}, id=f"{scheme}-{size['width']}")
    for scheme in ("light", "dark")
    for size in (DESKTOP, PHONE)
]


@pytest.mark.parametrize("look", LOOKS)
def test_a_conversation_has_no_serious_faults(visit: Visit, script: Script, look: dict[str, object]) -> None:
    script.sentences *= 4  # axe-core takes its time
    page = visit(**look)
    assert violations(page) == []
    page.get_by_role("button", name="Talk").click()
    state(page, "listening")
    page.locator("#file").set_input_files(PICTURE)
    expect(page.get_by_role("button", name="Remove picture 1")).to_be_visible()
    assert violations(page) == []
    script.sockets[-1].emit("input_audio_buffer.speech_started", item_id="item_a", audio_start_ms=0)
    script.sockets[-1].emit(f"{TRANSCRIPTION}.delta", item_id="item_a", content_index=0, delta="What is ")
    expect(page.locator(".you.partial p")).to_have_text("What is")
    assert violations(page) == []
    script.sockets[-1].emit("input_audio_buffer.speech_stopped", item_id="item_a", audio_end_ms=500)
    script.sockets[-1].emit(f"{TRANSCRIPTION}.completed", item_id="item_a", content_index=0, transcript="")
    say(page, "What is this?")
    state(page, "answering")
    assert violations(page) == []
    page.keyboard.press("Escape")
    expect(page.locator(".parley .note")).to_be_visible()
    assert violations(page) == []


@pytest.mark.parametrize("look", LOOKS)
def test_the_settings_and_a_problem_have_no_serious_faults(
    visit: Visit, script: Script, look: dict[str, object]
) -> None:
    script.needs_key = True
    page = visit(**look)
    expect(page.get_by_label("API key")).to_be_visible()
    assert violations(page) == []
    page.get_by_role("button", name="Settings").click()
    assert violations(page) == []


@pytest.mark.parametrize("width", [320, 390, 900])
def test_nothing_is_wider_than_the_page(visit: Visit, script: Script, width: int) -> None:
    page = visit(viewport={"width": width, "height": 700})
    say(page, "long" * 60)
    expect(page.locator("#times")).to_be_visible()
    script.sockets[-1].emit("input_audio_buffer.speech_stopped", item_id="item_a", audio_end_ms=500)
    expect(page.locator("[data-mark=noticed] dd")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == width
    page.get_by_role("button", name="Settings").click()
    assert page.evaluate("document.querySelector('#settings').scrollWidth <= innerWidth")
