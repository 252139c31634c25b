"""The teacher: speech of flite's `rms` voice, with the end time of each phone. Requires the `flite` program."""

import subprocess
import tempfile
import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np

RATE_HZ = 16_000
VOICE = "rms"
PAUSE = "pau"
LEAD_S = 0.05  # kept silence before the first phone
TAIL_S = 0.12  # kept silence after the last phone
FADE_S = 0.02
GAIN = 0.8  # the voice's peaks are close to full scale


@dataclass(frozen=True)
class Utterance:
    """Speech: `pcm` is mono int16 at 16 kHz; `ends_s` are the end times of `phones` from the start of `pcm`."""

    pcm: np.ndarray
    phones: tuple[str, ...]
    ends_s: tuple[float, ...]

    def phone_at(self, times_s: np.ndarray) -> list[str]:
        """Return the phone at each of `times_s`."""
        index = np.searchsorted(self.ends_s, times_s, side="right")
        return [self.phones[i] for i in np.minimum(index, len(self.phones) - 1)]


def synthesize(text: str) -> Utterance:
    """Synthesize `text` and shorten the silence at both ends. Raise ValueError if the speech is empty."""
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        process = subprocess.run(
            ["flite", "-voice", VOICE, "-psdur", "-t", text, "-o", file.name],
            check=True,
            capture_output=True,
            text=True,
        )
        pcm = read_wav(Path(file.name))
    segments = [segment.split(":") for segment in process.stdout.split()]
    phones = [name for name, _ in segments]
    ends = [float(end) for _, end in segments]
    voiced = [i for i, phone in enumerate(phones) if phone != PAUSE]
    if not voiced:
        raise ValueError(f"the teacher speaks nothing for {text!r}")
    first, last = voiced[0], voiced[-1]
    start = max(0.0, (ends[first - 1] if first else 0.0) - LEAD_S)
    stop = min(len(pcm) / RATE_HZ, ends[last] + TAIL_S)
    cut = pcm[int(start * RATE_HZ) : int(stop * RATE_HZ)].astype(np.float32) * GAIN
    fade = np.linspace(0, 1, int(FADE_S * RATE_HZ), dtype=np.float32)
    cut[: len(fade)] *= fade
    cut[-len(fade) :] *= fade[::-1]
    return Utterance(
        pcm=np.round(cut).astype(np.int16),
        phones=(PAUSE, *phones[first : last + 1], PAUSE),
        ends_s=(
            (ends[first - 1] if first else 0.0) - start,
            *(end - start for end in ends[first : last + 1]),
            stop - start,
        ),
    )


def read_wav(path: Path) -> np.ndarray:
    """Return the samples of a mono 16-bit WAV at 16 kHz. Raise ValueError for other formats."""
    with wave.open(str(path)) as file:
        if (file.getframerate(), file.getnchannels(), file.getsampwidth()) != (RATE_HZ, 1, 2):
            raise ValueError(f"{path} is not mono 16-bit at {RATE_HZ} Hz")
        return np.frombuffer(file.readframes(file.getnframes()), dtype=np.int16)
