"""WAV files and resampling."""

from __future__ import annotations

import numpy as np
import pytest

from bench.audio import InvalidWav, read_wav, resample, write_wav
from deployments.messages import Audio


def sine(rate_hz: int, seconds: float = 0.5) -> Audio:
    at = np.arange(int(rate_hz * seconds)) / rate_hz
    return Audio((0.5 * np.sin(2 * np.pi * 440 * at)).astype(np.float32), rate_hz)


def test_reads_a_written_wav_also_with_unknown_length() -> None:
    sound = sine(16_000)
    file = write_wav(sound)
    streamed = file[:4] + b"\xff\xff\xff\xff" + file[8:40] + b"\xff\xff\xff\xff" + file[44:] + b"\x00"
    for version in (file, streamed):
        read = read_wav(version)
        assert read.rate_hz == 16_000
        np.testing.assert_allclose(read.samples, sound.samples, atol=1e-4)


@pytest.mark.parametrize("file", [b"", b"RIFF", b"ID3" + bytes(60), write_wav(sine(8_000))[:40]])
def test_rejects_bytes_that_are_not_a_wav(file: bytes) -> None:
    with pytest.raises(InvalidWav):
        read_wav(file)


def test_resampling_keeps_duration_and_pitch() -> None:
    resampled = resample(sine(22_050), 16_000)
    assert resampled.rate_hz == 16_000
    assert resampled.duration_s == pytest.approx(0.5, abs=0.01)
    loudest = np.argmax(np.abs(np.fft.rfft(resampled.samples))) / resampled.duration_s
    assert loudest == pytest.approx(440, abs=4)
