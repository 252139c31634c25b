"""WAV, 16-bit PCM mono: whole, or begun before its length is known."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np

from deployments.messages import Audio

UNKNOWN = 0xFFFFFFFF  # what players and FFmpeg read as "until the end of the stream"
_AFTER_RIFF = 36  # bytes between the RIFF header and the samples


def header(rate_hz: int, data_bytes: int | None = None) -> bytes:
    """The 44 bytes before the samples; without ``data_bytes``, those of a stream."""
    riff, data = (UNKNOWN, UNKNOWN) if data_bytes is None else (_AFTER_RIFF + data_bytes, data_bytes)
    chunk = struct.pack("<IHHIIHH", 16, 1, 1, rate_hz, rate_hz * 2, 2, 16)
    return b"RIFF" + struct.pack("<I", riff) + b"WAVEfmt " + chunk + b"data" + struct.pack("<I", data)


def pcm16(audio: Audio) -> bytes:
    """The samples as little-endian 16-bit integers."""
    return (np.clip(audio.samples, -1, 1) * 32767).round().astype("<i2").tobytes()


def whole(chunks: Sequence[Audio], rate_hz: int) -> bytes:
    """A complete file of chunks that all have the rate ``rate_hz``."""
    data = b"".join(map(pcm16, chunks))
    return header(rate_hz, len(data)) + data
