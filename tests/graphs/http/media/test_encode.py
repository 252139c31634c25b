"""Encoding of audio: every format is a complete file, independent of the chunks."""

from __future__ import annotations

import io

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployments.messages import Audio
from graphs.http.media.encode import CODECS, AudioFormat, Encoder, whole_file

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
def test_a_file_decodes_to_the_encoded_audio(audio_format: AudioFormat) -> None:
    samples, rate_hz = decode(encode(audio_format, tone(2.0), chunk=4000))
    assert rate_hz == (CODECS[audio_format].rate_hz or RATE_HZ)
    assert len(samples) / rate_hz == pytest.approx(2.0, abs=0.1)
    assert pitch_hz(samples, rate_hz) == pytest.approx(440, abs=3)
    assert np.abs(samples).max() == pytest.approx(0.4, abs=0.1)


def test_pcm_has_no_header_and_24_khz() -> None:
    samples = np.frombuffer(encode(AudioFormat.PCM, tone(1.0), chunk=1600), "<i2") / 32768
    assert len(samples) == pytest.approx(24_000, abs=100)
    assert pitch_hz(samples, 24_000) == pytest.approx(440, abs=3)


@pytest.mark.parametrize("audio_format", AudioFormat)
def test_returns_bytes_before_the_audio_is_complete(audio_format: AudioFormat) -> None:
    encoder = Encoder(audio_format)
    sent = sum(len(encoder.feed(Audio(tone(0.5), RATE_HZ))) for _ in range(8))
    assert sent > 0.5 * (sent + len(encoder.finish()))


@pytest.mark.parametrize("audio_format", AudioFormat)
def test_without_audio_an_encoder_returns_no_bytes(audio_format: AudioFormat) -> None:
    assert Encoder(audio_format).finish() == b""


@pytest.mark.parametrize("audio_format", FILES)
def test_a_whole_file_decodes_to_the_encoded_audio(audio_format: AudioFormat) -> None:
    samples, rate_hz = decode(whole_file(audio_format, [Audio(tone(0.5), RATE_HZ)] * 2))
    assert rate_hz == (CODECS[audio_format].rate_hz or RATE_HZ)
    assert len(samples) / rate_hz == pytest.approx(1.0, abs=0.1)


def test_the_header_of_a_whole_wav_has_its_length() -> None:
    data = whole_file(AudioFormat.WAV, [Audio(tone(0.5), RATE_HZ)])
    assert int.from_bytes(data[4:8], "little") == len(data) - 8
    assert int.from_bytes(data[40:44], "little") == len(data) - 44


@pytest.mark.parametrize("audio_format", FILES)
def test_a_whole_file_without_audio_is_valid(audio_format: AudioFormat) -> None:
    with av.open(io.BytesIO(whole_file(audio_format, []))) as file:
        assert file.streams.audio


@settings(max_examples=20, deadline=None)
@given(chunk=st.integers(1, 5000))
def test_the_size_of_chunks_does_not_change_the_samples(chunk: int) -> None:
    samples = tone(0.3)
    whole = encode(AudioFormat.FLAC, samples, len(samples))
    assert np.array_equal(decode(encode(AudioFormat.FLAC, samples, chunk))[0], decode(whole)[0])
