"""A connection to ``/v1/realtime``: sends audio at the pace of speech, receives events, and times each turn.

Audio is 16-bit mono PCM at 24 kHz. Times are seconds of ``time.perf_counter``.
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from websockets.asyncio.client import ClientConnection, connect

RATE_HZ = 24_000
FRAME_S = 0.04  # of audio in one message
SILENCE_S = 60.0  # at most, after speech, until its answer is complete
MAX_MESSAGE_BYTES = 16 * 2**20

Pcm = NDArray[np.int16]


class Refused(Exception):
    """The service gives no answer: an ``error`` event, a failed response, speech without words, a closed connection."""


@dataclass(slots=True)
class TurnTimes:
    """When the parts of one turn came; ``None`` if they did not.

    ``speech_end_s`` is when the last sample of speech was sent, ``detected_s`` when the service noticed the end.
    """

    speech_end_s: float | None = None
    detected_s: float | None = None
    transcript_s: float | None = None
    first_text_s: float | None = None
    first_sound_s: float | None = None
    done_s: float | None = None

    def record(self, event: dict[str, Any], now_s: float) -> None:
        """Note the time of an event of the turn."""
        match event["type"]:
            case "input_audio_buffer.speech_stopped":
                self.detected_s = now_s
            case "conversation.item.input_audio_transcription.completed":
                self.transcript_s = now_s
            case "response.output_text.delta" | "response.output_audio_transcript.delta":
                self.first_text_s = self.first_text_s or now_s
            case "response.output_audio.delta":
                self.first_sound_s = self.first_sound_s or now_s
            case "response.done":
                self.done_s = now_s

    def since_speech_ms(self) -> dict[str, int]:
        """Return the milliseconds from the end of speech to each part that came."""
        if self.speech_end_s is None:
            return {}
        parts = {
            "end of speech detected": self.detected_s,
            "transcript": self.transcript_s,
            "first word": self.first_text_s,
            "first sound": self.first_sound_s,
            "done": self.done_s,
        }
        return {name: round((at - self.speech_end_s) * 1000) for name, at in parts.items() if at is not None}


@dataclass(slots=True)
class Answer:
    """What came for one turn."""

    transcript: str = ""  # of the person's speech
    text: str = ""
    audio: bytearray = field(default_factory=bytearray)
    status: str = ""
    times: TurnTimes = field(default_factory=TurnTimes)

    def add(self, event: dict[str, Any]) -> None:
        """Add what an event carries."""
        self.times.record(event, time.perf_counter())
        match event["type"]:
            case "conversation.item.input_audio_transcription.completed":
                self.transcript = event["transcript"]
            case "response.output_text.delta" | "response.output_audio_transcript.delta":
                self.text += event["delta"]
            case "response.output_audio.delta":
                self.audio += base64.b64decode(event["delta"])
            case "response.done":
                self.status = event["response"]["status"]


class Client:
    """One session. ``Client.open`` connects."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str, key: str = "") -> AsyncGenerator[Client, None]:
        """Connect to a ``ws://`` or ``wss://`` address. Raises ``OSError`` or an error of ``websockets``."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        async with connect(url, additional_headers=headers, max_size=MAX_MESSAGE_BYTES) as connection:
            yield cls(connection)

    async def send(self, event: dict[str, Any]) -> None:
        """Send one event."""
        await self._connection.send(json.dumps(event))

    async def configure(self, **session: Any) -> None:
        """Change fields of the session."""
        await self.send({"type": "session.update", "session": {"type": "realtime"} | session})

    async def events(self) -> AsyncIterator[dict[str, Any]]:
        """Yield the events of the service, until it closes the connection."""
        async for message in self._connection:
            yield json.loads(message)

    async def append(self, pcm: Pcm) -> None:
        """Send audio at once."""
        await self.send({"type": "input_audio_buffer.append", "audio": base64.b64encode(pcm.tobytes()).decode()})

    async def speak(self, pcm: Pcm) -> float:
        """Send audio as fast as it would be spoken. Return the time at which its last sample was sent."""
        frame = round(FRAME_S * RATE_HZ)
        started_s = time.perf_counter()
        for at in range(0, len(pcm), frame):
            part = pcm[at : at + frame]
            await asyncio.sleep(max(0.0, started_s + (at + len(part)) / RATE_HZ - time.perf_counter()))
            await self.append(part)
        return time.perf_counter()

    async def say(self, text: str, image_url: str | None = None) -> None:
        """Send a typed message, with a picture as a data URL if there is one, and ask for the answer."""
        content: list[dict[str, Any]] = [{"type": "input_text", "text": text}]
        if image_url:
            content.append({"type": "input_image", "image_url": image_url})
        item = {"type": "message", "role": "user", "content": content}
        await self.send({"type": "conversation.item.create", "item": item})
        await self.send({"type": "response.create"})


async def spoken_turn(client: Client, events: AsyncIterator[dict[str, Any]], speech: Pcm) -> Answer:
    """Say something, then silence until the answer is complete. Return the answer. Raise ``Refused``."""
    turn = Answer()

    async def say() -> None:
        turn.times.speech_end_s = await client.speak(speech)
        await client.speak(np.zeros(round(SILENCE_S * RATE_HZ), np.int16))

    saying, answering = asyncio.create_task(say()), asyncio.create_task(answer(events, turn))
    try:
        await asyncio.wait((saying, answering), return_when=asyncio.FIRST_COMPLETED)
        if not answering.done() and saying.exception() is None and turn.times.detected_s is None:
            raise Refused("the service heard no speech")
        return await answering
    finally:
        saying.cancel()
        answering.cancel()
        await asyncio.gather(saying, answering, return_exceptions=True)


async def answer(events: AsyncIterator[dict[str, Any]], into: Answer) -> Answer:
    """Collect the events of one turn, up to the end of its response. Raise ``Refused`` if it has no answer."""
    async for event in events:
        into.add(event)
        match event["type"]:
            case "error" | "conversation.item.input_audio_transcription.failed":
                raise Refused(event["error"]["message"])
            case "conversation.item.input_audio_transcription.completed":
                # Earlier, it may be a noise before the words.
                if into.times.speech_end_s is not None and not into.transcript.strip():
                    raise Refused("the service heard no words")
            case "response.done":
                if into.status == "failed":
                    raise Refused(event["response"]["status_details"]["error"]["message"])
                return into
    raise Refused("the service closed the connection before the answer was complete")
