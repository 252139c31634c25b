"""Debian's Chromium, headless, whose microphone is a recording."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import soundfile
from playwright.sync_api import Browser, Page, Playwright, sync_playwright
from scipy.signal import resample_poly

from tests.e2e import node

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "tests" / "data"
CHROMIUM = Path("/usr/bin/chromium")
RECORDING_HZ = 48_000
PHONE = {"width": 390, "height": 780}
DESKTOP = {"width": 900, "height": 760}
INSECURE_HOST = "parley.test"  # this machine, by a name that the browser takes for another

# The browser's own messages about refused and failed requests. No page can prevent them.
NETWORK = ("Failed to load resource", "WebSocket connection to")


@contextmanager
def driver() -> Iterator[Playwright]:
    """Start Playwright; skip the test where Chromium is missing. Until it ends, asyncio.run fails in this thread."""
    if not CHROMIUM.exists():
        pytest.skip(f"needs {CHROMIUM} (Debian: apt install chromium)")
    with sync_playwright() as playwright:
        yield playwright


def record(path: Path, parts: Sequence[float | str]) -> Path:
    """Write a recording of silences, in seconds, and files of tests/data, and return its path."""
    audio = []
    for part in parts:
        if isinstance(part, str):
            samples, rate_hz = soundfile.read(DATA / part)
            audio.append(resample_poly(samples, RECORDING_HZ, rate_hz))
        else:
            audio.append(np.zeros(int(part * RECORDING_HZ)))
    soundfile.write(path, np.concatenate(audio), RECORDING_HZ, subtype="PCM_16")
    return path


def launch(playwright: Playwright, recording: Path) -> Browser:
    """Start a browser that hears ``recording`` once, and then nothing. It grants every permission."""
    return playwright.chromium.launch(
        executable_path=CHROMIUM,
        args=[
            "--use-fake-ui-for-media-stream",
            "--use-fake-device-for-media-stream",
            f"--use-file-for-fake-audio-capture={recording}%noloop",
            "--autoplay-policy=no-user-gesture-required",
            f"--host-resolver-rules=MAP {INSECURE_HOST} 127.0.0.1",
        ],
        chromium_sandbox=False,  # tests in a container run as root
    )


def watch(page: Page) -> list[str]:
    """Return a list that will have the errors and warnings of the page's console."""
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda m: errors.append(m.text) if m.type in ("error", "warning") else None)
    return errors


def state(page: Page, wanted: str, timeout_s: float = 10) -> None:
    """Wait for a state of the page."""
    page.wait_for_function("wanted => document.body.dataset.state === wanted", arg=wanted, timeout=1000 * timeout_s)


def say(page: Page, text: str = "Hello") -> None:
    """Type a message and send it."""
    page.get_by_label("Message", exact=True).fill(text)
    page.get_by_role("button", name="Send").click()


@cache
def axe() -> str:
    """Return the source of axe-core. Skip the test where npm is missing."""
    node.environment()
    return (node.HOME / "node_modules" / "axe-core" / "axe.min.js").read_text()


def violations(page: Page) -> list[str]:
    """Return what axe-core finds, serious or worse, each with the elements it is about.

    The page must be opened with reduced motion: what fades in has its contrast only at the end.
    """
    page.evaluate(axe())
    found = page.evaluate("axe.run()")["violations"]
    return [
        f"{rule['id']}: {rule['help']}: {[n['html'] for n in rule['nodes']]}"
        for rule in found
        if rule["impact"] in ("serious", "critical")
    ]
