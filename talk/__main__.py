"""Talk to Parley in a terminal: ``python -m talk``, or ``python -m talk --wav question.wav`` without a microphone.

Each recording, or each line that is typed, is one turn. Prints what was said, and when each part of the answer came.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import mimetypes
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import av
from websockets.exceptions import InvalidStatus, WebSocketException

from talk.client import RATE_HZ, Answer, Client, Refused, answer, spoken_turn
from talk.sound import Devices, load, save

URL = "ws://127.0.0.1:8000/v1/realtime?model=parley"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m talk", description=__doc__)
    parser.add_argument("--url", default=URL, help="address of the service")
    parser.add_argument("--key", default=os.environ.get("PARLEY_API_KEY", ""), help="API key; or PARLEY_API_KEY")
    parser.add_argument("--wav", type=Path, action="append", default=[], help="a recording to say; repeatable")
    parser.add_argument("--text", action="append", default=[], help="a message to send; repeatable")
    parser.add_argument("--image", type=Path, help="a picture for the first --text")
    parser.add_argument("--voice", help="voice of the answers")
    parser.add_argument("--instructions", help="instructions for the model")
    parser.add_argument("--text-only", action="store_true", help="answers in text, without a voice")
    parser.add_argument("--save", type=Path, help="write the audio of the answers to this WAV")
    parser.add_argument("--events", action="store_true", help="print every event, without its audio")
    arguments = parser.parse_args()
    try:
        asyncio.run(talk(arguments))
    except KeyboardInterrupt:
        return 0
    except InvalidStatus as problem:
        status = problem.response.status_code
        hint = " An API key may be missing: --key or PARLEY_API_KEY." if status in (401, 403) else ""
        print(f"talk: {arguments.url} answers with status {status}.{hint}", file=sys.stderr)
        return 1
    except ImportError as problem:
        print(f"talk: {problem}. The microphone needs `pip install sounddevice`; --wav needs none.", file=sys.stderr)
        return 1
    except (Refused, OSError, WebSocketException, av.error.FFmpegError) as problem:
        print(f"talk: {problem or type(problem).__name__}", file=sys.stderr)
        return 1
    return 0


async def talk(arguments: argparse.Namespace) -> None:
    """Run one session."""
    async with Client.open(arguments.url, arguments.key) as client:
        await client.configure(**session(arguments))
        events = printed(client.events()) if arguments.events else client.events()
        if arguments.wav or arguments.text:
            await scripted(client, events, arguments)
        else:
            await live(client, events)


def session(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the fields of the session that the arguments set."""
    output = {"voice": arguments.voice} if arguments.voice else {}
    fields: dict[str, Any] = {
        "output_modalities": ["text"] if arguments.text_only else ["audio"],
        "audio": {"input": {"transcription": {"model": "whisper-1"}}, "output": output},
    }
    return fields | ({"instructions": arguments.instructions} if arguments.instructions else {})


async def scripted(client: Client, events: AsyncIterator[dict[str, Any]], arguments: argparse.Namespace) -> None:
    """Say the recordings and send the texts, one turn after the other."""
    heard = bytearray()
    for path in arguments.wav:
        turn = await spoken_turn(client, events, load(path))
        print(f"you: {turn.transcript}\nparley: {turn.text.strip()}")
        print("  " + ", ".join(f"{name} {ms} ms" for name, ms in turn.times.since_speech_ms().items()))
        heard += turn.audio
    for index, text in enumerate(arguments.text):
        await client.say(text, data_url(arguments.image) if arguments.image and index == 0 else None)
        turn = await answer(events, Answer())
        print(f"you: {text}\nparley: {turn.text.strip()}")
        heard += turn.audio
    if arguments.save:
        save(arguments.save, bytes(heard))


async def live(client: Client, events: AsyncIterator[dict[str, Any]]) -> None:
    """Talk by microphone until interrupted. Speech interrupts an answer."""
    with Devices() as devices:
        print("Listening. Ctrl-C ends. Use headphones, or the microphone hears the answer.")
        capturing = asyncio.create_task(_capture(client, devices))
        try:
            playing: tuple[str, int] | None = None  # the item that is played, and its audio so far in ms
            async for event in events:
                match event["type"]:
                    case "error":
                        print(f"error: {event['error']['message']}", file=sys.stderr)
                    case "conversation.item.input_audio_transcription.completed":
                        print(f"you: {event['transcript']}\nparley:", end="", flush=True)
                    case "response.output_audio_transcript.delta":
                        print(event["delta"], end="", flush=True)
                    case "response.done":
                        print()
                    case "response.output_audio.delta":
                        pcm = base64.b64decode(event["delta"])
                        before_ms = playing[1] if playing and playing[0] == event["item_id"] else 0
                        playing = (event["item_id"], before_ms + len(pcm) * 500 // RATE_HZ)
                        devices.play(pcm)
                    case "input_audio_buffer.speech_started":
                        unheard_ms = devices.silence()
                        if playing and unheard_ms:
                            await client.send(
                                {
                                    "type": "conversation.item.truncate",
                                    "item_id": playing[0],
                                    "content_index": 0,
                                    "audio_end_ms": max(0, playing[1] - unheard_ms),
                                }
                            )
        finally:
            capturing.cancel()


async def _capture(client: Client, devices: Devices) -> None:
    async for pcm in devices.captured():
        await client.append(pcm)


async def printed(events: AsyncIterator[dict[str, Any]]) -> AsyncIterator[dict[str, Any]]:
    """Print events as they pass, without their audio."""
    async for event in events:
        shown = event | ({"delta": f"({len(event['delta'])} characters)"} if "audio.delta" in event["type"] else {})
        print(json.dumps(shown, ensure_ascii=False), flush=True)
        yield event


def data_url(path: Path) -> str:
    """Return a file as a data URL."""
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


if __name__ == "__main__":
    sys.exit(main())
