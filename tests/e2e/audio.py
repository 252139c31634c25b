"""Conversion of audio."""

from __future__ import annotations

import io

import av
import numpy as np
import soundfile
from numpy.typing import NDArray

from deployments.messages import Audio
from graphs.http.media.encode import AudioFormat, whole_file


def as_wav(data: bytes, container: str | None) -> bytes:
    """Return audio in any container as a WAV file at 16 kHz; without a container it is 16-bit PCM at 24 kHz."""
    resampler = av.AudioResampler(format="s16", layout="mono", rate=16_000)
    if container is None:
        frame = av.AudioFrame.from_ndarray(np.frombuffer(data, np.int16)[np.newaxis], format="s16", layout="mono")
        frame.sample_rate = 24_000
        frames = [frame]
    else:
        with av.open(io.BytesIO(data), format=container) as file:
            frames = list(file.decode(audio=0))
    resampled = [r.to_ndarray()[0] for frame in [*frames, None] for r in resampler.resample(frame)]
    target = io.BytesIO()
    soundfile.write(target, np.concatenate(resampled), 16_000, format="WAV")
    return target.getvalue()


def mp3(samples: NDArray[np.float32]) -> bytes:
    """Return samples at 16 kHz as an MP3 file."""
    return whole_file(AudioFormat.MP3, [Audio(samples, 16_000)])
