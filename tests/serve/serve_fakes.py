"""The application of fakes that these tests send requests to, their test data, and functions to send and to wait."""

from __future__ import annotations

import io
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
import soundfile

DATA = Path(__file__).resolve().parents[1] / "data"
SPEECH = (DATA / "question.wav").read_bytes()
PICTURE = (DATA / "two_red_circles.png").read_bytes()

APPLICATION = "parley"
IMPORT_PATH = "tests.serve.observed:build"

USER_CONFIGS: dict[str, dict[str, Any]] = {
    "Gateway": {"max_body_bytes": 4_000_000, "max_audio_s": 60},
    "TextToSpeech": {"pause_s": 0},  # so that the duration of speech is a multiple of word_s
}

# Slow enough to disconnect before the end of an answer, with limits that a few requests reach.
FAKES: dict[str, Any] = {
    "args": {
        "speech_to_text": {
            "engine": "fake",
            "served_name": "fake-asr",
            "first_s": 0.4,
            "transcript": "it lasted {seconds} seconds",
        },
        "text_llm": {"engine": "fake", "served_name": "fake-llm", "step_s": 0.02},
        "vision_llm": {"engine": "fake", "served_name": "fake-vision", "step_s": 0.02, "vision": True},
        "text_to_speech": {"engine": "fake", "served_name": "fake-tts", "step_s": 0.02, "word_s": 0.05},
    },
    "deployments": [
        {
            "name": name,
            "num_replicas": 1,
            "max_ongoing_requests": limit,
            "max_queued_requests": -1 if name == "Gateway" else limit,
            "ray_actor_options": {"num_cpus": 0.1},
            "graceful_shutdown_timeout_s": 1,
            "health_check_period_s": 1,
            "user_config": USER_CONFIGS.get(name, {}),
        }
        for name, limit in [
            ("SpeechToText", 8),
            ("TextLLM", 8),
            ("VisionLLM", 2),
            ("TextToSpeech", 32),
            ("Gateway", 1024),
        ]
    ],
}


def with_gateway(**options: Any) -> dict[str, Any]:
    """Return the application of fakes with other options of its Gateway's deployment."""
    deployments = [d | options if d["name"] == "Gateway" else d for d in FAKES["deployments"]]
    return FAKES | {"deployments": deployments}


def replicas() -> set[str]:
    """Return the names of the actors of all live replicas."""
    import ray

    actors = ray.util.list_named_actors(all_namespaces=True)
    return {actor["name"] for actor in actors if f"{APPLICATION}#" in actor["name"]}


def wait_until(condition: Callable[[], bool], timeout_s: float) -> None:
    """Fail the test if ``condition`` does not become true in time."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, f"not within {timeout_s} s"
        time.sleep(0.05)


def wav(samples: np.ndarray, subtype: str = "PCM_16") -> bytes:
    """Return a WAV file of samples at 16 kHz."""
    target = io.BytesIO()
    soundfile.write(target, samples, 16_000, format="WAV", subtype=subtype)
    return target.getvalue()


@contextmanager
def sent(url: str, *, receive_bytes: int | None = None, **parts: Any) -> Iterator[socket.socket]:
    """Send a POST request and yield its connection, which is closed with the context.

    ``receive_bytes`` limits how much of the response is buffered unread.
    """
    address = urlsplit(url)
    request = httpx.Request("POST", url, **parts)
    head = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    with socket.socket() as connection:
        connection.settimeout(30)
        if receive_bytes:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        connection.connect((address.hostname or "", address.port or 0))
        connection.sendall(f"POST {address.path} HTTP/1.1\r\n{head}\r\n".encode() + request.read())
        yield connection
