"""Bytes to RGB pictures. The size is checked in the header, before decoding.

The functions block; call them in a thread.
"""

from __future__ import annotations

import io
import math
import warnings
import zlib
from collections.abc import Iterator

import numpy as np
from numpy.lib import format as npy
from PIL import Image as Pillow
from PIL import ImageOps

from deployments.errors import BrokenMedia, ParleyError, TooLarge, UnsupportedMedia
from deployments.messages import Image
from graphs.http.media import formats, jpeg

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PNG_TEXTS = (b"tEXt", b"zTXt", b"iTXt", b"iCCP")  # the chunks of a PNG that Pillow decompresses, besides the pixels
ORIENTATION_KEYWORDS = (b"Raw profile type exif\0", b"XML:com.adobe.xmp\0")
MAX_ORIENTATION_BYTES = 65_536
MAX_SIDE_PX = 30_000  # Pillow allocates gigabytes for a picture of one column
MAX_SCANS = 100


def decode_image(data: bytes, *, max_pixels: int, side_px: int, param: str = "image") -> Image:
    """Decode the first frame of a picture, rotated by its EXIF orientation, over white where it is transparent.

    A longer side beyond ``side_px`` is scaled down to it. Raises ``UnsupportedMedia``, ``BrokenMedia``, and
    ``TooLarge`` for more than ``max_pixels``.
    """
    format_name = formats.image_format(data)
    if format_name is None:
        raise UnsupportedMedia(
            f"This is not a picture in a supported format{formats.hint(data)}. Send {formats.IMAGE_NAMES}.", param=param
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Pillow.DecompressionBombWarning)  # max_pixels decides
            picture = _from_npy(data, max_pixels, param) if format_name == "npy" else _open(data, format_name, param)
            _check_pixels(picture.width, picture.height, max_pixels, param)
            rgb = _upright_rgb(picture, side_px)
    except (ParleyError, MemoryError):
        raise
    except Pillow.DecompressionBombError:
        raise TooLarge(f"The picture is too large: the limit is {max_pixels:,} pixels.", param=param) from None
    except Exception as error:  # for malformed data a decoder may raise any exception
        message = f"The {format_name} picture cannot be decoded: {formats.reason(error)}."
        raise BrokenMedia(message, param=param) from None
    return Image(np.asarray(rgb))


def _open(data: bytes, format_name: str, param: str) -> Pillow.Image:
    """Read the header of a picture."""
    if jpeg.has_more_scans(data, MAX_SCANS):
        raise TooLarge(f"The JPEG has more than {MAX_SCANS} scans, the limit. Save it again.", param=param)
    if format_name == "PNG":
        data = b"".join(_without_texts(data))
    return Pillow.open(io.BytesIO(data), formats=[format_name])


def _without_texts(data: bytes) -> Iterator[bytes | memoryview]:
    """Yield the parts of a PNG without texts and colour profiles, which Pillow would decompress.

    Short texts that can contain an EXIF orientation are kept. What follows a damaged chunk is kept.
    """
    kept = at = len(PNG_SIGNATURE)
    view = memoryview(data)
    yield PNG_SIGNATURE
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4])
        name = data[at + 4 : at + 8]
        end = at + 12 + size
        is_text = name in PNG_TEXTS and end <= len(data)
        if is_text and not _has_orientation(name, data[at + 8 : min(end - 4, at + 9 + MAX_ORIENTATION_BYTES)]):
            yield view[kept:at]
            kept = end
        at = end
    yield view[kept:]


def _has_orientation(name: bytes, chunk: bytes) -> bool:
    """Return whether the text in a PNG's chunk can contain an EXIF orientation, and is short when decompressed."""
    if len(chunk) > MAX_ORIENTATION_BYTES or not chunk.startswith(ORIENTATION_KEYWORDS):
        return False
    text = chunk.partition(b"\0")[2]
    if name == b"zTXt":
        compressed = text[1:]  # after the method
    elif name == b"iTXt" and text[:1] != b"\0":
        compressed = text[2:].split(b"\0", 2)[-1]  # after flag, method, language, and the translated keyword
    else:
        return True
    try:
        return len(zlib.decompressobj().decompress(compressed, MAX_ORIENTATION_BYTES + 1)) <= MAX_ORIENTATION_BYTES
    except zlib.error:
        return False


def _check_pixels(width: int, height: int, max_pixels: int, param: str) -> None:
    if max(width, height) > MAX_SIDE_PX:
        raise TooLarge(
            f"The picture has {width:,} x {height:,} pixels; the limit of a side is {MAX_SIDE_PX:,}.", param=param
        )
    if width * height > max_pixels:
        raise TooLarge(
            f"The picture has {width:,} x {height:,} pixels; the limit is {max_pixels:,}. Send a smaller one.",
            param=param,
        )


def _upright_rgb(picture: Pillow.Image, side_px: int) -> Pillow.Image:
    if picture.format == "JPEG":
        picture.draft("RGB", (side_px, side_px))  # decodes at 1/8 to 1/1 of the size, never below side_px
    picture = ImageOps.exif_transpose(picture)
    if picture.mode.startswith("I"):  # 16-bit grey, which Pillow would clip at 255
        picture = Pillow.fromarray((np.asarray(picture, np.float32) / 257).clip(0, 255).astype(np.uint8))
    picture = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
    picture.thumbnail((side_px, side_px), Pillow.Resampling.LANCZOS)
    if picture.mode == "RGBA":
        picture = Pillow.alpha_composite(Pillow.new("RGBA", picture.size, "white"), picture)
    return picture.convert("RGB")


def _from_npy(data: bytes, max_pixels: int, param: str) -> Pillow.Image:
    """Read an array of uint8 as a picture, as plain bytes: it is never unpickled."""
    source = io.BytesIO(data)
    version = npy.read_magic(source)
    if version not in ((1, 0), (2, 0)):
        raise UnsupportedMedia("Only .npy versions 1 and 2 are supported.", param=param)
    read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, column_major, dtype = read_header(source)
    if dtype != np.uint8 or len(shape) not in (2, 3) or (len(shape) == 3 and shape[2] not in (3, 4)):
        raise UnsupportedMedia(
            f"The array is {dtype} of shape {shape}. Send uint8 of shape (H,W), (H,W,3) or (H,W,4).", param=param
        )
    _check_pixels(shape[1], shape[0], max_pixels, param)
    size = math.prod(shape)
    pixels = np.frombuffer(data, np.uint8, offset=source.tell())
    if size == 0 or len(pixels) < size:
        raise BrokenMedia(f"The array of shape {shape} should have {size} bytes, not {len(pixels)}.", param=param)
    return Pillow.fromarray(np.ascontiguousarray(pixels[:size].reshape(shape, order="F" if column_major else "C")))
