"""Worker processes that synthesize training speech and noise. They do not use torch."""

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
"""The share of the natural voices' sentences with another accent."""
MAX_SAMPLES = 20 * voices.RATE_HZ


@dataclass
class Pack:
    """One item of a worker's output: up to PACK clips, concatenated, and sometimes NOISE_SECONDS of noise."""

    samples: NDArray[np.int16]
    lengths: list[int] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    by_teacher: list[bool] = field(default_factory=list)
    """Whether the voice is flite's rms, from which the pocket voice learned."""
    noise: NDArray[np.int16] | None = None


class SpeechWorkers:
    """`count` processes that fill a bounded queue until `stop`."""

    def __init__(self, count: int, seed: int, pocket_share: float = 0.0) -> None:
        context = multiprocessing.get_context("fork")
        self._packs = context.Queue(maxsize=8 * count)
        self._workers = [
            context.Process(target=_fill, args=(seed + index, pocket_share, self._packs), daemon=True)
            for index in range(count)
        ]
        for worker in self._workers:
            worker.start()

    def collect(self, wait_s: float = 0.0) -> Pack | None:
        """Return the next pack, or None if none arrives within `wait_s`."""
        try:
            return self._packs.get(timeout=wait_s) if wait_s else self._packs.get_nowait()
        except queue.Empty:
            return None

    def stop(self) -> None:
        for worker in self._workers:
            worker.terminate()


def synthesize(rng: random.Random, pocket_share: float = 0.0) -> tuple[NDArray[np.int16], str, voices.Voice] | None:
    """Synthesize a random training sentence: (samples, transcript, voice).

    Return None if the voice fails, exceeds its time limit, or makes a clip that is too short or too long.
    """
    transcript = text.sentence(rng)
    voice = voices.choose(rng, pocket_share)
    speed = rng.uniform(0.8, 1.35)
    pitch = rng.choice((1.0, rng.uniform(0.4, 1.8)))
    accent = accents.draw(rng) if voice.engine == "flite" and rng.random() < ACCENTED else None
    try:
        samples = voices.speak(transcript, voice, speed, pitch, accent)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        return None
    return (samples, transcript, voice) if 800 < len(samples) < MAX_SAMPLES else None


def _fill(seed: int, pocket_share: float, packs: "multiprocessing.Queue[Pack]") -> None:
    os.nice(5)
    rng, sounds = random.Random(seed), np.random.default_rng(seed)
    for index in range(1_000_000):
        clips = [clip for clip in (synthesize(rng, pocket_share) for _ in range(PACK)) if clip]
        packs.put(
            Pack(
                np.concatenate([samples for samples, _, _ in clips]),
                [len(samples) for samples, _, _ in clips],
                [transcript for _, transcript, _ in clips],
                [voice.name == "rms" for _, _, voice in clips],
                _noise(sounds) if index < 20 or index % 4 == 0 else None,
            )
        )


def _noise(rng: np.random.Generator) -> NDArray[np.int16]:
    sound = noise.draw(rng, NOISE_SECONDS * voices.RATE_HZ)
    return (sound * 32767).astype(np.int16)
