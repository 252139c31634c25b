"""The scans of a JPEG, counted without decoding. Pure.

A progressive JPEG has about ten. Each one passes over the whole picture, even if it has only a few bytes: thousands of
them take minutes to decode. Markers: ITU-T T.81, annex B.
"""

from __future__ import annotations

import re

_START = b"\xff\xd8"
_SCAN = 0xDA
_END = 0xD9
_MARKER = re.compile(rb"\xff+[^\x00\x01\xff\xd0-\xd8]")  # the others have no length, or are data of a scan


def has_more_scans(data: bytes, limit: int) -> bool:
    """Return whether the first picture of ``data`` has more than ``limit`` scans. False for what is not a JPEG."""
    scans = 0
    position = len(_START) if data.startswith(_START) else len(data)
    while marker := _MARKER.search(data, position):
        kind = data[marker.end() - 1]
        if kind == _END:
            break
        scans += kind == _SCAN
        if scans > limit:
            return True
        position = marker.end() + max(2, int.from_bytes(data[marker.end() : marker.end() + 2]))
    return False
