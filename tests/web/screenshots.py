"""Write the pictures of the page in docs/: python -m tests.web.screenshots"""

from __future__ import annotations

import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.web import browser
from tests.web.conftest import SILENCE
from tests.web.standin import Script, serve
from tests.web.test_talk import TRANSCRIPTION

DOCS = browser.ROOT / "docs"
QUESTION = "How far away is the moon?"
INTERRUPTION = "And how long would it "
SENTENCES = [
    "The moon is about 384,000 kilometres away on average. ",
    "Its orbit is not quite round, so the distance changes by some 40,000 kilometres over a month. ",
    "Light takes a little over a second for the way.",
]
PICTURE_ANSWER = ["I see two red circles on a white ground. ", "The left one is a little larger."]


def interrupted(page: Page, script: Script) -> None:
    """Bring the page to an answer that was stopped."""
    script.sentences = SENTENCES
    script.transcript = QUESTION
    page.locator("#talk").click()
    browser.state(page, "answering", 20)
    expect(page.locator(".parley p")).to_contain_text("Its orbit", timeout=10_000)
    for _ in range(2):  # the level of somebody who speaks
        page.wait_for_timeout(300)
    page.get_by_role("button", name="Stop the answer").click()
    expect(page.locator(".parley .note")).to_be_visible()


def talk(page: Page, script: Script) -> None:
    """Bring the page to the middle of a conversation: a turn that was cut in on, and the words that did it."""
    interrupted(page, script)
    emit = script.sockets[-1].emit
    emit("input_audio_buffer.speech_started", item_id="item_b", audio_start_ms=0)
    emit(f"{TRANSCRIPTION}.delta", item_id="item_b", content_index=0, delta=INTERRUPTION)
    expect(page.locator(".you.partial p")).to_have_text(INTERRUPTION.strip())


def picture(page: Page, script: Script) -> None:
    script.sentences = PICTURE_ANSWER
    page.locator("#file").set_input_files(browser.DATA / "two_red_circles.png")
    expect(page.get_by_role("button", name="Remove picture 1")).to_be_visible()
    browser.say(page, "What do you see?")
    expect(page.locator(".parley p")).to_contain_text("left one", timeout=10_000)
    page.locator("#file").set_input_files(browser.DATA / "two_red_circles.png")
    expect(page.get_by_role("button", name="Remove picture 1")).to_be_visible()


def settings(page: Page, script: Script) -> None:
    page.locator("#talk").click()
    browser.state(page, "listening")
    page.get_by_role("button", name="Settings").click()


def key(page: Page, script: Script) -> None:
    expect(page.get_by_label("API key")).to_be_visible()


def full(page: Page, script: Script) -> None:
    page.locator("#talk").click()
    expect(page.get_by_role("alert")).to_contain_text("full")


def start(page: Page, script: Script) -> None:
    page.wait_for_timeout(300)


SHOTS = [
    ("start", start, "light", browser.DESKTOP),
    ("talk", talk, "light", browser.DESKTOP),
    ("talk", talk, "dark", browser.PHONE),
    ("interrupted", interrupted, "light", browser.PHONE),
    ("picture", picture, "light", browser.PHONE),
    ("picture", picture, "dark", browser.DESKTOP),
    ("settings", settings, "light", browser.PHONE),
    ("settings", settings, "dark", browser.DESKTOP),
    ("key", key, "light", browser.PHONE),
    ("full", full, "light", browser.PHONE),
]


def shoot(chromium: Browser, folder: Path) -> None:
    for name, bring, scheme, size in SHOTS:
        script = Script(needs_key=bring is key, full=bring is full)
        with serve(script) as url:
            page = chromium.new_page(color_scheme=scheme, viewport=size)
            page.goto(url)
            bring(page, script)
            page.wait_for_timeout(700)  # what fades in
            wide = "phone" if size is browser.PHONE else "desktop"
            page.screenshot(path=folder / f"page-{name}-{scheme}-{wide}.png")
            page.close()


if __name__ == "__main__":
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        recording = browser.record(Path(folder) / "speech.wav", (*SILENCE, "what_is_your_name.wav"))
        shoot(browser.launch(playwright, recording), DOCS)
