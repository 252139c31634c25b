"""WAV files and resampling, independent of the code under test."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from deployments.messages import Audio

CLIPS = Path(__file__).resolve().parent.parent / "tests" / "data"
ASR_RATE_HZ = 16_000


class InvalidWav(ValueError):
    """The bytes are not a WAV file that ``read_wav`` supports."""


def wav_header_bytes(start: bytes | bytearray) -> int:
    """Return the length of everything before the first sample; 0 if the header is incomplete."""
    at = start.find(b"data", 12)
    return at + 8 if at >= 0 and len(start) >= at + 8 else 0


def read_wav(file: bytes) -> Audio:
    """Decode a 16-bit mono WAV, also a streamed one whose header has no length. Raise ``InvalidWav``."""
    header = wav_header_bytes(file)
    fmt = file.find(b"fmt ", 12)
    if not file.startswith(b"RIFF") or not header or fmt < 0:
        raise InvalidWav(f"not a WAV file: {file[:16]!r}...")
    coding, channels, rate_hz, _, _, bits = struct.unpack_from("<HHIIHH", file, fmt + 8)
    if (coding, channels, bits) != (1, 1, 16):
        raise InvalidWav(f"WAV with coding {coding}, {channels} channels, {bits} bits; expected 16-bit mono PCM")
    return pcm16_audio(file[header : len(file) - (len(file) - header) % 2], rate_hz)


def pcm16_audio(pcm: bytes, rate_hz: int) -> Audio:
    """Decode 16-bit little-endian mono samples."""
    return Audio(np.frombuffer(pcm, "<i2").astype(np.float32) / np.float32(32768), rate_hz)


def write_wav(audio: Audio) -> bytes:
    """Encode as a 16-bit mono WAV file."""
    pcm = audio.pcm16().tobytes()
    fmt = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, audio.rate_hz, 2 * audio.rate_hz, 2, 16)
    return struct.pack("<4sI4s", b"RIFF", 36 + len(pcm), b"WAVE") + fmt + struct.pack("<4sI", b"data", len(pcm)) + pcm


def resample(audio: Audio, rate_hz: int) -> Audio:
    """Convert to another sample rate, band-limited."""
    import av  # here, as bench.gpu runs on machines without it

    if audio.rate_hz == rate_hz:
        return audio
    frame = av.AudioFrame.from_ndarray(audio.pcm16()[None], format="s16", layout="mono")
    frame.sample_rate = audio.rate_hz
    resampler = av.AudioResampler(format="flt", layout="mono", rate=rate_hz)
    parts = [part.to_ndarray()[0] for part in (*resampler.resample(frame), *resampler.resample(None))]
    return Audio(np.concatenate(parts), rate_hz)


def concatenate(chunks: Sequence[Audio]) -> Audio:
    """Join chunks of the same sample rate; without chunks the result has no samples."""
    if not chunks:
        return Audio(np.zeros(0, np.float32), ASR_RATE_HZ)
    return Audio(np.concatenate([chunk.samples for chunk in chunks]), chunks[0].rate_hz)
