"""Files that consist of several files, one after the other: joined recordings, and chained Ogg streams.

FFmpeg reads only the first one of these formats. It reads joined MP3, AAC and WebM to their end.
"""

from __future__ import annotations

import io
import re
from typing import BinaryIO

from deployments.errors import BrokenMedia

MAX_PARTS = 100
BLOCK_BYTES = 1_048_576
MAX_MATCH_BYTES = 64

# The first bytes of a file, long enough that audio does not contain them by chance.
_STARTS = {
    "wav": re.compile(rb"(?:RIFF|RF64)....WAVE(?:fmt |JUNK|bext|ds64|LIST)", re.DOTALL),
    "flac": re.compile(rb"fLaC[\0\x80]\0\0\x22"),
    "ogg": re.compile(rb"OggS\0\x02\0{8}.{8}.{4}\x01.", re.DOTALL),  # a page with the first packet of a stream
    "mov": re.compile(rb"\0\0\0[\x10-\x80]ftyp[\w ]{4}", re.ASCII),
}


class Part:
    """The bytes of ``source`` from ``start`` to ``end``, as a file that PyAV reads."""

    def __init__(self, source: BinaryIO, start: int, end: int) -> None:
        self._source = source
        self._start = start
        self._size = end - start
        self._at = 0

    def read(self, size: int = -1) -> bytes:
        left = max(0, self._size - self._at)
        self._source.seek(self._start + self._at)
        data = self._source.read(left if size < 0 else min(size, left))
        self._at += len(data)
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = max(0, offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence])
        return self._at

    def tell(self) -> int:
        return self._at


def parts(source: BinaryIO, demuxer: str, start: int, param: str) -> list[Part]:
    """Return the files of ``demuxer``'s format that ``source`` consists of from ``start`` on.

    Raises ``BrokenMedia`` for more than ``MAX_PARTS``.
    """
    size = source.seek(0, io.SEEK_END)
    starts = [start, *_starts(source, demuxer, start, size)]
    if len(starts) > MAX_PARTS:
        raise BrokenMedia(f"The file consists of more than {MAX_PARTS} joined recordings.", param=param)
    return [Part(source, begin, end) for begin, end in zip(starts, [*starts[1:], size], strict=True)]


def _starts(source: BinaryIO, demuxer: str, start: int, size: int) -> list[int]:
    """Return where files begin after the one at ``start``; at most ``MAX_PARTS``."""
    pattern = _STARTS.get(demuxer)
    if pattern is None:
        return []
    found: list[int] = []
    of_one_file = start  # where another first page of Ogg belongs to the same file
    for begin in range(start, size, BLOCK_BYTES):
        source.seek(begin)
        data = source.read(BLOCK_BYTES + MAX_MATCH_BYTES)
        for match in pattern.finditer(data):
            at = begin + match.start()
            if match.start() >= BLOCK_BYTES or len(found) >= MAX_PARTS:
                break
            if at != of_one_file:
                found.append(at)
            of_one_file = at + _page_bytes(data, match) if demuxer == "ogg" else start
    return found


def _page_bytes(data: bytes, match: re.Match[bytes]) -> int:
    """Return the size of a page of Ogg with one packet of less than 255 bytes."""
    return match.end() - match.start() + data[match.end() - 1]
