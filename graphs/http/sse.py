"""Server-sent events (WHATWG HTML, section 9.2): the framing of a stream, the same for all routes. Pure."""

from __future__ import annotations

import json
from typing import Any

MEDIA_TYPE = "text/event-stream"
DONE = "data: [DONE]\n\n"  # the end of OpenAI's streams


def message(data: dict[str, Any], event: str | None = None) -> str:
    """Return one message with ``data`` as JSON; ``event`` is its type, if it has one."""
    name = f"event: {event}\n" if event else ""
    return f"{name}data: {json.dumps(data, ensure_ascii=False)}\n\n"
