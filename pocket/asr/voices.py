"""Synthesize sentences with flite, espeak-ng or the pocket voice, as training data of the recognizer."""

import functools
import os
import random
import shutil
import subprocess
import tempfile
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly

from pocket.asr import accents

RATE_HZ = 16_000
ESPEAK_WORDS_PER_MINUTE = 165


class VoiceMissing(RuntimeError):
    """The program of a voice is not installed."""


@dataclass(frozen=True)
class Voice:
    """A voice: flite's or espeak-ng's, by the name in its program, or that of `pocket/tts`."""

    engine: Literal["flite", "espeak-ng", "pocket"]
    name: str


HELD_OUT = Voice("flite", "awb")
"""Not in the training data: a Scottish speaker; all other natural voices are American."""
HELD_OUT_VARIANT = Voice("espeak-ng", "en-us+Lee")
"""Not in the training data either, unlike other variants of espeak-ng."""

FLITE = tuple(Voice("flite", name) for name in ("rms", "slt", "kal16", "kal"))
POCKET = Voice("pocket", "pocket")

_ACCENTS = ("en-us", "en-gb", "en-gb-scotland", "en-029", "en-gb-x-rp", "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-us-nyc")
_VARIANTS = (
    *("", "+m1", "+m2", "+m3", "+m4", "+m5", "+m6", "+m7", "+m8", "+f1", "+f2", "+f3", "+f4", "+f5"),
    *("+Alicia", "+Andrea", "+Annie", "+anika", "+aunty", "+belinda", "+grandma", "+linda", "+shelby", "+steph"),
    *("+Andy", "+Denis", "+Michael", "+adam", "+david", "+john", "+klatt4", "+paul", "+rob", "+victor"),
)
ESPEAK = tuple(Voice("espeak-ng", accent + variant) for accent in _ACCENTS for variant in _VARIANTS)


def choose(rng: random.Random, pocket_share: float = 0.0) -> Voice:
    """Return a random training voice: the pocket voice with probability `pocket_share`, else 70 % flite's."""
    if rng.random() < pocket_share:
        return POCKET
    if rng.random() < 0.3:
        return rng.choice(ESPEAK)
    return rng.choices(FLITE, weights=(4, 4, 2, 1))[0]


def speak(
    text: str, voice: Voice, speed: float = 1.0, pitch: float = 1.0, accent: accents.Accent | None = None
) -> NDArray[np.int16]:
    """Return mono speech at 16 kHz without the silence at both ends; empty if the voice made no sound.

    `speed` and `pitch` are factors relative to the voice's default. espeak-ng obeys both, flite only `speed`, the
    pocket voice neither. Only flite applies `accent`. Raise VoiceMissing without the program, CalledProcessError if it
    fails on the text, TimeoutExpired after 60 s.
    """
    if voice.engine == "pocket":
        return trim((_pocket_voice().speak(text) * 32767).astype(np.int16))
    with tempfile.TemporaryDirectory(dir=_scratch()) as folder:
        path = Path(folder) / "speech.wav"
        if voice.engine == "flite":
            source = ["-t", text] if accent is None else ["-p", accents.apply(accent, phones(text, voice))]
            command = ["-voice", voice.name, "--setf", f"duration_stretch={1 / speed:.3f}", *source, "-o", str(path)]
        else:
            rate, height = str(round(ESPEAK_WORDS_PER_MINUTE * speed)), str(min(99, round(50 * pitch)))
            command = ["-v", voice.name, "-s", rate, "-p", height, "-w", str(path), "--", text]
        subprocess.run([_program(voice.engine), *command], check=True, capture_output=True, timeout=60)
        with wave.open(str(path)) as file:
            rate_hz = file.getframerate()
            samples = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    return trim(_resample(samples, rate_hz))


def phones(text: str, voice: Voice) -> str:
    """Return the phones of a flite voice for `text`, separated by spaces."""
    command = [_program("flite"), "-voice", voice.name, "-ps", "-t", text, "none"]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.strip()


def trim(samples: NDArray[np.int16], floor: float = 0.006, margin: int = RATE_HZ // 50) -> NDArray[np.int16]:
    """Cut off both ends below `floor` times the peak, except `margin` samples (20 ms)."""
    level = np.abs(samples.astype(np.float32))
    loud = np.flatnonzero(level > max(1.0, floor * level.max(initial=0)))
    if not loud.size:
        return samples[:0]
    return samples[max(0, loud[0] - margin) : loud[-1] + margin]


def _resample(samples: NDArray[np.int16], rate_hz: int) -> NDArray[np.int16]:
    if rate_hz == RATE_HZ or not samples.size:
        return samples
    resampled = resample_poly(samples.astype(np.float32), RATE_HZ, rate_hz)
    return np.clip(resampled, -32768, 32767).astype(np.int16)


@functools.cache
def _pocket_voice() -> Any:
    import torch

    from pocket.tts.voice import Voice as PocketVoice

    torch.set_num_threads(1)
    return PocketVoice()


@functools.cache
def _program(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise VoiceMissing(f"{name} is not installed: apt-get install flite espeak-ng")
    return path


def _scratch() -> str | None:
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
