"""A service, started as a user starts it: here with the bundled models, in `real` with those of the catalogue."""

from __future__ import annotations

import asyncio
import io
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import soundfile
import yaml

from deployments.engines.registry import entry_of, recognizer
from deployments.messages import Audio
from deployments.settings import SpeechToTextConfig
from graphs.settings import AppArgs

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "tests" / "data"
START_TIMEOUT_S = 240


@pytest.fixture(scope="package")
def base_url() -> Iterator[str]:
    """Start a service with configs/pocket.yaml and return its address."""
    with running_service("configs/pocket.yaml") as url:
        yield url


@contextmanager
def running_service(config: str) -> Iterator[str]:
    """Yield the address of a service that runs while the context is open. There is room for one at a time."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryFile("w+") as log:
        command = [sys.executable, "scripts/serve.py", config, "--port", str(port)]
        service = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)
        try:
            wait_until_ready(url, service, log)
            yield url
        finally:
            service.send_signal(signal.SIGTERM)
            service.wait(timeout=60)


def wait_until_ready(url: str, service: subprocess.Popen[bytes], log: io.TextIOBase) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if service.poll() is not None:
            break
        try:
            if httpx.get(f"{url}/health", timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.5)
    log.seek(0)
    pytest.fail(f"the service did not start:\n{log.read()[-5000:]}")


@pytest.fixture
def client(base_url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=base_url, timeout=60) as client:
        yield client


@pytest.fixture(scope="session")
def transcribe() -> Callable[[bytes], str]:
    """Return a function that transcribes a WAV file outside the service, with the engine of configs/pocket.yaml."""
    config = yaml.safe_load((ROOT / "configs" / "pocket.yaml").read_text())
    args = AppArgs.model_validate(config["applications"][0]["args"]).speech_to_text
    engine = recognizer(args)
    live = entry_of(args).live_settings(SpeechToTextConfig)

    async def joined(audio: Audio) -> str:
        return " ".join([segment.text async for segment in engine.transcribe(audio, live)])

    def read(wav: bytes) -> str:
        samples, rate_hz = soundfile.read(io.BytesIO(wav), dtype="float32")
        assert rate_hz == 16_000
        return asyncio.run(joined(Audio(samples, rate_hz))).lower()

    return read
