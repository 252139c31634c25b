"""The audio formats of the Realtime API: bytes to samples and back. Pure; all functions are stateless.

Linear samples are float32 of shape (n,), within -1..1. mu-law (``audio/pcmu``) and A-law (``audio/pcma``) are those of
ITU-T Recommendation G.711 (11/88): 8 bits per sample, at 8 kHz.
"""

from __future__ import annotations

from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

FULL_SCALE = 32768.0


class WireFormat(StrEnum):
    """The formats, named as in a session object."""

    PCM = "audio/pcm"
    PCMU = "audio/pcmu"
    PCMA = "audio/pcma"

    @property
    def rate_hz(self) -> int:
        return 24_000 if self is WireFormat.PCM else 8_000

    @property
    def sample_bytes(self) -> int:
        return 2 if self is WireFormat.PCM else 1

    def duration_ms(self, size_bytes: int) -> float:
        """Return how long ``size_bytes`` of audio last."""
        return size_bytes * 1000 / (self.rate_hz * self.sample_bytes)


def decode(data: bytes, wire: WireFormat) -> Samples:
    """Return the samples of ``data``. PCM is 16-bit little-endian; an odd byte at its end raises ``ValueError``."""
    if wire is WireFormat.PCM:
        return np.frombuffer(data, "<i2").astype(np.float32) / np.float32(FULL_SCALE)
    return _DECODED[wire][np.frombuffer(data, np.uint8)]


def encode(samples: Samples, wire: WireFormat) -> bytes:
    """Return the bytes of ``samples``, which are clipped to -1..1 and rounded to the nearest value of the format."""
    linear: NDArray[np.int16] = np.clip(np.rint(samples * np.float32(FULL_SCALE)), -FULL_SCALE, FULL_SCALE - 1).astype(
        "<i2"
    )
    if wire is WireFormat.PCM:
        return linear.tobytes()
    return bytes(_ENCODED[wire][linear.view(np.uint16)])


def _mu_law_values() -> NDArray[np.int32]:
    """Return the 16-bit value of each byte: 14 bits of G.711 table 2a, times 4. All bits are sent inverted."""
    code = np.arange(256) ^ 0xFF
    exponent, mantissa = code >> 4 & 7, code & 15
    magnitude = ((2 * mantissa + 33) << exponent) - 33
    return np.where(code & 0x80, -magnitude, magnitude).astype(np.int32) * 4


def _a_law_values() -> NDArray[np.int32]:
    """Return the 16-bit value of each byte: 13 bits of G.711 table 1a, times 8. Even bits are sent inverted."""
    code = np.arange(256) ^ 0x55
    exponent, mantissa = code >> 4 & 7, code & 15
    magnitude = np.where(exponent == 0, 2 * mantissa + 1, (2 * mantissa + 33) << np.maximum(exponent - 1, 0))
    return np.where(code & 0x80, magnitude, -magnitude).astype(np.int32) * 8


def _nearest(values: NDArray[np.int32]) -> NDArray[np.uint8]:
    """Return the byte with the nearest value for each 16-bit integer, indexed by the integer as unsigned.

    Halfway, the higher one: so mu-law, which has two zeros, encodes silence as 0xFF.
    """
    order = np.argsort(values, kind="stable")
    ascending = values[order]
    linear = np.arange(1 << 16, dtype=np.uint16).view(np.int16).astype(np.int32)
    return order[np.searchsorted((ascending[1:] + ascending[:-1]) / 2, linear, side="right")].astype(np.uint8)


_VALUES = {WireFormat.PCMU: _mu_law_values(), WireFormat.PCMA: _a_law_values()}
_DECODED = {wire: (values / FULL_SCALE).astype(np.float32) for wire, values in _VALUES.items()}
_ENCODED = {wire: _nearest(values) for wire, values in _VALUES.items()}
