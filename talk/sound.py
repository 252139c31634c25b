"""Recordings, and the microphone and loudspeaker through sounddevice (which needs PortAudio)."""

from __future__ import annotations

import asyncio
import threading
import wave
from collections.abc import AsyncIterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av
import numpy as np

from talk.client import FRAME_S, RATE_HZ, Pcm

MAX_QUEUED_FRAMES = 250  # of the microphone: ten seconds


def load(path: Path) -> Pcm:
    """Return the samples of a recording in any format. Raises ``OSError`` or ``av.error.FFmpegError``."""
    parts: list[Pcm] = []
    with av.open(str(path)) as container:
        if not container.streams.audio:
            raise OSError(f"{path} has no audio")
        resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE_HZ)
        for frame in container.decode(audio=0):
            parts += [part.to_ndarray()[0] for part in resampler.resample(frame)]
        parts += [part.to_ndarray()[0] for part in resampler.resample(None)]
    return np.concatenate(parts) if parts else np.zeros(0, np.int16)


def save(path: Path, pcm: bytes) -> None:
    """Write 16-bit mono samples as a WAV."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(pcm)


class Devices:
    """The default microphone and loudspeaker, as a context manager."""

    def __init__(self) -> None:
        import sounddevice

        self._loop = asyncio.get_running_loop()
        self._captured: asyncio.Queue[Pcm] = asyncio.Queue(MAX_QUEUED_FRAMES)
        self._lock = threading.Lock()
        self._playing = bytearray()
        self._stream: Any = sounddevice.RawStream(
            samplerate=RATE_HZ,
            channels=1,
            dtype="int16",
            blocksize=round(FRAME_S * RATE_HZ),
            callback=self._exchange,
        )

    def __enter__(self) -> Self:
        self._stream.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stream.close()

    async def captured(self) -> AsyncIterator[Pcm]:
        """Yield what the microphone hears."""
        while True:
            yield await self._captured.get()

    def play(self, pcm: bytes) -> None:
        """Add to what the loudspeaker plays."""
        with self._lock:
            self._playing += pcm

    def silence(self) -> int:
        """Drop what is not yet played; return its length in milliseconds."""
        with self._lock:
            dropped_ms = len(self._playing) * 500 // RATE_HZ
            self._playing.clear()
        return dropped_ms

    def _exchange(self, heard: Any, played: Any, frames: int, time: Any, status: Any) -> None:
        """Called by PortAudio in a thread of its own."""
        with self._lock:
            part = bytes(self._playing[: frames * 2])
            del self._playing[: frames * 2]
        played[:] = part + bytes(frames * 2 - len(part))
        self._loop.call_soon_threadsafe(self._capture, np.frombuffer(bytes(heard), np.int16))

    def _capture(self, pcm: Pcm) -> None:
        if not self._captured.full():
            self._captured.put_nowait(pcm)
