"""Decoding of audio: every format, every kind of damaged file, and long recordings in pieces."""

from __future__ import annotations

import io
import struct
import tempfile
import tracemalloc
from contextlib import suppress

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from deployments.errors import BrokenMedia, NoSpeech, TooLarge, UnsupportedMedia
from deployments.messages import Audio
from graphs.http.media.audio import audio_pieces, decode_audio
from tests.graphs.http.media.files import AUDIO_FILES, SECONDS, TONE_HZ, encoded, tone, wav

DAMAGED = [wav(tone(16_000, 0.05)), encoded("flac", "flac", 16_000, seconds=0.1), encoded("mp3", "libmp3lame", 16_000)]


def decode(data: bytes, max_s: float = 30) -> Audio:
    return decode_audio(data, max_s=max_s)


def pitch_hz(audio: Audio) -> float:
    spectrum = np.abs(np.fft.rfft(audio.samples))
    return float(np.argmax(spectrum) * audio.rate_hz / len(audio.samples))


@pytest.mark.parametrize(("container", "codec", "rate_hz", "channels"), AUDIO_FILES)
def test_decodes_every_format_to_16_khz_mono(container: str, codec: str, rate_hz: int, channels: int) -> None:
    audio = decode(encoded(container, codec, rate_hz, channels))
    assert audio.rate_hz == 16_000
    assert audio.samples.dtype == np.float32
    assert audio.samples.ndim == 1
    assert audio.duration_s == pytest.approx(SECONDS, abs=0.15)
    assert pitch_hz(audio) == pytest.approx(TONE_HZ, abs=3)
    assert np.abs(audio.samples).max() <= 1


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 6, 8, 12])
def test_mixes_any_number_of_channels_to_mono(channels: int) -> None:
    audio = decode(wav(tone(16_000, channels=channels)))
    assert audio.duration_s == pytest.approx(SECONDS, abs=0.01)
    assert pitch_hz(audio) == pytest.approx(TONE_HZ, abs=3)


def test_clips_samples_above_full_scale() -> None:
    assert np.abs(decode(wav(tone(16_000) * 9, tag=3)).samples).max() <= 1


def test_decodes_silence() -> None:
    assert np.abs(decode(wav(np.zeros(16_000))).samples).max() == 0


def test_decodes_a_truncated_wav_up_to_its_end() -> None:
    data = wav(tone(16_000))
    assert decode(data[: len(data) // 2]).duration_s == pytest.approx(SECONDS / 2, abs=0.05)


@pytest.mark.parametrize(("container", "codec"), [("flac", "flac"), ("mp3", "libmp3lame"), ("ogg", "libopus")])
def test_decodes_a_truncated_compressed_file_up_to_its_end(container: str, codec: str) -> None:
    data = encoded(container, codec, 48_000, seconds=4)
    assert 1 < decode(data[: len(data) // 2]).duration_s < 3


def test_decodes_a_wav_whose_header_has_a_larger_size_than_its_data() -> None:
    data = bytearray(wav(tone(16_000)))
    data[40:44] = struct.pack("<I", 2**31)
    assert decode(bytes(data)).duration_s == pytest.approx(SECONDS, abs=0.01)


def test_decodes_a_wav_of_unknown_length() -> None:
    data = bytearray(wav(tone(16_000)))
    data[4:8] = data[40:44] = b"\xff" * 4
    assert decode(bytes(data)).duration_s == pytest.approx(SECONDS, abs=0.01)


@pytest.mark.parametrize("rate_hz", [0, 1, 100, 4_000_000_000])
def test_rejects_a_wav_with_an_implausible_sample_rate(rate_hz: int) -> None:
    with pytest.raises(BrokenMedia):
        decode(wav(tone(16_000), rate_hz))


def test_rejects_a_wav_without_channels() -> None:
    data = bytearray(wav(tone(16_000)))
    data[22:24] = b"\0\0"
    with pytest.raises(BrokenMedia):
        decode(bytes(data))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_rejects_a_wav_with_nan_or_infinite_samples(value: float) -> None:
    samples = tone(16_000)
    samples[800] = value
    with pytest.raises(BrokenMedia, match="NaN or infinite"):
        decode(wav(samples, tag=3))


def test_rejects_a_wav_without_samples() -> None:
    with pytest.raises(NoSpeech):
        decode(wav(np.empty(0)))


def test_rejects_a_wav_with_a_truncated_header() -> None:
    with pytest.raises((BrokenMedia, NoSpeech)):
        decode(wav(tone(16_000))[:20])


def test_stops_decoding_at_the_duration_limit() -> None:
    data = encoded("ogg", "libopus", 48_000, seconds=120)
    tracemalloc.start()
    with pytest.raises(TooLarge, match="longer than 2 s"):
        decode(data, max_s=2)
    assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("data", "hint"),
    [
        (b"This is a plain text.", "looks like text"),
        (b"", ""),
        (b"\0" * 1000, ""),
        (b"#EXTM3U\nhttp://example.com/a.wav\n", "looks like text"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 100, "looks like a picture"),
        (b"\0\0\0\x1cftypavif" + b"\0" * 100, ""),
    ],
)
def test_rejects_content_that_is_not_audio(data: bytes, hint: str) -> None:
    with pytest.raises(UnsupportedMedia, match=hint or None) as caught:
        decode(data)
    assert "FLAC" in caught.value.message
    assert caught.value.param == "audio"


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_damaged_audio_raises_only_typed_errors(data: st.DataObject) -> None:
    damaged = bytearray(data.draw(st.sampled_from(DAMAGED)))
    for _ in range(data.draw(st.integers(1, 12))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    with suppress(BrokenMedia, NoSpeech, TooLarge, UnsupportedMedia):
        assert np.isfinite(decode(bytes(damaged), max_s=5).samples).all()


# --- pieces of recordings ---------------------------------------------------------------------------------------------


def recording(samples: np.ndarray) -> io.BytesIO:
    target = io.BytesIO()
    soundfile.write(target, samples, 16_000, format="WAV", subtype="PCM_16")
    target.seek(0)
    return target


def test_the_pieces_of_a_recording_are_contiguous_and_complete() -> None:
    samples = (np.sin(np.arange(100 * 16_000) / 10) * np.linspace(0.1, 0.9, 100 * 16_000)).astype(np.float32)
    pieces = list(audio_pieces(recording(samples), max_s=1000, param="file"))
    assert np.allclose(np.concatenate([audio.samples for _, audio in pieces]), samples, atol=1e-3)
    assert all(20 <= audio.duration_s <= 30 for _, audio in pieces[:-1])
    ends = np.cumsum([audio.duration_s for _, audio in pieces])
    assert [start for start, _ in pieces] == pytest.approx([0, *ends[:-1]])


def test_cuts_a_recording_where_it_is_quiet() -> None:
    samples = np.random.default_rng(1).uniform(-0.5, 0.5, 40 * 16_000).astype(np.float32)
    samples[24 * 16_000 : 25 * 16_000] = 0
    (_, first), _ = audio_pieces(recording(samples), max_s=1000, param="file")
    assert 24 < first.duration_s < 25


def test_reads_a_spooled_file() -> None:
    data = recording(np.full(16_000, 0.1, np.float32)).getvalue()
    with tempfile.SpooledTemporaryFile(max_size=10) as file:
        file.write(data)
        ((start, audio),) = audio_pieces(file, max_s=10, param="file")  # type: ignore[arg-type]
    assert (start, audio.duration_s) == (0, 1)


def test_a_recording_above_the_limit_fails_when_the_limit_is_reached() -> None:
    pieces = audio_pieces(recording(np.zeros(70 * 16_000, np.float32)), max_s=60, param="file")
    next(pieces)
    with pytest.raises(TooLarge):
        list(pieces)
