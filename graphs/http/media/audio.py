"""Bytes to sound and pictures. The content decides what it is; names and headers of the request are not looked at.

Nothing is decoded beyond its limit: sound is counted while it is decoded, pictures are measured before. The decoder is
chosen by the first bytes, never guessed by the library, so that no playlist or script is ever followed.
All functions block; call them in a thread. They know nothing of HTTP.
"""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Iterator
from enum import StrEnum
from typing import BinaryIO

import av
import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageOps

from deployments.errors import BrokenMedia, NoSpeech, ParleyError, TooLarge, UnsupportedMedia
from deployments.messages import Audio, Image

RATE_HZ = 16_000
PIECE_S = 30  # of a long recording; what a recognizer looks at in one go
QUIET_WITHIN_S = 10  # before the end of a piece a quiet place is looked for
FIRST_BYTES = 4096
PLAUSIBLE_RATES_HZ = range(1_000, 768_001)  # others are lies of a header, and cost the resampler gigabytes

AUDIO_NAMES = "WAV, FLAC, MP3, Ogg (Vorbis or Opus), WebM or M4A"
IMAGE_NAMES = "PNG, JPEG, WebP, GIF or a .npy array of uint8"

# Of a demuxer. WAV says in its header what it holds; FFmpeg would search up to five megabytes of it for other codecs
# all the same, which took longer than the rest. Its frames would be short as well, and each costs the same.
_OPTIONS = {"wav": {"probesize": "32", "max_size": "8192"}}  # bytes

# First bytes to the demuxer's name.
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
    AUDIO = "audio"
    IMAGE = "image"


def kind_of(data: bytes) -> Kind | None:
    """What the first bytes say that this is; ``None`` for what Parley does not read."""
    if _match(_AUDIO, data):
        return Kind.AUDIO
    return Kind.IMAGE if _match(_IMAGE, data) else None


def decode_audio(data: bytes, *, max_s: float, param: str = "audio") -> Audio:
    """Sound of any rate and channel count to mono at 16 kHz; one cut short is taken as far as it goes.

    Raises ``UnsupportedMedia``, ``BrokenMedia``, ``TooLarge`` (longer than ``max_s``; no more is decoded), and
    ``NoSpeech`` for a sound of no samples at all.
    """
    demuxer = _match(_AUDIO, data)
    if demuxer is None:
        raise UnsupportedMedia(f"This is no sound that Parley reads{_looks(data)}. Send {AUDIO_NAMES}.", param=param)
    pieces: list[NDArray[np.float32]] = []
    try:
        for piece in _resampled(io.BytesIO(data), demuxer, max_s, param):
            pieces.append(piece)
    except ParleyError:
        raise
    except Exception as error:  # a decoder of hostile bytes may raise anything
        if not pieces:
            raise BrokenMedia(f"The {_name(demuxer)} sound cannot be decoded: {_reason(error)}.", param=param) from None
    samples = np.concatenate(pieces) if pieces else np.empty(0, np.float32)
    if not len(samples):
        raise NoSpeech("The recording holds no samples. Record something, or send text.", param=param)
    if not np.isfinite(samples).all():
        raise BrokenMedia(
            "The sound holds samples that are no numbers (NaN or infinite). Export it again.", param=param
        )
    return Audio(np.clip(samples, -1, 1), RATE_HZ)


def audio_pieces(source: BinaryIO, *, max_s: float, param: str) -> Iterator[tuple[float, Audio]]:
    """Sound of any length, decoded as it is taken: pieces of mono at 16 kHz, each with the second at which it begins.

    Pieces are cut where it is quiet. Raises as ``decode_audio`` does, ``TooLarge`` only when that much has been taken.
    """
    source.seek(0)
    start = source.read(FIRST_BYTES)
    source.seek(0)
    demuxer = _match(_AUDIO, start)
    if demuxer is None:
        raise UnsupportedMedia(f"This is no sound that Parley reads{_looks(start)}. Send {AUDIO_NAMES}.", param=param)
    begun = False
    at = 0
    try:
        for samples in _cut(_resampled(source, demuxer, max_s, param)):
            begun = True
            yield at / RATE_HZ, Audio(np.clip(np.nan_to_num(samples), -1, 1), RATE_HZ)
            at += len(samples)
    except ParleyError:
        raise
    except Exception as error:  # a decoder of hostile bytes may raise anything
        if not begun:
            raise BrokenMedia(f"The {_name(demuxer)} sound cannot be decoded: {_reason(error)}.", param=param) from None


def decode_image(data: bytes, *, max_pixels: int, side_px: int, param: str = "image") -> Image:
    """A picture to RGB: upright as its EXIF says, its first frame, over white where it is transparent.

    A longer side beyond ``side_px`` is shrunk to it. Raises ``UnsupportedMedia``, ``BrokenMedia``, and ``TooLarge``
    (more than ``max_pixels``; not decoded then).
    """
    format_name = _match(_IMAGE, data)
    if format_name is None:
        raise UnsupportedMedia(f"This is no picture that Parley reads{_looks(data)}. Send {IMAGE_NAMES}.", param=param)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Pillow.DecompressionBombWarning)  # max_pixels decides
            picture = _from_npy(data, max_pixels, param) if format_name == "npy" else _open(data, format_name)
            _check_pixels(picture.width, picture.height, max_pixels, param)
            rgb = _upright_rgb(picture, side_px)
    except ParleyError:
        raise
    except Pillow.DecompressionBombError:
        raise TooLarge(f"The picture is too large: at most {max_pixels:,} pixels are read.", param=param) from None
    except Exception as error:  # a decoder of hostile bytes may raise anything
        raise BrokenMedia(f"The {format_name} picture cannot be decoded: {_reason(error)}.", param=param) from None
    return Image(np.asarray(rgb))


def _match(table: tuple[tuple[re.Pattern[bytes], str], ...], data: bytes) -> str | None:
    return next((name for pattern, name in table if pattern.match(data)), None)


def _looks(data: bytes) -> str:
    """A hint at what was sent instead, to be put into a sentence."""
    start = data[:256].lstrip().lower()
    if b"<svg" in start or (start.startswith(b"<?xml") and b"svg" in data[:2048].lower()):
        return " (it looks like SVG)"
    kind = kind_of(data)
    if kind:
        return f" (it looks like {'a picture' if kind is Kind.IMAGE else 'a sound'})"
    try:
        data[:256].decode("ascii")
    except UnicodeDecodeError:
        return ""
    return " (it looks like text)"


def _name(demuxer: str) -> str:
    return {"matroska": "WebM", "mov": "M4A"}.get(demuxer, demuxer.upper())


def _reason(error: Exception) -> str:
    """The first line of the library's own words."""
    text = (getattr(error, "strerror", None) or str(error) or type(error).__name__).strip()
    return text.splitlines()[0].rstrip(".")[:200]


# --- sound ------------------------------------------------------------------------------------------------------------


def _resampled(source: BinaryIO, demuxer: str, max_s: float, param: str) -> Iterator[NDArray[np.float32]]:
    """The sound in pieces of mono 16 kHz; no more than ``max_s`` seconds are ever decoded."""
    heard_s = 0.0
    with av.open(source, "r", format=demuxer, options=_OPTIONS.get(demuxer), metadata_errors="ignore") as container:
        if not container.streams.audio:
            raise UnsupportedMedia("The file holds no sound, only pictures. Send it as an image.", param=param)
        resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE_HZ)
        for frame in container.decode(container.streams.audio[0]):
            if frame.sample_rate not in PLAUSIBLE_RATES_HZ:
                raise BrokenMedia(f"The header says {frame.sample_rate} samples per second.", param=param)
            heard_s += frame.samples / frame.sample_rate
            if heard_s > max_s:
                raise TooLarge(f"The sound is longer than {max_s:g} s, the most that is heard.", param=param)
            for mono in resampler.resample(frame):
                yield mono.to_ndarray()[0]
        for mono in resampler.resample(None):
            yield mono.to_ndarray()[0]


def _cut(pieces: Iterator[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
    """The same sound in stretches of at most ``PIECE_S``; one cut short by an error comes before the error."""
    held: list[NDArray[np.float32]] = []
    length = 0
    try:
        for piece in pieces:
            held.append(piece)
            length += len(piece)
            while length >= PIECE_S * RATE_HZ:
                whole = np.concatenate(held)
                end = _quietest(whole[: PIECE_S * RATE_HZ])
                yield whole[:end]
                held = [whole[end:]]
                length = len(held[0])
    except ParleyError:
        raise
    except Exception:
        if length:
            yield np.concatenate(held)
        raise
    if length:
        yield np.concatenate(held)


def _quietest(samples: NDArray[np.float32]) -> int:
    """The middle of the quietest stretch in the last ``QUIET_WITHIN_S``."""
    step = RATE_HZ // 10
    tail = len(samples) - QUIET_WITHIN_S * RATE_HZ
    loudness = np.square(samples[tail:]).reshape(-1, step).mean(axis=1)
    pairs = loudness[:-1] + loudness[1:]
    return tail + (int(np.argmin(pairs)) + 1) * step


# --- pictures ---------------------------------------------------------------------------------------------------------


def _open(data: bytes, format_name: str) -> Pillow.Image:
    """The picture, not yet decoded."""
    return Pillow.open(io.BytesIO(data), formats=[format_name])


def _check_pixels(width: int, height: int, max_pixels: int, param: str) -> None:
    if width * height > max_pixels:
        raise TooLarge(
            f"The picture has {width:,} x {height:,} pixels; at most {max_pixels:,} are read. Send a smaller one.",
            param=param,
        )


def _upright_rgb(picture: Pillow.Image, side_px: int) -> Pillow.Image:
    if picture.format == "JPEG":
        picture.draft("RGB", (side_px, side_px))  # decodes at an eighth to the whole of the size: never below side_px
    picture = ImageOps.exif_transpose(picture)
    if picture.mode.startswith("I"):  # 16 bits of grey, which Pillow would cut off at 255
        picture = Pillow.fromarray((np.asarray(picture, np.float32) / 257).clip(0, 255).astype(np.uint8))
    picture = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
    picture.thumbnail((side_px, side_px), Pillow.Resampling.LANCZOS)
    if picture.mode == "RGBA":
        picture = Pillow.alpha_composite(Pillow.new("RGBA", picture.size, "white"), picture)
    return picture.convert("RGB")


def _from_npy(data: bytes, max_pixels: int, param: str) -> Pillow.Image:
    """An array of uint8 as a picture; read as plain bytes, never unpickled."""
    source = io.BytesIO(data)
    version = npy.read_magic(source)
    if version not in ((1, 0), (2, 0)):
        raise UnsupportedMedia("Arrays of .npy version 1 or 2 are read.", param=param)
    read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, in_columns, dtype = read_header(source)
    if dtype != np.uint8 or len(shape) not in (2, 3) or (len(shape) == 3 and shape[2] not in (3, 4)):
        raise UnsupportedMedia(
            f"The array is {dtype} of shape {shape}. Send uint8 of shape (H,W), (H,W,3) or (H,W,4).", param=param
        )
    _check_pixels(shape[1], shape[0], max_pixels, param)
    size = math.prod(shape)
    pixels = np.frombuffer(data, np.uint8, offset=source.tell())
    if size == 0 or len(pixels) < size:
        raise BrokenMedia(f"The array of shape {shape} should hold {size} bytes, not {len(pixels)}.", param=param)
    return Pillow.fromarray(np.ascontiguousarray(pixels[:size].reshape(shape, order="F" if in_columns else "C")))
