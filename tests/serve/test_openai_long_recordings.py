"""A recording of two hours is transcribed in pieces, in bounded memory. On fakes without delay."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import av
import numpy as np
import psutil
import pytest
from openai import OpenAI

from tests.serve.serve_fakes import FAKES

MINUTES = 120
WHOLE_BYTES = MINUTES * 60 * 16_000 * 4  # of the recording as samples: 460 MB
GROWTH_BYTES = 120 * 2**20


@pytest.fixture(scope="module")
def quick(service: Callable[[dict[str, Any]], str]) -> Iterator[str]:
    """A recognizer without delay; the usual one is restored after these tests."""
    recognizer = {"engine": "fake", "served_name": "fake-asr", "transcript": "it lasted {seconds} seconds", "steps": 1}
    yield service(FAKES | {"args": FAKES["args"] | {"speech_to_text": recognizer}})
    service(FAKES)


def minute() -> bytes:
    """Return a minute of tones of half a second, each followed by a pause, as MP3."""
    seconds = np.arange(16_000) / 16_000
    tone = np.where(seconds < 0.5, 0.3 * np.sin(2 * np.pi * 300 * seconds), 0).astype(np.float32)
    sink = io.BytesIO()
    with av.open(sink, "w", format="mp3", options={"write_xing": "0", "id3v2_version": "0"}) as file:
        stream = file.add_stream("libmp3lame", rate=16_000, layout="mono", format="fltp")
        stream.bit_rate = 16_000
        frame = av.AudioFrame.from_ndarray(np.tile(tone, 60)[np.newaxis], format="fltp", layout="mono")
        frame.sample_rate = 16_000
        for part in (frame, None):
            file.mux(stream.encode(part))
    return sink.getvalue()


def resident(name: str) -> int:
    """Return the memory, in bytes, of this service's processes with ``name`` in their command line."""
    found = [process.memory_info() for process in psutil.process_iter(["cmdline"])
             if name in " ".join(process.info["cmdline"] or ()) and _is_child(process)]  # fmt: skip
    assert found
    return sum(info.rss - info.shared for info in found)


def _is_child(process: psutil.Process) -> bool:
    return any(parent.pid == psutil.Process().pid for parent in process.parents())


@contextmanager
def peak(name: str) -> Iterator[list[int]]:
    """Yield a list with the largest growth, in bytes, of the processes while the context is open."""
    before = resident(name)
    grown = [0]
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.2):
            grown[0] = max(grown[0], resident(name) - before)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield grown
    finally:
        ended.set()
        watcher.join()


def test_memory_does_not_grow_with_the_recording(quick: str) -> None:
    recording = minute()
    with OpenAI(base_url=f"{quick}/v1", api_key="none", max_retries=0, timeout=280) as api:
        transcribe = api.audio.transcriptions.create
        transcribe(model="fake-asr", file=("short.mp3", recording))  # the first request loads libraries
        with peak("Gateway") as gateway, peak("ProxyActor") as proxy, peak("SpeechToText") as recognizer:
            answer = transcribe(
                model="fake-asr", file=("long.mp3", recording * MINUTES), response_format="verbose_json"
            )
    print(f"\n{answer.duration:.0f} s in {len(answer.segments)} segments; largest growth (MiB): ", end="")
    print(", ".join(f"{name} {grown[0] / 2**20:.0f}" for name, grown in
                    (("gateway", gateway), ("proxy", proxy), ("recognizer", recognizer))))  # fmt: skip
    assert answer.duration == pytest.approx(MINUTES * 60, rel=0.01)
    assert len(answer.segments) >= MINUTES * 2
    starts = [segment.start for segment in answer.segments]
    assert starts == sorted(starts)
    assert answer.segments[-1].end == pytest.approx(answer.duration, abs=0.1)
    for grown in (gateway, proxy, recognizer):
        assert grown[0] < GROWTH_BYTES < WHOLE_BYTES / 3
