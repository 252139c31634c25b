"""The spoken clips and the noise that training draws from, kept on the device; grows while training runs."""

from dataclasses import dataclass

import numpy as np
import torch

from pocket.asr import text
from pocket.asr.model import letters
from pocket.asr.speech import NOISE_SECONDS, Pack
from pocket.asr.tokens import Tokens
from pocket.asr.voices import RATE_HZ


@dataclass(frozen=True)
class Clip:
    """One spoken sentence: where its samples lie, how loud it is, and what is said."""

    offset: int
    count: int
    loudness: float
    ids: list[int]
    spelled: list[int]
    tutored: bool


class Pool:
    """int16 samples of all clips in a row, and rows of noise."""

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
        """Take in a pack; what has no room any more is dropped."""
        if pack.noise is not None and self.noises < len(self.noise):
            self.noise[self.noises].copy_(torch.from_numpy(pack.noise))
            self.noises += 1
        if self._filled + len(pack.samples) > len(self.samples):
            return
        self.samples[self._filled : self._filled + len(pack.samples)].copy_(torch.from_numpy(pack.samples))
        start = 0
        for count, said, tutored in zip(pack.lengths, pack.texts, pack.tutored, strict=True):
            wave = pack.samples[start : start + count].astype(np.float32) / 32768
            loudness = max(float(np.sqrt(np.mean(wave**2))), 1e-4)
            spelled = letters(" ".join(text.words(said)))
            ids = self._tokens.encode(said)
            self.clips.append(Clip(self._filled + start, count, loudness, ids, spelled, tutored))
            start += count
        self._filled += len(pack.samples)
