"""Every format is a whole file that a reader opens again, however the sound was chunked."""

from __future__ import annotations

import io

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployments.messages import Audio
from graphs.http.media.encode import CODECS, AudioFormat, Encoder

RATE_HZ = 16_000
FILES = [f for f in AudioFormat if f is not AudioFormat.PCM]


def tone(seconds: float, rate_hz: int = RATE_HZ) -> np.ndarray:
    return (0.4 * np.sin(2 * np.pi * 440 * np.arange(int(seconds * rate_hz)) / rate_hz)).astype(np.float32)


def encode(audio_format: AudioFormat, samples: np.ndarray, chunk: int, rate_hz: int = RATE_HZ) -> bytes:
    encoder = Encoder(audio_format)
    parts = [encoder.feed(Audio(samples[i : i + chunk], rate_hz)) for i in range(0, len(samples), chunk)]
    return b"".join([*parts, encoder.finish()])


def decode(data: bytes) -> tuple[np.ndarray, int]:
    with av.open(io.BytesIO(data)) as file:
        frames = list(file.decode(audio=0))
    samples = np.concatenate([f.to_ndarray().astype(np.float64).ravel() for f in frames])
    if "flt" not in frames[0].format.name:
        samples /= 32768
    return samples, frames[0].sample_rate


def pitch_hz(samples: np.ndarray, rate_hz: int) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(spectrum.argmax() * rate_hz / len(samples))


@pytest.mark.parametrize("audio_format", FILES)
def test_what_went_in_comes_out(audio_format: AudioFormat) -> None:
    samples, rate_hz = decode(encode(audio_format, tone(2.0), chunk=4000))
    assert rate_hz == (CODECS[audio_format].rate_hz or RATE_HZ)
    assert len(samples) / rate_hz == pytest.approx(2.0, abs=0.1)
    assert pitch_hz(samples, rate_hz) == pytest.approx(440, abs=3)
    assert np.abs(samples).max() == pytest.approx(0.4, abs=0.1)


def test_pcm_is_headerless_at_24_khz() -> None:
    samples = np.frombuffer(encode(AudioFormat.PCM, tone(1.0), chunk=1600), "<i2") / 32768
    assert len(samples) == pytest.approx(24_000, abs=100)
    assert pitch_hz(samples, 24_000) == pytest.approx(440, abs=3)


@pytest.mark.parametrize("audio_format", AudioFormat)
def test_bytes_leave_before_the_sound_is_complete(audio_format: AudioFormat) -> None:
    encoder = Encoder(audio_format)
    sent = sum(len(encoder.feed(Audio(tone(0.5), RATE_HZ))) for _ in range(8))
    assert sent > 0.5 * (sent + len(encoder.finish()))


@pytest.mark.parametrize("audio_format", AudioFormat)
def test_no_sound_is_no_bytes(audio_format: AudioFormat) -> None:
    assert Encoder(audio_format).finish() == b""


@settings(max_examples=20, deadline=None)
@given(chunk=st.integers(1, 5000))
def test_chunking_makes_no_difference_to_the_samples(chunk: int) -> None:
    samples = tone(0.3)
    whole = encode(AudioFormat.FLAC, samples, len(samples))
    assert np.array_equal(decode(encode(AudioFormat.FLAC, samples, chunk))[0], decode(whole)[0])
