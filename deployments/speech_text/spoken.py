"""The one place where text becomes what a voice reads."""

from __future__ import annotations

from collections.abc import Set

from deployments.speech_text import english
from deployments.speech_text.characters import Fitted, compatible, fitted


def spoken(text: str, language: str | None, characters: Set[str] | None) -> Fitted:
    """Return plain text (of ``markup.plain``) as a voice reads it.

    For English (``language`` is an ISO 639-1 code) it has words for everything, no digit, and only ``characters``, the
    voice's, in lower case; ``None`` if they are not known. For other languages and for an unknown one it has
    Unicode's compatible forms and no emoji: their voices have rules of their own.
    """
    if (language or "").startswith("en"):
        return fitted(english.words(text), characters)
    return Fitted(compatible(text), "")
