"""The formats that Parley decodes, recognized by their first bytes: file names and content types can be wrong.

The decoder is chosen here and never guessed by a library, so that no playlist or script is interpreted.
"""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Callable
from enum import StrEnum
from typing import BinaryIO

AUDIO_NAMES = "WAV, FLAC, MP3, AAC, Ogg (Vorbis or Opus), WebM or M4A"
IMAGE_NAMES = "PNG, JPEG, WebP, GIF or a .npy array of uint8"

# First bytes, and the name of FFmpeg's demuxer or Pillow's format.
_AUDIO: tuple[tuple[re.Pattern[bytes], str], ...] = (
    (re.compile(rb"(?:RIFF|RF64)....WAVE", re.DOTALL), "wav"),
    (re.compile(rb"fLaC"), "flac"),
    (re.compile(rb"OggS"), "ogg"),
    (re.compile(rb"\x1aE\xdf\xa3"), "matroska"),
    (re.compile(rb"....ftyp(?!avi[fs]|hei[cfmsvx]|mif1|msf1)", re.DOTALL), "mov"),
    (re.compile(rb"\xff[\xe2-\xe7\xf2-\xf7\xfa-\xff]"), "mp3"),
    (re.compile(rb"\xff[\xf0\xf1\xf8\xf9]"), "aac"),
)
_AUDIO_AFTER_FILLING = _AUDIO[:4]  # those with a long signature that does not begin with zero bytes
_IMAGE: tuple[tuple[re.Pattern[bytes], str], ...] = (
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "PNG"),
    (re.compile(rb"\xff\xd8\xff"), "JPEG"),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), "WEBP"),
    (re.compile(rb"GIF8[79]a"), "GIF"),
    (re.compile(rb"\x93NUMPY"), "npy"),
)


MAX_TAGS = 4  # ID3 tags before the audio
TAG_HEADER_BYTES = 10
HINT_BYTES = 65_536  # that a hint needs
SEARCH_BYTES = 16_384  # among which frames of MP3 or AAC may begin, after zero bytes or a damaged start
MAX_CANDIDATES = 200  # in them
FRAMES_IN_A_ROW = 3  # that other bytes are not mistaken for

_FILLING = re.compile(rb"(?:\xef\xbb\xbf)?[\0\r\n]*")
_FRAME = re.compile(rb"\xff[\xe0-\xff]")
_MPEG_1 = 3
_KBPS = {  # of MP3, for MPEG 1 and for MPEG 2 and 2.5
    True: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    False: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES_HZ = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
_TEXT_BYTES = re.compile(rb"[\t\n\f\r\x20-\x7e]+")


class Kind(StrEnum):
    """A kind of media."""

    AUDIO = "audio"
    IMAGE = "image"


def kind_of(data: bytes) -> Kind | None:
    """Return the kind of media that ``data`` begins with; ``None`` if Parley does not decode it."""
    if audio_demuxer(data):
        return Kind.AUDIO
    return Kind.IMAGE if image_format(data) else None


def audio_demuxer(data: bytes) -> str | None:
    """Return the name of FFmpeg's demuxer for ``data``; ``None`` for other content."""
    found = find_audio(io.BytesIO(data))
    return found[0] if found else None


def find_audio(source: BinaryIO) -> tuple[str, int] | None:
    """Return the name of FFmpeg's demuxer and where the audio begins; ``None`` for other content.

    Audio begins after ID3v2 tags, and after zero bytes, a byte order mark or empty lines. Frames of MP3 and AAC are
    also found within the next ``SEARCH_BYTES``.
    """
    start = 0
    for _ in range(MAX_TAGS):
        size = _tag_bytes(_read_at(source, start, TAG_HEADER_BYTES))
        if not size:
            break
        start += size
    data = _read_at(source, start, SEARCH_BYTES)
    if demuxer := _match(_AUDIO, data):
        return demuxer, start
    filling = _FILLING.match(data)
    if filling and (demuxer := _match(_AUDIO_AFTER_FILLING, data[filling.end() :])):
        return demuxer, start + filling.end()
    if not _match(_IMAGE, data) and (found := _first_frames(data)):
        return found[0], start + found[1]
    return ("mp3", 0) if start else None  # a tag of a wrong size


def image_format(data: bytes) -> str | None:
    """Return the name of Pillow's format for ``data``, or ``npy``; ``None`` for other content."""
    return _match(_IMAGE, data)


def hint(data: bytes) -> str:
    """Return a guess at content of the wrong kind, as a phrase for an error message; may be empty."""
    start = data[:256].lstrip().lower()
    if b"<svg" in start or (start.startswith(b"<?xml") and b"svg" in data[:2048].lower()):
        return " (it looks like SVG)"
    kind = kind_of(data)
    if kind:
        return f" (it looks like {'a picture' if kind is Kind.IMAGE else 'audio'})"
    return " (it looks like text)" if _TEXT_BYTES.fullmatch(data[:256]) else ""


def reason(error: Exception) -> str:
    """Return the first line of a library's error message."""
    text = (getattr(error, "strerror", None) or str(error) or type(error).__name__).strip()
    return text.splitlines()[0].rstrip(".")[:200]


def _match(table: tuple[tuple[re.Pattern[bytes], str], ...], data: bytes) -> str | None:
    return next((name for pattern, name in table if pattern.match(data)), None)


def _read_at(source: BinaryIO, offset: int, size: int) -> bytes:
    source.seek(offset)
    return source.read(size)


def _tag_bytes(head: bytes) -> int:
    """Return the size of the ID3v2 tag that begins with ``head``; 0 if there is none."""
    if len(head) < TAG_HEADER_BYTES or not head.startswith(b"ID3"):
        return 0
    flags, size = head[5], head[6:10]
    footer = TAG_HEADER_BYTES if flags & 0x10 else 0
    return (
        TAG_HEADER_BYTES
        + footer
        + sum((byte & 0x7F) << shift for byte, shift in zip(size, (21, 14, 7, 0), strict=True))
    )


def _first_frames(data: bytes) -> tuple[str, int] | None:
    """Return the demuxer and the offset of the first ``FRAMES_IN_A_ROW`` frames of MP3 or AAC."""
    for candidate in itertools.islice(_FRAME.finditer(data), MAX_CANDIDATES):
        for demuxer in _FRAME_BYTES:
            if frames_follow(data, candidate.start(), demuxer, FRAMES_IN_A_ROW):
                return demuxer, candidate.start()
    return None


def frames_follow(data: bytes, start: int, demuxer: str, count: int) -> bool:
    """Return whether ``count`` frames of MP3 or AAC, as ``demuxer`` says, begin at ``start``."""
    frame_bytes = _FRAME_BYTES[demuxer]
    version = data[start + 1 : start + 2]
    for _ in range(count):
        head = data[start : start + 6]
        size = frame_bytes(head) if len(head) == 6 and head[1:2] == version else 0
        if not size:
            return False
        start += size
    return True


def _mp3_bytes(head: bytes) -> int:
    """Return the size of the frame of MP3 with the header ``head``; 0 if it has none."""
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    bitrate, rate, padding = head[2] >> 4, head[2] >> 2 & 3, head[2] >> 1 & 1
    if head[0] != 0xFF or head[1] < 0xE0 or version not in _RATES_HZ or layer != 1 or rate == 3 or not 0 < bitrate < 15:
        return 0
    mpeg_1 = version == _MPEG_1
    return (144_000 if mpeg_1 else 72_000) * _KBPS[mpeg_1][bitrate - 1] // _RATES_HZ[version][rate] + padding


def _aac_bytes(head: bytes) -> int:
    """Return the size of the frame of AAC with the ADTS header ``head``; 0 if it has none."""
    if head[0] != 0xFF or head[1] & 0xF6 != 0xF0:
        return 0
    size = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
    return size if size > 7 else 0


_FRAME_BYTES: dict[str, Callable[[bytes], int]] = {"mp3": _mp3_bytes, "aac": _aac_bytes}
