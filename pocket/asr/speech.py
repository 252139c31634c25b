"""Worker processes that read sentences aloud and make noise, as fast as they are collected. Knows nothing of torch."""

import multiprocessing
import os
import queue
import random
import subprocess
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pocket.asr import accents, noise, text, voices

NOISE_SECONDS = 30
PACK = 24
ACCENTED = 0.3
"""The share of the natural voices' sentences that are said in another accent."""
MAX_SAMPLES = 20 * voices.RATE_HZ


@dataclass
class Pack:
    """What a worker hands over at once: spoken sentences, and sometimes a stretch of noise."""

    samples: NDArray[np.int16]
    lengths: list[int] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    tutored: list[bool] = field(default_factory=list)
    """Whether the voice is the one that the pocket voice learns from."""
    noise: NDArray[np.int16] | None = None


class Readers:
    """`count` workers that fill a queue until they are stopped."""

    def __init__(self, count: int, seed: int, pocket_share: float = 0.0) -> None:
        context = multiprocessing.get_context("fork")
        self._packs = context.Queue(maxsize=8 * count)
        self._workers = [
            context.Process(target=_read, args=(seed + index, pocket_share, self._packs), daemon=True)
            for index in range(count)
        ]
        for worker in self._workers:
            worker.start()

    def collect(self, wait_s: float = 0.0) -> Pack | None:
        """The next pack, or None if none came in time."""
        try:
            return self._packs.get(timeout=wait_s) if wait_s else self._packs.get_nowait()
        except queue.Empty:
            return None

    def stop(self) -> None:
        for worker in self._workers:
            worker.terminate()


def read(rng: random.Random, pocket_share: float = 0.0) -> tuple[NDArray[np.int16], str, voices.Voice] | None:
    """A sentence to train on in a voice to train on; None if the voice failed or took too long over it."""
    said = text.sentence(rng)
    voice = voices.pick(rng, pocket_share)
    speed = rng.uniform(0.8, 1.35)
    pitch = rng.choice((1.0, rng.uniform(0.4, 1.8)))
    accent = accents.draw(rng) if voice.engine == "flite" and rng.random() < ACCENTED else None
    try:
        samples = voices.speak(said, voice, speed, pitch, accent)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        return None
    return (samples, said, voice) if 800 < len(samples) < MAX_SAMPLES else None


def _read(seed: int, pocket_share: float, packs: "multiprocessing.Queue[Pack]") -> None:
    os.nice(5)
    rng, sounds = random.Random(seed), np.random.default_rng(seed)
    for turn in range(1_000_000):
        clips = [clip for clip in (read(rng, pocket_share) for _ in range(PACK)) if clip]
        packs.put(
            Pack(
                np.concatenate([samples for samples, _, _ in clips]),
                [len(samples) for samples, _, _ in clips],
                [said for _, said, _ in clips],
                [voice.name == "rms" for _, _, voice in clips],
                _noise(sounds) if turn < 20 or turn % 4 == 0 else None,
            )
        )


def _noise(rng: np.random.Generator) -> NDArray[np.int16]:
    sound = noise.draw(rng, NOISE_SECONDS * voices.RATE_HZ)
    return (sound * 32767).astype(np.int16)
