"""Decoding of pictures: every format, every kind of damaged file, and the limits of size."""

from __future__ import annotations

import struct
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from deployments.errors import BrokenMedia, TooLarge, UnsupportedMedia
from graphs.http.media.images import decode_image
from tests.graphs.http.media.files import IMAGE_FORMATS, RED, npy, picture, tone, wav


def decode(data: bytes, max_pixels: int = 1_000_000, side_px: int = 512) -> np.ndarray:
    return decode_image(data, max_pixels=max_pixels, side_px=side_px).pixels


@pytest.mark.parametrize("format_name", IMAGE_FORMATS)
def test_decodes_every_format_to_rgb(format_name: str) -> None:
    pixels = decode(picture(RED, format_name))
    assert pixels.shape == (30, 40, 3)
    assert pixels.dtype == np.uint8
    assert np.abs(pixels[15, 20].astype(int) - (250, 10, 10)).max() < 12


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_decodes_every_mode_of_png(mode: str) -> None:
    white = Pillow.new("L", (8, 8), 255)
    image = Pillow.fromarray(np.full((8, 8), 65535, np.uint16)) if mode == "I;16" else white.convert(mode)
    pixels = decode(picture(image, "PNG"))
    assert pixels.shape == (8, 8, 3)
    assert (pixels == 255).all()


def test_scales_16_bit_grey_to_8_bits() -> None:
    grey = Pillow.fromarray(np.full((4, 4), 32768, np.uint16))
    assert abs(int(decode(picture(grey, "PNG"))[0, 0, 0]) - 128) <= 1


def test_decodes_a_cmyk_jpeg() -> None:
    assert decode(picture(Pillow.new("CMYK", (8, 8)), "JPEG")).min() > 240


def test_transparent_pixels_become_white() -> None:
    assert (decode(picture(Pillow.new("RGBA", (4, 4), (0, 0, 0, 0)), "PNG")) == 255).all()
    palette = Pillow.new("P", (4, 4), 0)
    assert (decode(picture(palette, "PNG", transparency=0)) == 255).all()


def test_rotates_a_picture_by_its_exif_orientation() -> None:
    exif = Pillow.Exif()
    exif[0x0112] = 6  # rotated by 90 degrees
    assert decode(picture(RED, "JPEG", exif=exif)).shape == (40, 30, 3)


def test_decodes_the_first_frame_of_an_animation() -> None:
    frames = [Pillow.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    assert tuple(decode(picture(frames[0], "GIF", save_all=True, append_images=frames[1:]))[0, 0]) == (255, 0, 0)


@pytest.mark.parametrize("format_name", ["PNG", "JPEG"])
def test_scales_a_large_picture_down(format_name: str) -> None:
    assert decode(picture(RED.resize((800, 600)), format_name), side_px=200).shape == (150, 200, 3)


def test_a_scaled_picture_has_at_least_one_row() -> None:
    assert decode(picture(RED.resize((5000, 1)), "PNG"), side_px=100).shape == (1, 100, 3)


@pytest.mark.parametrize(
    ("array", "shape"),
    [
        (np.zeros((5, 7), np.uint8), (5, 7, 3)),
        (np.zeros((5, 7, 3), np.uint8), (5, 7, 3)),
        (np.full((5, 7, 4), 255, np.uint8), (5, 7, 3)),
        (np.asfortranarray(np.arange(105, dtype=np.uint8).reshape(5, 7, 3)), (5, 7, 3)),
    ],
)
def test_decodes_an_array(array: np.ndarray, shape: tuple[int, ...]) -> None:
    pixels = decode(npy(array))
    assert pixels.shape == shape
    if array.shape == shape:
        assert (pixels == array).all()


def chunk(name: bytes, data: bytes) -> bytes:
    """Return a chunk of a PNG."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_with(*chunks: bytes) -> bytes:
    """Return a red PNG with ``chunks`` after its header, and again at its end."""
    data = picture(RED, "PNG")
    added = b"".join(chunks)
    return data[:33] + added + data[33:-12] + added + data[-12:]


LONG_TEXT = b"node " * 600_000


@pytest.mark.parametrize(
    "chunks",
    [
        [chunk(b"zTXt", b"workflow\0\0" + zlib.compress(LONG_TEXT))],
        [chunk(b"iTXt", b"prompt\0\1\0\0\0" + zlib.compress(LONG_TEXT))],
        [chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + LONG_TEXT)],
        [chunk(b"tEXt", b"mxfile\0" + LONG_TEXT)] * 30,
        [chunk(b"iCCP", b"profile\0\0" + zlib.compress(LONG_TEXT))],
        [chunk(b"zTXt", b"damaged\0\0" + b"not compressed")],
        [chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(LONG_TEXT))],
        [chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(LONG_TEXT))],
        [chunk(b"zTXt", b"Raw profile type exif\0\0" + b"not compressed")],
    ],
    ids=["zTXt", "iTXt", "XMP", "64 MB of tEXt", "iCCP", "damaged", "compressed XMP", "EXIF in zTXt", "damaged EXIF"],
)
def test_reads_a_png_without_its_texts(chunks: list[bytes]) -> None:
    pixels = decode(png_with(*chunks))
    assert pixels.shape == (30, 40, 3)
    assert tuple(pixels[15, 20]) == (250, 10, 10)


def test_reads_the_png_of_a_client_with_3_mb_of_text() -> None:
    data = Path("tests/data/inputs/zTXt_3MB_ComfyUI_draw_io_.png").read_bytes()
    assert decode(data).std() > 10


def test_does_not_decompress_the_texts_of_a_png() -> None:
    data = png_with(chunk(b"zTXt", b"workflow\0\0" + zlib.compress(LONG_TEXT)))
    tracemalloc.start()
    decode(data)
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def test_rotates_a_png_by_its_exif_orientation() -> None:
    exif = Pillow.Exif()
    exif[0x0112] = 6  # rotated by 90 degrees
    assert decode(picture(RED, "PNG", exif=exif)).shape == (40, 30, 3)
    raw = b"\nexif\n%8d\n%s" % (len(exif.tobytes()), exif.tobytes().hex().encode())
    assert decode(png_with(chunk(b"tEXt", b"Raw profile type exif\0" + raw))).shape == (40, 30, 3)
    compressed = b"Raw profile type exif\0\0" + zlib.compress(raw)
    assert decode(png_with(chunk(b"zTXt", compressed))).shape == (40, 30, 3)
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/" tiff:Orientation="6"></x:xmpmeta>'
    compressed = b"XML:com.adobe.xmp\0\1\0en\0XMP\0" + zlib.compress(xmp)
    assert decode(png_with(chunk(b"iTXt", compressed))).shape == (40, 30, 3)


def decompression_bomb(width: int, height: int) -> bytes:
    """Return a PNG of a few bytes whose header has ``width`` x ``height`` pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    "data", [decompression_bomb(50_000, 50_000), decompression_bomb(12_000, 10_000), decompression_bomb(1001, 1000)]
)
def test_rejects_too_many_pixels_without_decoding_them(data: bytes) -> None:
    tracemalloc.start()
    with pytest.raises(TooLarge, match="pixels"):
        decode(data)
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def test_checks_the_shape_of_an_array_before_reading_it() -> None:
    header = npy(np.zeros((1, 1), np.uint8))[:128].replace(b"(1, 1), }", b"(99999, 99999), }"[:17])
    with pytest.raises(TooLarge):
        decode(header)


@pytest.mark.parametrize("format_name", IMAGE_FORMATS)
def test_rejects_a_truncated_picture(format_name: str) -> None:
    noise = Pillow.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))
    data = picture(noise, format_name)
    with pytest.raises(BrokenMedia) as caught:
        decode(data[: len(data) // 2])
    assert caught.value.param == "image"


@pytest.mark.parametrize(
    "array",
    [
        np.array([{"a": 1}], dtype=object),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((4, 4, 2), np.uint8),
        np.zeros(4, np.uint8),
        np.zeros((1, 4, 4, 3), np.uint8),
    ],
    ids=["objects", "floats", "two channels", "one dimension", "four dimensions"],
)
def test_rejects_arrays_of_other_types_or_shapes(array: np.ndarray) -> None:
    with pytest.raises(UnsupportedMedia, match="uint8"):
        decode(npy(array, allow_pickle=True))


def test_never_unpickles_an_array() -> None:
    class FailsIfUnpickled:
        def __reduce__(self) -> tuple[Any, ...]:
            return pytest.fail, ("it was unpickled",)

    with pytest.raises(UnsupportedMedia):
        decode(npy(np.array([FailsIfUnpickled()], dtype=object), allow_pickle=True))


@pytest.mark.parametrize("data", [npy(np.zeros((9, 9), np.uint8))[:-1], npy(np.zeros((0, 9), np.uint8)), b"\x93NUMPY"])
def test_rejects_a_broken_array(data: bytes) -> None:
    with pytest.raises(BrokenMedia):
        decode(data)


@pytest.mark.parametrize(
    ("data", "hint"),
    [
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"<?xml version='1.0'?><svg/>", "SVG"),
        (b"BM" + b"\0" * 100, ""),
        (wav(tone(16_000)), "looks like audio"),
    ],
)
def test_rejects_content_that_is_not_a_picture(data: bytes, hint: str) -> None:
    with pytest.raises(UnsupportedMedia, match=hint or None) as caught:
        decode(data)
    assert "PNG" in caught.value.message
