"""The small models that find turns in live audio. They are loaded with the first session that needs them."""

from __future__ import annotations

import asyncio
from pathlib import Path

from graphs.http.openai.realtime.semantic import EndOfTurn
from graphs.http.openai.realtime.vad import SpeechModel


class VoiceModels:
    """One of each, for all sessions. ``end_of_turn`` is the file of the second one, if the service has it."""

    def __init__(self, end_of_turn: Path | None = None) -> None:
        self.has_end_of_turn = end_of_turn is not None
        self._end_of_turn_path = end_of_turn
        self._lock = asyncio.Lock()
        self._speech: SpeechModel | None = None
        self._end_of_turn: EndOfTurn | None = None

    async def speech(self) -> SpeechModel:
        """Return the model of voice activity."""
        async with self._lock:
            if self._speech is None:
                self._speech = await asyncio.to_thread(SpeechModel)
            return self._speech

    async def end_of_turn(self) -> EndOfTurn:
        """Return the model that hears whether a person has finished, which the service must have."""
        assert self._end_of_turn_path is not None
        async with self._lock:
            if self._end_of_turn is None:
                self._end_of_turn = await asyncio.to_thread(EndOfTurn, self._end_of_turn_path)
            return self._end_of_turn
