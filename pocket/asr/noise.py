"""Synthetic sounds other than speech: coloured noise, hum, tones, clicks and music.

Each generator returns `count` float32 samples at 16 kHz with a peak of at most 1.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pocket.asr.voices import RATE_HZ

Samples = NDArray[np.float32]


def coloured(rng: np.random.Generator, count: int, slope: float | None = None) -> Samples:
    """Noise with a power proportional to 1 / frequency ** `slope`: 0 white, 1 pink, 2 brown; random if None."""
    slope = float(rng.choice([0, 0.5, 1, 1.5, 2])) if slope is None else slope
    spectrum = np.fft.rfft(rng.standard_normal(count))
    frequency = np.arange(len(spectrum)) * RATE_HZ / count
    return _normalized(np.fft.irfft(spectrum / np.maximum(frequency, 20.0) ** (slope / 2), count))


def band(rng: np.random.Generator, count: int) -> Samples:
    """Band-limited white noise with a slow amplitude modulation, like wind, traffic or a fan."""
    spectrum = np.fft.rfft(rng.standard_normal(count))
    frequency = np.arange(len(spectrum)) * RATE_HZ / count
    low, high = sorted(rng.uniform(30, 7500, 2))
    spectrum[(frequency < low) | (frequency > high + 100)] *= 0.01
    modulation = 1 + rng.uniform(0, 0.9) * np.sin(_phase(rng.uniform(0.05, 3), count))
    return _normalized(np.fft.irfft(spectrum, count) * modulation)


def hum(rng: np.random.Generator, count: int) -> Samples:
    """A low tone with harmonics and some noise, like mains hum or a motor."""
    base_hz = float(rng.choice([50, 60, rng.uniform(30, 180)]))
    tones = sum(rng.uniform(0, 1) / k * np.sin(_phase(base_hz * k, count)) for k in range(1, 12))
    return _normalized(tones + rng.uniform(0, 0.3) * coloured(rng, count))


def tone(rng: np.random.Generator, count: int) -> Samples:
    """A steady, an interrupted or a sliding tone."""
    start_hz, end_hz = rng.uniform(80, 4000, 2)
    kind = rng.integers(3)
    if kind == 0:
        return _normalized(np.sin(_phase(start_hz, count)))
    if kind == 1:
        gate = np.sin(_phase(rng.uniform(0.5, 6), count)) > rng.uniform(-0.5, 0.5)
        return _normalized(np.sin(_phase(start_hz, count)) * gate)
    sweep = np.linspace(start_hz, end_hz, count)
    return _normalized(np.sin(2 * np.pi * np.cumsum(sweep) / RATE_HZ))


def clicks(rng: np.random.Generator, count: int) -> Samples:
    """Short decaying bursts at random times, like knocks and key strokes."""
    sound = np.zeros(count + RATE_HZ, np.float32)
    for start in rng.integers(0, count, max(1, int(count / RATE_HZ * rng.uniform(0.5, 8)))):
        length = int(rng.uniform(0.002, 0.12) * RATE_HZ)
        burst = rng.standard_normal(length) if rng.random() < 0.6 else np.sin(_phase(rng.uniform(100, 3000), length))
        sound[start : start + length] += burst * np.exp(-np.arange(length) / (length / 5)) * rng.uniform(0.2, 1)
    return _normalized(sound[:count])


def music(rng: np.random.Generator, count: int) -> Samples:
    """A melody, chords, or both, of plucked or bowed notes from one scale, sometimes with clicks as a beat."""
    scale = rng.choice(np.array([[0, 2, 4, 5, 7, 9, 11], [0, 2, 3, 5, 7, 8, 10], [0, 2, 4, 7, 9, 12, 14]]))
    root_hz = 55 * 2 ** rng.uniform(0.5, 2.5)
    beat = int(RATE_HZ * rng.uniform(0.15, 0.7))
    timbre = rng.uniform(0, 1, 8) / np.arange(1, 9) ** rng.uniform(0.5, 2)
    plucked, chords = rng.random() < 0.6, rng.random() < 0.6
    melody = not chords or rng.random() < 0.7
    sound = np.zeros(count + 8 * beat, np.float32)
    for start in range(0, count, beat):
        degrees = [0, 2, 4] if chords else []
        shift = int(rng.integers(7))
        steps = [scale[(d + shift) % 7] for d in degrees] if start % (4 * beat) == 0 else []
        if melody and (start == 0 or rng.random() < 0.8):
            steps.append(scale[rng.integers(7)] + 12)
        for step in steps:
            length = beat * int(rng.choice([1, 2, 4]))
            sound[start : start + length] += _note(root_hz * 2 ** (step / 12), length, timbre, plucked)
    if rng.random() < 0.4:
        sound[:count] += 0.7 * clicks(rng, count)
    return _normalized(sound[:count])


KINDS: dict[str, Callable[[np.random.Generator, int], Samples]] = {
    "coloured": coloured,
    "band": band,
    "hum": hum,
    "tone": tone,
    "clicks": clicks,
    "music": music,
}


def draw(rng: np.random.Generator, count: int) -> Samples:
    """Return a sound of a random kind; noise and music are most frequent."""
    return KINDS[str(rng.choice(list(KINDS), p=[0.35, 0.15, 0.1, 0.1, 0.1, 0.2]))](rng, count)


def mix(speech: Samples, noise: Samples, snr_db: float) -> Samples:
    """Return `speech` plus the equally long `noise`, scaled to a signal-to-noise ratio of `snr_db`."""
    power = float(np.mean(speech**2)) / max(float(np.mean(noise**2)), 1e-12)
    return speech + noise * np.float32(np.sqrt(power / 10 ** (snr_db / 10)))


def _note(frequency_hz: float, count: int, timbre: NDArray[np.float64], plucked: bool) -> NDArray[np.float64]:
    partials = sum(
        weight * np.sin(_phase(frequency_hz * k, count))
        for k, weight in enumerate(timbre, 1)
        if frequency_hz * k < RATE_HZ / 2
    )
    time = np.arange(count) / count
    envelope = np.exp(-4 * time) if plucked else np.minimum(1, np.minimum(time, 1 - time) * 10)
    return partials * envelope


def _phase(frequency_hz: float, count: int) -> NDArray[np.float64]:
    return 2 * np.pi * frequency_hz / RATE_HZ * np.arange(count)


def _normalized(samples: NDArray) -> Samples:
    return (samples / max(float(np.abs(samples).max(initial=0)), 1e-9)).astype(np.float32)
