"""Audio files and pictures as bytes, for the tests of the Gateway."""

from __future__ import annotations

import io
import struct
from typing import Any

import av
import numpy as np
import soundfile
from PIL import Image as Pillow

SECONDS = 1.0
TONE_HZ = 440

# Container, codec, sample rate and channels of files that Parley decodes.
AUDIO_FILES = [
    ("wav", "pcm_s16le", 8_000, 1),
    ("wav", "pcm_s24le", 44_100, 2),
    ("wav", "pcm_u8", 22_050, 1),
    ("wav", "pcm_f32le", 96_000, 2),
    ("wav", "pcm_mulaw", 8_000, 1),
    ("wav", "adpcm_ms", 44_100, 2),
    ("wav", "libmp3lame", 44_100, 2),
    ("flac", "flac", 48_000, 2),
    ("mp3", "libmp3lame", 44_100, 2),
    ("ogg", "vorbis", 44_100, 1),
    ("ogg", "libopus", 48_000, 1),
    ("webm", "libopus", 48_000, 1),
    ("ipod", "aac", 44_100, 2),
    ("mp4", "aac", 32_000, 1),
    ("adts", "aac", 44_100, 2),
]
IMAGE_FORMATS = ["PNG", "JPEG", "WEBP", "GIF"]
RED = Pillow.new("RGB", (40, 30), (250, 10, 10))


def tone(rate_hz: int, seconds: float = SECONDS, channels: int = 1) -> np.ndarray:
    """Return a sine of ``TONE_HZ`` as float32 of shape (n, channels)."""
    wave = 0.5 * np.sin(2 * np.pi * TONE_HZ * np.arange(int(rate_hz * seconds)) / rate_hz)
    return np.repeat(wave[:, None], channels, axis=1).astype(np.float32)


def wav(samples: np.ndarray, rate_hz: int = 16_000, *, tag: int = 1) -> bytes:
    """Return a WAV of int16 (tag 1) or float32 (tag 3) samples of shape (n,) or (n, channels), with any rate."""
    if tag == 1:
        samples = (samples * 32767).astype("<i2")
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    width, data = samples.itemsize, samples.tobytes()
    bytes_per_s = rate_hz * channels * width % 2**32
    fmt = struct.pack("<HHIIHH", tag, channels, rate_hz, bytes_per_s, channels * width, width * 8)
    return b"RIFF%sWAVEfmt %s%sdata%s%s" % (
        struct.pack("<I", 36 + len(data)),
        struct.pack("<I", len(fmt)),
        fmt,
        struct.pack("<I", len(data)),
        data,
    )


def silence(seconds: float) -> bytes:
    """Return a WAV without sound."""
    return wav(np.zeros(int(16_000 * seconds), np.float32))


def encoded(container: str, codec: str, rate_hz: int, channels: int = 1, seconds: float = SECONDS) -> bytes:
    """Return a tone in a file of libsndfile for Vorbis, of PyAV for other codecs."""
    target = io.BytesIO()
    if codec == "vorbis":
        soundfile.write(target, tone(rate_hz, seconds, channels), rate_hz, format="OGG", subtype="VORBIS")
        return target.getvalue()
    with av.open(target, "w", format=container) as output:
        stream: Any = output.add_stream(codec, rate=rate_hz)
        layout = "mono" if channels == 1 else "stereo"
        stream.layout = layout
        samples = np.ascontiguousarray(tone(rate_hz, seconds, channels).reshape(1, -1))
        frame = av.AudioFrame.from_ndarray(samples, format="flt", layout=layout)
        frame.sample_rate = rate_hz
        resampler = av.AudioResampler(stream.format, layout, rate_hz, stream.frame_size or None)
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            output.mux(stream.encode(part))
        output.mux(stream.encode(None))
    return target.getvalue()


def picture(image: Pillow.Image, format_name: str, **options: Any) -> bytes:
    """Return ``image`` in a file of Pillow."""
    target = io.BytesIO()
    image.save(target, format_name, **options)
    return target.getvalue()


def png(width: int = 8, height: int = 6) -> bytes:
    """Return a red PNG."""
    return picture(Pillow.new("RGB", (width, height), "red"), "PNG")


def npy(array: np.ndarray, **options: Any) -> bytes:
    """Return ``array`` in a file of NumPy."""
    target = io.BytesIO()
    np.save(target, array, **options)
    return target.getvalue()
