"""Small files that cost a decoder gigabytes or minutes, and jobs that exceed the limits of a sandbox."""

from __future__ import annotations

import io
import os
import signal
import struct
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from PIL import Image as Pillow

from tests.graphs.http.media.files import encoded


def png_column(height: int = 24_999_999) -> bytes:
    """Return a PNG of one pixel by ``height``, within the limit of pixels. Pillow allocates 36 bytes for each row."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 1, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(4 * height), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def jpeg_of_scans(count: int, side_px: int = 2000) -> bytes:
    """Return a progressive JPEG with ``count`` times its last scan."""
    target = io.BytesIO()
    Pillow.new("RGB", (side_px, side_px), "red").save(target, "JPEG", progressive=True)
    data = target.getvalue()
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * count + data[-2:]


def m4a_index(samples: int = 88_000_000) -> bytes:
    """Return an M4A whose index claims ``samples`` samples of one byte, which are not there."""
    data = encoded("ipod", "aac", 16_000, seconds=0.1)
    position = data.index(b"stsz")
    (size,) = struct.unpack(">I", data[position - 4 : position])
    index = struct.pack(">I4sIII", 20, b"stsz", 0, 1, samples)
    data = data[: position - 4] + index + data[position - 4 + size :]
    for box in (b"moov", b"trak", b"mdia", b"minf", b"stbl"):
        at = data.index(box) - 4
        (length,) = struct.unpack(">I", data[at : at + 4])
        data = data[:at] + struct.pack(">I", length + 20 - size) + data[at + 4 :]
    chunks = data.index(b"stsc")  # one chunk with all samples
    data = data[: chunks + 12] + struct.pack(">III", 1, samples, 1) + data[chunks + 24 :]
    times = data.index(b"stts")
    return data[: times + 12] + struct.pack(">II", samples, 1024) + data[times + 20 :]


# Jobs of a sandbox.


@dataclass(frozen=True)
class LoadPicture:
    """Decode a picture with Pillow, without the checks of ``decode_image``."""

    data: bytes

    def run(self) -> Iterator[Any]:
        yield Pillow.open(io.BytesIO(self.data)).convert("RGB").size


@dataclass(frozen=True)
class Allocate:
    """Allocate memory."""

    size_bytes: int

    def run(self) -> Iterator[Any]:
        yield len(bytearray(self.size_bytes))


@dataclass(frozen=True)
class Sleep:
    """Yield the process id, then wait."""

    seconds: float = 600

    def run(self) -> Iterator[Any]:
        yield os.getpid()
        time.sleep(self.seconds)


@dataclass(frozen=True)
class Compute:
    """Yield results that each take ``seconds`` of processor time."""

    seconds: float
    results: int = 1

    def run(self) -> Iterator[Any]:
        for number in range(self.results):
            end_s = time.process_time() + self.seconds
            while time.process_time() < end_s:
                pass
            yield number


class Crash:
    """End as by a bug of a decoder in C."""

    def run(self) -> Iterator[Any]:
        os.kill(os.getpid(), signal.SIGSEGV)
        yield


class Fail:
    """Fail as by a bug of Parley."""

    def run(self) -> Iterator[Any]:
        yield 1 / 0


class Environment:
    """Yield the environment."""

    def run(self) -> Iterator[Any]:
        yield dict(os.environ)
