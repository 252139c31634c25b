"""What the person hears: chunks of a voice, of any rate, to bytes of the session's output format, in short pieces."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from deployments.messages import Audio
from graphs.http.openai.realtime.codecs import Samples, WireFormat, encode
from graphs.http.openai.realtime.resampler import Resampler


@dataclass(frozen=True, slots=True)
class Piece:
    """Audio of the output format, and how long it is."""

    data: bytes
    duration_ms: float


class OutputAudio:
    """The audio of one response. A piece has at most ``piece_ms`` milliseconds.

    ``feed`` blocks for 0.1 to 0.2 ms per second of audio.
    """

    def __init__(self, wire: WireFormat, *, piece_ms: int) -> None:
        self._wire = wire
        self._piece = max(1, wire.rate_hz * piece_ms // 1000)  # samples
        self._rate_hz = wire.rate_hz
        self._resampler: Resampler | None = None

    def feed(self, audio: Audio) -> list[Piece]:
        """Return the pieces that are ready. The rate may change from one chunk to the next."""
        rest = self._switch(audio.rate_hz) if audio.rate_hz != self._rate_hz else np.zeros(0, np.float32)
        samples = self._resampler.feed(audio.samples) if self._resampler else audio.samples
        return list(self._pieces(np.concatenate([rest, samples])))

    def finish(self) -> list[Piece]:
        """Return the rest, at the end of the response."""
        return list(self._pieces(self._switch(self._wire.rate_hz)))

    def _switch(self, rate_hz: int) -> Samples:
        """Expect another rate from now on; return the rest of the audio at the earlier one."""
        rest = self._resampler.flush() if self._resampler else np.zeros(0, np.float32)
        self._rate_hz = rate_hz
        self._resampler = None if rate_hz == self._wire.rate_hz else Resampler(rate_hz, self._wire.rate_hz)
        return rest

    def _pieces(self, samples: Samples) -> Iterator[Piece]:
        for part in np.array_split(samples, -(-len(samples) // self._piece) or 1):
            if len(part):
                data = encode(part, self._wire)
                yield Piece(data, self._wire.duration_ms(len(data)))
