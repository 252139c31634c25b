"""How clients name a voice: by a name, or by an object with an id. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from graphs.http.body import Text


def _name(voice: Any) -> Any:
    return voice["id"] if isinstance(voice, dict) and voice.keys() == {"id"} else voice


VoiceName = Annotated[
    Annotated[Text, Field(max_length=200)] | None,
    BeforeValidator(_name),
    Field(description="A voice of the speech model, or one of OpenAI's names for its default voice."),
]


def engine_voice(name: str | None, aliases: Mapping[str, str | None]) -> str | None:
    """The engine's voice; ``None`` is its default."""
    return None if name is None else aliases.get(name, name)
