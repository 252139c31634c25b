"""Encoding of pictures."""

from __future__ import annotations

import io

from PIL import Image


def png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()
