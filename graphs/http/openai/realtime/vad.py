"""The probability of speech, frame by frame, with Silero VAD (v6) as the faster-whisper package ships it.

The library's own wrapper begins anew with every call; here each stream has its state: the two vectors of the LSTM, and
the last samples of the frame before, which the model wants in front of each frame.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphs.http.openai.realtime.codecs import Samples

RATE_HZ = 16_000
FRAME = 512  # samples
FRAME_MS = 32
CONTEXT = 64  # samples
INLINE = 8 * FRAME  # samples that take 0.5 ms: less than it costs to wait for a thread
STATE_SHAPE = (1, 1, 128)


class SpeechModel:
    """The model, for all streams; streams may call it from several threads. Loading takes 50 ms."""

    def __init__(self) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.inter_op_num_threads = options.intra_op_num_threads = 1
        options.enable_cpu_mem_arena = False
        self._session = onnxruntime.InferenceSession(
            str(_weights()), sess_options=options, providers=["CPUExecutionProvider"]
        )

    def run(self, frames: Samples, h: Samples, c: Samples) -> Any:
        """Return the probabilities of ``frames``, float32 of shape (n, ``CONTEXT + FRAME``), and the next h and c."""
        return self._session.run(None, {"input": frames, "h": h, "c": c})


class SpeechProbability:
    """One stream of mono float32 at 16 kHz. To be used by one thread at a time."""

    def __init__(self, model: SpeechModel) -> None:
        self._model = model
        self._h = self._c = np.zeros(STATE_SHAPE, np.float32)
        self._context = np.zeros(CONTEXT, np.float32)
        self._rest = np.zeros(0, np.float32)  # shorter than a frame

    def feed(self, samples: Samples) -> NDArray[np.float32]:
        """Return the probability of each frame that is complete, in order; a frame lasts ``FRAME_MS``.

        Blocks for 0.04 to 0.1 ms a frame: call it in a thread if there are more samples than ``INLINE``.
        """
        samples = np.concatenate([self._rest, samples])
        count = len(samples) // FRAME
        self._rest = samples[count * FRAME :].copy()  # a view would keep all samples
        if not count:
            return np.zeros(0, np.float32)
        frames = samples[: count * FRAME].reshape(count, FRAME)
        before = np.concatenate([self._context[np.newaxis], frames[:-1, -CONTEXT:]])
        self._context = frames[-1, -CONTEXT:].copy()
        found, self._h, self._c = self._model.run(np.concatenate([before, frames], axis=1), self._h, self._c)
        return np.asarray(found, np.float32)


def _weights() -> Path:
    """Return the path of the model without importing the package, which takes a second."""
    package = importlib.util.find_spec("faster_whisper")
    if package is None or package.origin is None:
        raise FileNotFoundError("voice activity detection needs the package faster-whisper")
    return Path(package.origin).parent / "assets" / "silero_vad_v6.onnx"
