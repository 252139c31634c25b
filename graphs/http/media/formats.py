"""The formats that Parley decodes, recognized by their first bytes: file names and content types can be wrong.

The decoder is chosen here and never guessed by a library, so that no playlist or script is interpreted. Pure.
"""

from __future__ import annotations

import re
from enum import StrEnum

AUDIO_NAMES = "WAV, FLAC, MP3, Ogg (Vorbis or Opus), WebM or M4A"
IMAGE_NAMES = "PNG, JPEG, WebP, GIF or a .npy array of uint8"

# First bytes, and the name of FFmpeg's demuxer or Pillow's format.
_AUDIO: tuple[tuple[re.Pattern[bytes], str], ...] = (
    (re.compile(rb"(?:RIFF|RF64)....WAVE", re.DOTALL), "wav"),
    (re.compile(rb"fLaC"), "flac"),
    (re.compile(rb"OggS"), "ogg"),
    (re.compile(rb"\x1aE\xdf\xa3"), "matroska"),
    (re.compile(rb"....ftyp(?!avi[fs]|hei[cfmsvx]|mif1|msf1)", re.DOTALL), "mov"),
    (re.compile(rb"ID3|\xff[\xe2-\xe7\xf2-\xf7\xfa-\xff]"), "mp3"),
)
_IMAGE: tuple[tuple[re.Pattern[bytes], str], ...] = (
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "PNG"),
    (re.compile(rb"\xff\xd8\xff"), "JPEG"),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), "WEBP"),
    (re.compile(rb"GIF8[79]a"), "GIF"),
    (re.compile(rb"\x93NUMPY"), "npy"),
)


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
    return _match(_AUDIO, data)


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
    try:
        data[:256].decode("ascii")
    except UnicodeDecodeError:
        return ""
    return " (it looks like text)"


def reason(error: Exception) -> str:
    """Return the first line of a library's error message."""
    text = (getattr(error, "strerror", None) or str(error) or type(error).__name__).strip()
    return text.splitlines()[0].rstrip(".")[:200]


def _match(table: tuple[tuple[re.Pattern[bytes], str], ...], data: bytes) -> str | None:
    return next((name for pattern, name in table if pattern.match(data)), None)
