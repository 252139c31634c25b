"""The page in a real browser, against the stand-in of standin.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Playwright

from tests.web import browser
from tests.web.standin import Script, serve

Visit = Callable[..., Page]

SILENCE = (1.0,)
QUESTION = (1.0, "what_is_your_name.wav")
QUESTION_AND_INTERRUPTION = (1.0, "what_is_your_name.wav", 2.5, "hello.wav")


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    with browser.driver() as playwright:
        yield playwright


@pytest.fixture(scope="module")
def browsers(playwright: Playwright, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Browser]]:
    """Return the browser that hears a recording; it is started once for a module."""
    started: dict[tuple[float | str, ...], Browser] = {}
    folder: Path = tmp_path_factory.mktemp("recordings")

    def get(parts: tuple[float | str, ...]) -> Browser:
        if parts not in started:
            recording = browser.record(folder / f"{len(started)}.wav", parts)
            started[parts] = browser.launch(playwright, recording)
        return started[parts]

    yield get
    for each in started.values():
        each.close()


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def url(script: Script) -> Iterator[str]:
    with serve(script) as url:
        yield url


@pytest.fixture
def visit(browsers: Callable[..., Browser], url: str) -> Iterator[Visit]:
    """Open the page. ``hears`` is what its microphone hears. At the end of the test its console must be empty."""
    contexts = []
    consoles: list[list[str]] = []

    def open_page(hears: tuple[float | str, ...] = SILENCE, at: str = url, **options: Any) -> Page:
        context = browsers(hears).new_context(**{"viewport": browser.DESKTOP, **options})
        contexts.append(context)
        page = context.new_page()
        consoles.append(browser.watch(page))
        page.goto(at)
        page.wait_for_function("document.body.dataset.state")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert [text for console in consoles for text in console if not text.startswith(browser.NETWORK)] == []
