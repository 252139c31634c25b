"""Files that consist of several files, one after the other: joined recordings of any formats, and chained Ogg streams.

FFmpeg reads the first one, and joined MP3 or AAC to their end.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import BinaryIO

import av
from av.container import InputContainer

from deployments.errors import BrokenMedia
from graphs.http.media import formats

MAX_PARTS = 100
BLOCK_BYTES = 1_048_576
OVERLAP_BYTES = 65_536  # more than the longest match: FRAMES_IN_A_ROW frames
FRAMES_IN_A_ROW = 5  # of MP3 or AAC, which other files do not contain by chance

# Options of a demuxer. A WAV's header says what it contains; without probesize FFmpeg searches 5 MB for other codecs,
# which takes longer than decoding. max_size makes frames larger, as each has a fixed cost. Both in bytes.
_OPTIONS = {"wav": {"probesize": "32", "max_size": "8192"}}

# The first bytes of a file, long enough that audio does not contain them by chance. Each pattern begins with a letter
# that is rare in audio, as the search for it is fast.
_STARTS = {
    "wav": re.compile(rb"R(?:IFF|F64)....WAVE(?:fmt |JUNK|bext|ds64|LIST)", re.DOTALL),
    # Matroska contains the start of a FLAC as the value of an element with the id 63 A2, after its size.
    "flac": re.compile(rb"fLaC(?<!\x63\xa2.fLaC)(?<!\x63\xa2..fLaC)(?<!\x63\xa2...fLaC)[\0\x80]\0\0\x22", re.DOTALL),
    "ogg": re.compile(rb"OggS\0\x02\0{8}.{8}.{4}\x01.", re.DOTALL),  # a page with the first packet of a stream
    "mov": re.compile(rb"ftyp(?<=\0\0\0[\x10-\x80]ftyp)(?!avi[fs]|hei[cfmsvx]|mif1|msf1)[\w ]{4}", re.ASCII),
    "matroska": re.compile(rb"\x1aE\xdf\xa3.{0,64}?\x42\x82.{1,8}?(?:webm|matroska)", re.DOTALL),
}
_BEFORE_MATCH = {"mov": 4}  # bytes of a file before the match
_FRAMES = {
    "mp3": re.compile(rb"\xff[\xe2\xe3\xf2\xf3\xfa\xfb][\x10-\xeb]"),
    "aac": re.compile(rb"\xff[\xf0\xf1\xf8\xf9][\x40-\x73]"),
}
_CONTAINERS_OF_MP3 = ("wav", "mov", "matroska")


class Part:
    """The bytes of ``source`` from ``start`` to ``end``, a file for ``demuxer``, as PyAV reads it."""

    def __init__(self, source: BinaryIO, demuxer: str, start: int, end: int) -> None:
        self.demuxer = demuxer
        self._source = source
        self._start = start
        self._size = end - start
        self._at = 0

    def opened(self) -> InputContainer:
        """Open the file from its first byte."""
        self.seek(0)
        options = _OPTIONS.get(self.demuxer)
        container = av.open(self, "r", format=self.demuxer, options=options, metadata_errors="ignore")
        assert isinstance(container, InputContainer)
        return container

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
    """Return the files that ``source`` consists of from ``start`` on, where one for ``demuxer`` begins.

    Raises ``BrokenMedia`` for more than ``MAX_PARTS``.
    """
    size = source.seek(0, io.SEEK_END)
    found: list[Part] = []
    while len(found) < MAX_PARTS:
        following = _following(Part(source, demuxer, start, size))
        if following is None:
            return [*found, Part(source, demuxer, start, size)]
        offset, next_demuxer = following
        found.append(Part(source, demuxer, start, start + offset))
        start, demuxer = start + offset, next_demuxer
    raise BrokenMedia(f"The file consists of more than {MAX_PARTS} joined recordings.", param=param)


def _following(rest: Part) -> tuple[int, str] | None:
    """Return the offset and the demuxer of the file that follows the first one of ``rest``."""
    wanted = {*_STARTS, *_FRAMES} - ({rest.demuxer} & {*_FRAMES})
    found = _first(rest, wanted)
    if found and found[1] == "mp3" and rest.demuxer in _CONTAINERS_OF_MP3 and _contains_mp3(rest):
        return _first(rest, wanted - {"mp3"})
    return found


def _contains_mp3(part: Part) -> bool:
    try:
        with part.opened() as container:
            return any(stream.codec_context.name.startswith("mp3") for stream in container.streams.audio)
    except av.error.FFmpegError:
        return False  # decoding raises it again


def _first(rest: Part, wanted: set[str]) -> tuple[int, str] | None:
    """Return the offset and the demuxer of the first file in ``rest`` after its beginning that is ``wanted``."""
    begin = _own_start_bytes(rest)
    while True:
        rest.seek(begin)
        data = rest.read(BLOCK_BYTES + OVERLAP_BYTES)
        found = [(at, demuxer) for demuxer in wanted for at in _starts(data, demuxer) if at < BLOCK_BYTES]
        if found:
            at, demuxer = min(found)
            return begin + at, demuxer
        if len(data) <= BLOCK_BYTES:
            return None
        begin += BLOCK_BYTES


def _own_start_bytes(rest: Part) -> int:
    """Return how many bytes begin ``rest`` and are of no other file: in Ogg the first page of each of its streams."""
    if rest.demuxer != "ogg":
        return 1
    at = 0
    rest.seek(0)
    data = rest.read(BLOCK_BYTES)
    while match := _STARTS["ogg"].match(data, at):
        at = match.end() + data[match.end() - 1]  # a page with one packet of less than 255 bytes
    return max(1, at)


def _starts(data: bytes, demuxer: str) -> Iterator[int]:
    """Yield where the first file for ``demuxer`` begins in ``data``, if any does."""
    if demuxer in _STARTS:
        match = _STARTS[demuxer].search(data)
        if match:
            yield match.start() - _BEFORE_MATCH.get(demuxer, 0)
        return
    for match in _FRAMES[demuxer].finditer(data):
        if formats.frames_follow(data, match.start(), demuxer, FRAMES_IN_A_ROW):
            yield match.start()
            return
