"""Recognition of formats by their first bytes."""

from __future__ import annotations

import io

import numpy as np
import pytest

from graphs.http.media import formats
from graphs.http.media.formats import Kind
from tests.graphs.http.media.files import AUDIO_FILES, IMAGE_FORMATS, RED, encoded, npy, picture

MP4 = b"\0\0\0\x1cftyp"


@pytest.mark.parametrize(("container", "codec", "rate_hz", "channels"), AUDIO_FILES)
def test_recognizes_every_audio_format(container: str, codec: str, rate_hz: int, channels: int) -> None:
    assert formats.kind_of(encoded(container, codec, rate_hz, channels)) is Kind.AUDIO


@pytest.mark.parametrize("format_name", IMAGE_FORMATS)
def test_recognizes_every_picture_format(format_name: str) -> None:
    data = picture(RED, format_name)
    assert formats.kind_of(data) is Kind.IMAGE
    assert formats.image_format(data) == format_name


def test_recognizes_an_array_as_a_picture() -> None:
    data = npy(np.zeros((4, 4), np.uint8))
    assert formats.kind_of(data) is Kind.IMAGE
    assert formats.image_format(data) == "npy"


@pytest.mark.parametrize("brand", [b"M4A ", b"isom", b"mp42"])
def test_recognizes_mp4_by_its_brand(brand: bytes) -> None:
    assert formats.audio_demuxer(MP4 + brand) == "mov"


@pytest.mark.parametrize("brand", [b"avif", b"avis", b"heic", b"heix", b"mif1", b"msf1"])
def test_pictures_in_an_mp4_container_are_not_audio(brand: bytes) -> None:
    assert formats.kind_of(MP4 + brand) is None


@pytest.mark.parametrize(
    "data", [b"", b"\0" * 100, b"#EXTM3U\n", b"ffconcat version 1.0\n", b"BM", b"RIFF\0\0\0\0AVI "]
)
def test_playlists_and_other_content_have_no_kind(data: bytes) -> None:
    assert formats.kind_of(data) is None


def test_a_tag_that_is_longer_than_its_file_is_mp3() -> None:
    assert formats.find_audio(io.BytesIO(b"ID3\4\0\0\x7f\x7f\x7f\x7f")) == ("mp3", 0)


def test_finds_audio_after_several_tags() -> None:
    tag = b"ID3\4\0\0\0\0\0\x14" + bytes(20)
    footer = b"ID3\4\0\x10\0\0\0\x14" + bytes(30)
    assert formats.find_audio(io.BytesIO(tag + footer + b"fLaC")) == ("flac", 70)


@pytest.mark.parametrize("seed", range(20))
def test_random_bytes_have_no_kind(seed: int) -> None:
    assert formats.kind_of(b"\0" + np.random.default_rng(seed).bytes(100_000)) is None


def test_a_picture_that_contains_frames_of_mp3_is_a_picture() -> None:
    data = picture(RED, "PNG") + encoded("mp3", "libmp3lame", 44_100)
    assert formats.kind_of(data) is Kind.IMAGE


@pytest.mark.parametrize(
    ("data", "hint"),
    [
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", " (it looks like SVG)"),
        (b"<?xml version='1.0'?><svg/>", " (it looks like SVG)"),
        (picture(RED, "PNG"), " (it looks like a picture)"),
        (b"OggS", " (it looks like audio)"),
        (b"Dear Sir or Madam", " (it looks like text)"),
        (b"\xfe\xed\xfa\xce", ""),
        (b"\0" * 1500, ""),
        (b"", ""),
    ],
)
def test_the_hint_names_what_content_looks_like(data: bytes, hint: str) -> None:
    assert formats.hint(data) == hint


def test_the_reason_is_the_first_line_of_a_librarys_message() -> None:
    assert formats.reason(ValueError("Broken header.\nTraceback")) == "Broken header"
    assert formats.reason(OSError(22, "Invalid argument")) == "Invalid argument"
    assert formats.reason(ValueError()) == "ValueError"
    assert len(formats.reason(ValueError("x" * 1000))) == 200
