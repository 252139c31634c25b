"""The teacher: flite's `rms` voice reads a text aloud and says when each phone ends.

Knows nothing of letters or spectrograms. Needs the `flite` program on the path.
"""

import subprocess
import tempfile
import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np

RATE_HZ = 16_000
VOICE = "rms"
PAUSE = "pau"
LEAD_S = 0.05  # kept of the silence before the first phone
TAIL_S = 0.12  # and of that after the last one
FADE_S = 0.02
GAIN = 0.8  # the loudest readings of the voice come close to full scale


@dataclass(frozen=True)
class Reading:
    """`pcm` is mono int16 at 16 kHz; `phones` and their ends (seconds from the start of `pcm`) run in parallel."""

    pcm: np.ndarray
    phones: tuple[str, ...]
    ends_s: tuple[float, ...]

    def phone_at(self, times_s: np.ndarray) -> list[str]:
        """The phone that sounds at each of `times_s` (ascending or not, seconds)."""
        index = np.searchsorted(self.ends_s, times_s, side="right")
        return [self.phones[i] for i in np.minimum(index, len(self.phones) - 1)]


def read_aloud(text: str) -> Reading:
    """Let the teacher read `text`, with its silence at both ends shortened. Raises ValueError when it says nothing."""
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        spoken = subprocess.run(
            ["flite", "-voice", VOICE, "-psdur", "-t", text, "-o", file.name],
            check=True,
            capture_output=True,
            text=True,
        )
        pcm = read_wav(Path(file.name))
    segments = [segment.split(":") for segment in spoken.stdout.split()]
    phones = [name for name, _ in segments]
    ends = [float(end) for _, end in segments]
    voiced = [i for i, phone in enumerate(phones) if phone != PAUSE]
    if not voiced:
        raise ValueError(f"the teacher says nothing for {text!r}")
    first, last = voiced[0], voiced[-1]
    start = max(0.0, (ends[first - 1] if first else 0.0) - LEAD_S)
    stop = min(len(pcm) / RATE_HZ, ends[last] + TAIL_S)
    cut = pcm[int(start * RATE_HZ) : int(stop * RATE_HZ)].astype(np.float32) * GAIN
    fade = np.linspace(0, 1, int(FADE_S * RATE_HZ), dtype=np.float32)
    cut[: len(fade)] *= fade
    cut[-len(fade) :] *= fade[::-1]
    return Reading(
        pcm=np.round(cut).astype(np.int16),
        phones=(PAUSE, *phones[first : last + 1], PAUSE),
        ends_s=(
            (ends[first - 1] if first else 0.0) - start,
            *(end - start for end in ends[first : last + 1]),
            stop - start,
        ),
    )


def read_wav(path: Path) -> np.ndarray:
    """The samples of a mono 16-bit WAV at 16 kHz. Raises ValueError for any other."""
    with wave.open(str(path)) as file:
        if (file.getframerate(), file.getnchannels(), file.getsampwidth()) != (RATE_HZ, 1, 2):
            raise ValueError(f"{path} is not mono 16-bit at {RATE_HZ} Hz")
        return np.frombuffer(file.readframes(file.getnframes()), dtype=np.int16)
