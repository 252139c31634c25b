"""What the person says: bytes of the session's input format to mono float32 at 16 kHz, in a bounded buffer.

Times are milliseconds of audio since the first sample of the session; they go on when audio is discarded or cleared or
the format changes.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from deployments.errors import TooLarge
from deployments.messages import Audio
from graphs.http.openai.realtime.codecs import Samples, WireFormat, decode
from graphs.http.openai.realtime.resampler import Resampler

RATE_HZ = 16_000
BLOCK = RATE_HZ  # samples: the unit in which memory is taken and given back


class InputAudio:
    """The input of one session. At most ``max_buffer_s`` seconds are held.

    ``append`` blocks for 0.1 ms per second of audio.
    """

    def __init__(self, wire: WireFormat, *, max_buffer_s: float) -> None:
        self._max_samples = round(max_buffer_s * RATE_HZ)
        self._max_buffer_s = max_buffer_s
        self._blocks: deque[Samples] = deque()
        self._first = 0  # the position of the first block's first sample
        self._start = 0  # audio before it is discarded
        self._end = 0
        self.configure(wire)

    @property
    def start_ms(self) -> int:
        """The time of the first sample that is held."""
        return -(-self._start * 1000 // RATE_HZ)

    @property
    def end_ms(self) -> int:
        """The time up to which audio was appended; the last 2 ms are still in the resampler."""
        return self._end * 1000 // RATE_HZ

    def configure(self, wire: WireFormat) -> None:
        """Set the format of what is appended from now on."""
        self._wire = wire
        self._odd = b""
        self._resampler = Resampler(wire.rate_hz, RATE_HZ)

    def append(self, data: bytes) -> Samples:
        """Add audio; return it at 16 kHz. An incomplete sample at the end is kept for the next append.

        Raise ``TooLarge`` if more audio would be held than the limit; then nothing of ``data`` is added.
        """
        seconds = self._wire.duration_ms(len(data)) / 1000
        if self._end - self._start + seconds * RATE_HZ > self._max_samples:
            raise TooLarge(
                f"the input audio buffer would hold more than {self._max_buffer_s:g} s; commit or clear it first",
                param="audio",
            )
        data = self._odd + data
        whole = len(data) - len(data) % self._wire.sample_bytes
        self._odd = data[whole:]
        samples = self._resampler.feed(decode(data[:whole], self._wire))
        self._store(samples)
        return samples

    def slice(self, start_ms: int, end_ms: int | None = None) -> Audio:
        """Return a copy of the audio between two times, at 16 kHz; of what was discarded or not yet appended, nothing.

        ``end_ms`` None is the end of the buffer.
        """
        end = self._end if end_ms is None else min(self._end, end_ms * RATE_HZ // 1000)
        start = min(max(self._start, start_ms * RATE_HZ // 1000), end)
        parts = [np.zeros(0, np.float32)]
        for index in range((start - self._first) // BLOCK, -(-(end - self._first) // BLOCK)):
            at = self._first + index * BLOCK
            parts.append(self._blocks[index][max(start - at, 0) : end - at])
        return Audio(np.concatenate(parts), RATE_HZ)

    def discard(self, before_ms: int) -> None:
        """Forget the audio before a time."""
        self._start = min(max(self._start, before_ms * RATE_HZ // 1000), self._end)
        while self._blocks and self._first + BLOCK <= self._start:
            self._blocks.popleft()
            self._first += BLOCK

    def clear(self) -> None:
        """Forget all audio, and an incomplete sample."""
        self.configure(self._wire)
        self._start = self._end
        self.discard(self.end_ms)

    def _store(self, samples: Samples) -> None:
        while len(samples):
            filled = self._end - self._first - BLOCK * (len(self._blocks) - 1) if self._blocks else BLOCK
            if filled == BLOCK:
                self._blocks.append(np.empty(BLOCK, np.float32))
                filled = 0
                if len(self._blocks) == 1:
                    self._first = self._end
            taken = min(BLOCK - filled, len(samples))
            self._blocks[-1][filled : filled + taken] = samples[:taken]
            self._end += taken
            samples = samples[taken:]
