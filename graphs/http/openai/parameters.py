"""Types of parameters that several of OpenAI's routes have."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from graphs.http.body import Text


def _empty(value: Any) -> Any:
    """Accept the empty values of an unsupported parameter: clients send their defaults."""
    if value not in (None, False, 0, [], {}, "none", "auto"):
        raise ValueError("is not supported by Parley; leave it out")
    return None


def _voice_name(voice: Any) -> Any:
    """Return the name of a voice, which clients also send as ``{"id": name}``."""
    return voice["id"] if isinstance(voice, dict) and voice.keys() == {"id"} else voice


Unsupported = Annotated[Any, BeforeValidator(_empty), Field(description="Not supported by Parley; must be empty.")]
Ignored = Annotated[Any, Field(description="Accepted without effect.")]
VoiceName = Annotated[
    Annotated[Text, Field(max_length=200)] | None,
    BeforeValidator(_voice_name),
    Field(description="A voice of the speech model, or one of OpenAI's names for its default voice."),
]
