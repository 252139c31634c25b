"""The scans of a JPEG, counted without decoding."""

from __future__ import annotations

import io

import pytest
from PIL import Image as Pillow

from graphs.http.media.jpeg import has_more_scans
from tests.graphs.http.media.bombs import jpeg_of_scans
from tests.graphs.http.media.files import picture, png

NOISE = Pillow.effect_noise((200, 200), 100)
SCAN = b"\xff\xda"


@pytest.mark.parametrize(("progressive", "count"), [(False, 1), (True, 6)])
def test_counts_the_scans_of_a_picture(progressive: bool, count: int) -> None:
    data = picture(NOISE, "JPEG", progressive=progressive)
    assert has_more_scans(data, count - 1)
    assert not has_more_scans(data, count)


def test_counts_added_scans() -> None:
    assert has_more_scans(jpeg_of_scans(101, 100), 100)


@pytest.mark.parametrize("extra", [b"\xff\x01", b"\xff\xff\xff", b"\xff\xd0"])
def test_a_marker_without_length_hides_no_scan(extra: bytes) -> None:
    data = jpeg_of_scans(50, 100)
    position = data.rindex(SCAN)
    hidden = extra + data[position:-2] * 60
    assert has_more_scans(data[:position] + hidden + data[-2:], 100)


def test_does_not_count_what_a_segment_or_the_end_of_the_file_contains() -> None:
    data = picture(NOISE, "JPEG", exif=b"Exif\0\0" + SCAN * 1000)
    assert not has_more_scans(data + SCAN * 1000, 1)


@pytest.mark.parametrize("data", [b"", b"\xff\xd8", b"\xff\xd8\xff\xda", b"\xff\xd8\xff\xe0\xff", png(), SCAN * 1000])
def test_other_data_have_no_scans(data: bytes) -> None:
    assert not has_more_scans(data, 1)


def test_pillow_reads_the_picture_with_added_scans() -> None:
    assert Pillow.open(io.BytesIO(jpeg_of_scans(3, 100))).convert("RGB").size == (100, 100)
