"""Whether a person has said all, by the sound of the words: Smart Turn v3 (Daily, BSD-2).

The model hears the last 8 s of an utterance, up to a pause, as log-mel features of Whisper, and returns the probability
that nothing follows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from deployments.messages import Audio

RATE_HZ = 16_000
HEARD = 8 * RATE_HZ  # samples
HOP = 160  # samples
MELS = 80
VARIANCE_FLOOR = 1e-7

Eagerness = Literal["low", "medium", "high", "auto"]


@dataclass(frozen=True, slots=True)
class Patience:
    """An utterance is over at a probability of ``threshold``, or after ``max_wait_ms`` of silence."""

    threshold: float
    max_wait_ms: int


# The waits are those of OpenAI's documentation of semantic_vad, where auto is medium.
PATIENCE: Mapping[Eagerness, Patience] = {
    "low": Patience(0.8, 8000),
    "medium": Patience(0.5, 4000),
    "high": Patience(0.3, 2000),
    "auto": Patience(0.5, 4000),
}


class EndOfTurn:
    """The model, for all sessions; several threads may call it. Loading takes a second."""

    def __init__(self, weights: Path) -> None:
        import onnxruntime
        from faster_whisper.feature_extractor import FeatureExtractor

        options = onnxruntime.SessionOptions()
        options.inter_op_num_threads = options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            str(weights), sess_options=options, providers=["CPUExecutionProvider"]
        )
        self._features = FeatureExtractor(feature_size=MELS)

    def probability(self, utterance: Audio) -> float:
        """Return the probability that an utterance, mono at 16 kHz up to its pause, is over. Blocks for 0.1 s."""
        heard = utterance.samples[-HEARD:]
        heard = np.pad(heard, (HEARD - len(heard), 0))
        heard = (heard - heard.mean()) / np.sqrt(heard.var() + VARIANCE_FLOOR)
        features = self._features(heard, padding=0)[np.newaxis, :, : HEARD // HOP]
        (found,) = self._session.run(None, {"input_features": features.astype(np.float32)})
        return float(np.ravel(found)[0])
