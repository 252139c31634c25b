"""The arithmetic of the figures and the reading of streamed answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import numpy as np
import pytest

from bench.client import BrokenAnswer, median_ratio, percentile, read_wav, resample, server_sent, spread_ms, write_wav
from deployments.messages import Audio


def test_percentiles_lie_between_neighbours() -> None:
    values = [4.0, 1.0, 3.0, 2.0]
    assert percentile(values, 0) == 1.0
    assert percentile(values, 0.5) == 2.5
    assert percentile(values, 0.95) == pytest.approx(3.85)
    assert percentile(values, 1) == 4.0
    assert percentile([7.0], 0.95) == 7.0


def test_spread_is_in_milliseconds() -> None:
    assert spread_ms([0.1, 0.2, 0.3]) == {"p50_ms": 200.0, "p95_ms": 290.0}


def test_ratio_compares_within_pairs() -> None:
    # The machine was ten times slower during the second pair; each pair still says 2.
    assert median_ratio([2.0, 20.0, 2.0], [1.0, 10.0, 1.0]) == 2.0


def sine(rate_hz: int, seconds: float = 0.5) -> Audio:
    at = np.arange(int(rate_hz * seconds)) / rate_hz
    return Audio((0.5 * np.sin(2 * np.pi * 440 * at)).astype(np.float32), rate_hz)


def test_wav_is_read_as_written_even_when_its_length_is_unknown() -> None:
    sound = sine(16_000)
    file = write_wav(sound)
    streamed = file[:4] + b"\xff\xff\xff\xff" + file[8:40] + b"\xff\xff\xff\xff" + file[44:] + b"\x00"
    for version in (file, streamed):
        read = read_wav(version)
        assert read.rate_hz == 16_000
        np.testing.assert_allclose(read.samples, sound.samples, atol=1e-4)


@pytest.mark.parametrize("file", [b"", b"RIFF", b"ID3" + bytes(60), write_wav(sine(8_000))[:40]])
def test_what_is_no_wav_is_named_so(file: bytes) -> None:
    with pytest.raises(BrokenAnswer):
        read_wav(file)


def test_resampling_keeps_the_tone() -> None:
    there = resample(sine(22_050), 16_000)
    assert there.rate_hz == 16_000
    assert there.duration_s == pytest.approx(0.5, abs=0.01)
    loudest = np.argmax(np.abs(np.fft.rfft(there.samples))) / there.duration_s
    assert loudest == pytest.approx(440, abs=4)


def test_server_sent_events_keep_their_names() -> None:
    async def lines() -> AsyncIterator[str]:
        for line in ("event: transcript", 'data: {"text": "hi"}', "", "event: text", 'data: {"text": "a: b"}', ""):
            yield line

    async def events() -> list[tuple[str, dict[str, str]]]:
        return [event async for event in server_sent(lines())]

    assert asyncio.run(events()) == [("transcript", {"text": "hi"}), ("text", {"text": "a: b"})]
