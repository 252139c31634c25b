"""The page in a real browser, with the bundled models: a recorded question, the spoken answer, an interruption."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, Playwright, expect

from tests.web import browser

TIMEOUT_MS = 60_000

# Also records what the page sends to the loudspeaker.
RECORDER = """
  const connect = AudioNode.prototype.connect;
  AudioNode.prototype.connect = function (target, ...rest) {
    if (target instanceof AudioDestinationNode) {
      const tap = target.context.createMediaStreamDestination();
      connect.call(this, tap);
      window.recorder = new MediaRecorder(tap.stream);
      window.recorder.start();
    }
    return connect.call(this, target, ...rest);
  };
"""
RECORDING = """
  () => new Promise((resolve) => {
    window.recorder.ondataavailable = async ({ data }) => resolve(new Uint8Array(await data.arrayBuffer()).toBase64());
    window.recorder.stop();
  })
"""


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    with browser.driver() as playwright:
        yield playwright


@pytest.fixture
def visit(playwright: Playwright, base_url: str, tmp_path: Path) -> Iterator[Callable[..., Page]]:
    """Open the page with a microphone that hears a recording from the moment on when it is opened."""
    chromium = []
    errors: list[list[str]] = []

    def open_page(*recording: float | str) -> Page:
        chromium.append(browser.launch(playwright, browser.record(tmp_path / "microphone.wav", recording)))
        page = chromium[0].new_page()
        errors.append(browser.watch(page))
        page.add_init_script(RECORDER)
        page.goto(base_url)
        return page

    yield open_page
    chromium[0].close()
    assert [text for console in errors for text in console] == []


def words(base_url: str, audio: bytes) -> str:
    """Return what the recognizer hears in a WebM file."""
    files = {"file": ("answer.webm", audio)}
    answer = httpx.post(f"{base_url}/v1/audio/transcriptions", files=files, data={"model": "parley"}, timeout=60)
    return str(answer.json()["text"]).lower()


def test_a_spoken_question_is_shown_and_answered_by_voice(visit: Callable[..., Page], base_url: str) -> None:
    page = visit(1.0, "question.wav")
    page.get_by_role("button", name="Talk").click()
    expect(page.locator(".you:not(.partial)")).to_contain_text(
        "capital of France", timeout=TIMEOUT_MS, ignore_case=True
    )
    expect(page.locator("[data-mark=sound] dd")).to_contain_text("s", timeout=TIMEOUT_MS)
    browser.state(page, "listening", TIMEOUT_MS / 1000)
    answer = page.locator(".parley p").inner_text().lower()
    assert "paris" in answer
    assert "paris" in words(base_url, base64.b64decode(page.evaluate(RECORDING)))


def test_speech_cuts_an_answer_and_is_answered(visit: Callable[..., Page]) -> None:
    page = visit(0.5, "question.wav")
    browser.say(page, "Tell me a story about a fox.")
    browser.state(page, "answering", TIMEOUT_MS / 1000)
    page.get_by_role("button", name="Talk").click()  # the recording begins
    expect(page.locator(".parley .note")).to_have_text("Interrupted", timeout=TIMEOUT_MS)
    expect(page.locator(".you").nth(1)).to_contain_text("capital of France", timeout=TIMEOUT_MS, ignore_case=True)
    expect(page.locator(".parley").nth(1)).to_contain_text("Paris", timeout=TIMEOUT_MS)
