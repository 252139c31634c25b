"""How a pull reports its progress: a bar on a terminal, one line for each file elsewhere."""

from __future__ import annotations

import sys
import time
from typing import TextIO

from tqdm import tqdm


def human(size: int) -> str:
    """Return a size in decimal units, such as ``145 MB``."""
    value = float(size)
    for unit in ("bytes", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"


class Progress:
    """Report nothing. Base of the others."""

    def message(self, line: str) -> None:
        """Report one line of text."""

    def start(self, label: str, total: int | None) -> None:
        """A file of ``total`` bytes begins."""

    def at(self, done: int) -> None:
        """``done`` bytes of the file are there."""

    def end(self, size: int, origin: str) -> None:
        """The file of ``size`` bytes from ``origin`` is whole and checked."""

    def stop(self) -> None:
        """The file is given up."""


class Lines(Progress):
    """One line for each file."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._label = ""
        self._started_s = 0.0

    def message(self, line: str) -> None:
        print(line, file=self._stream, flush=True)

    def start(self, label: str, total: int | None) -> None:
        self._label, self._started_s = label, time.monotonic()

    def end(self, size: int, origin: str) -> None:
        self.message(f"{self._label}  {human(size)}  {time.monotonic() - self._started_s:.1f} s  {origin}")


class Bar(Progress):
    """A bar for the current file."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._bar: tqdm[None] | None = None

    def message(self, line: str) -> None:
        tqdm.write(line, file=self._stream)

    def start(self, label: str, total: int | None) -> None:
        self.stop()
        self._bar = tqdm(total=total, desc=label, unit="B", unit_scale=True, file=self._stream, leave=True)

    def at(self, done: int) -> None:
        if self._bar is not None:
            self._bar.update(done - self._bar.n)

    def end(self, size: int, origin: str) -> None:
        self.at(size)
        self.stop()

    def stop(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def for_stream(stream: TextIO | None = None) -> Progress:
    """Return a bar if ``stream``, by default standard error, is a terminal, else lines."""
    stream = stream or sys.stderr
    return Bar(stream) if stream.isatty() else Lines(stream)
