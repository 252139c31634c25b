"""The clips and the noise for training, stored on the device; the pool grows while training runs."""

from dataclasses import dataclass

import numpy as np
import torch

from pocket.asr import text
from pocket.asr.model import ctc_target
from pocket.asr.speech import NOISE_SECONDS, Pack
from pocket.asr.tokens import Tokens
from pocket.asr.voices import RATE_HZ


@dataclass(frozen=True)
class Clip:
    """One spoken sentence: the position of its samples in the pool, its RMS level and its transcript."""

    offset: int
    count: int
    level: float
    ids: list[int]
    """Tokens of the transcript."""
    target: list[int]
    """CTC classes of the transcript."""
    by_teacher: bool
    """Whether the voice is flite's rms, from which the pocket voice learned."""


class Pool:
    """The int16 samples of all clips, concatenated, and rows of noise."""

    def __init__(self, tokens: Tokens, device: torch.device, samples: int, noises: int) -> None:
        self.samples = torch.zeros(samples, dtype=torch.int16, device=device)
        self.noise = torch.zeros(noises, NOISE_SECONDS * RATE_HZ, dtype=torch.int16, device=device)
        self.clips: list[Clip] = []
        self.noises = 0
        self._tokens = tokens
        self._filled = 0

    @property
    def hours(self) -> float:
        return self._filled / RATE_HZ / 3600

    @property
    def full(self) -> bool:
        return self._filled >= 0.99 * len(self.samples)

    def add(self, pack: Pack) -> None:
        """Add the clips and the noise of a pack; drop each that exceeds the capacity."""
        if pack.noise is not None and self.noises < len(self.noise):
            self.noise[self.noises].copy_(torch.from_numpy(pack.noise))
            self.noises += 1
        if self._filled + len(pack.samples) > len(self.samples):
            return
        self.samples[self._filled : self._filled + len(pack.samples)].copy_(torch.from_numpy(pack.samples))
        start = 0
        for count, transcript, by_teacher in zip(pack.lengths, pack.texts, pack.by_teacher, strict=True):
            wave = pack.samples[start : start + count].astype(np.float32) / 32768
            level = max(float(np.sqrt(np.mean(wave**2))), 1e-4)
            target = ctc_target(" ".join(text.words(transcript)))
            ids = self._tokens.encode(transcript)
            self.clips.append(Clip(self._filled + start, count, level, ids, target, by_teacher))
            start += count
        self._filled += len(pack.samples)
