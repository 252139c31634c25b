"""Samples from one rate to another, piece by piece. The state carries over, so the cut into pieces does not show."""

from __future__ import annotations

import av
import numpy as np
from av.audio.resampler import AudioResampler

from graphs.http.openai.realtime.codecs import Samples


class Resampler:
    """Resamples one stream of mono float32. Output lags by at most 2 ms, until ``flush``."""

    def __init__(self, from_hz: int, to_hz: int) -> None:
        self._from_hz = from_hz
        self._resampler = AudioResampler(format="flt", layout="mono", rate=to_hz)

    def feed(self, samples: Samples) -> Samples:
        """Return the resampled audio that is ready; may be none."""
        if not len(samples):
            return samples
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples)[np.newaxis], format="flt", layout="mono")
        frame.sample_rate = self._from_hz
        return self._joined(frame)

    def flush(self) -> Samples:
        """Return the rest of the stream, which ends here."""
        return self._joined(None)

    def _joined(self, frame: av.AudioFrame | None) -> Samples:
        parts = [part.to_ndarray()[0] for part in self._resampler.resample(frame)]
        return np.concatenate(parts) if parts else np.zeros(0, np.float32)
