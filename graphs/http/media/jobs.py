"""What the processes of the sandbox do: decode media that a client sent."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from graphs.http.media.audio import audio_pieces, decode_audio
from graphs.http.media.images import decode_image

LENGTH = struct.Struct(">Q")  # before each frame between the sandbox and its processes


class Done:
    """The last frame of a job."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The last frame of a job that failed by a bug."""

    traceback: str


class Job(Protocol):
    """Something to decode, which can be pickled."""

    def run(self) -> Iterator[Any]:
        """Yield the results. Raise types of ``deployments.errors``."""
        ...


@dataclass(frozen=True, slots=True)
class DecodeAudio:
    """See ``decode_audio``; yields one ``Audio`` of the file at ``path``."""

    path: str
    max_s: float
    param: str

    def run(self) -> Iterator[Any]:
        yield decode_audio(Path(self.path).read_bytes(), max_s=self.max_s, param=self.param)


@dataclass(frozen=True, slots=True)
class DecodeImage:
    """See ``decode_image``; yields one ``Image`` of the file at ``path``."""

    path: str
    max_pixels: int
    side_px: int
    param: str

    def run(self) -> Iterator[Any]:
        data = Path(self.path).read_bytes()
        yield decode_image(data, max_pixels=self.max_pixels, side_px=self.side_px, param=self.param)


@dataclass(frozen=True, slots=True)
class DecodePieces:
    """See ``audio_pieces``; yields ``(start_s, Audio)`` pairs of the file at ``path``."""

    path: str
    max_s: float
    param: str

    def run(self) -> Iterator[Any]:
        with Path(self.path).open("rb") as source:
            yield from audio_pieces(source, max_s=self.max_s, param=self.param)
