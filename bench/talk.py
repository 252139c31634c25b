"""Live talk: how soon an answer begins after the last word, and how soon it ends when one cuts in.

Sends a recording at the pace of speech to a running service (`make serve`), and silence after it, as a microphone does.
Times count from the moment at which the last sample of speech is sent. The silence after which the service takes a turn
for complete is subtracted, as it is a setting. ``--sessions 1,8`` lets as many sessions talk in turn, each beginning as
the one before it is answered, or together with ``--together``. ``--idle 200`` also opens sessions that say nothing.

    python -m bench.talk --wav question.wav --rounds 10
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import numpy as np

from talk.client import RATE_HZ, Answer, Client, Pcm, spoken_turn
from talk.sound import load

URL = "ws://127.0.0.1:8000/v1/realtime"
SILENCE_MS = 500
LOUD = 500  # of 32768: samples below it at the end of a recording are no speech
PARTS = ("transcript", "first word", "first sound")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default=URL)
    parser.add_argument("--wav", type=Path, default=Path("tests/data/question.wav"))
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--sessions", default="1", help="numbers of sessions, such as 1,8")
    parser.add_argument("--together", action="store_true", help="all sessions talk at the same time")
    parser.add_argument("--idle", type=int, default=0, help="further sessions that say nothing")
    arguments = parser.parse_args()
    asyncio.run(measure(arguments))


async def measure(arguments: argparse.Namespace) -> None:
    speech = trimmed(load(arguments.wav))
    print(f"{len(speech) / RATE_HZ:.1f} s of speech; ms after its end, less {SILENCE_MS} ms of silence: p50 / p95")
    print(f"{'sessions':>8}  " + "  ".join(f"{part:>15}" for part in PARTS) + f"  {'barge-in':>12}")
    results = []
    for count in map(int, arguments.sessions.split(",")):
        async with AsyncExitStack() as stack:
            for _ in range(arguments.idle):
                await stack.enter_async_context(Client.open(arguments.url))
            turns, cuts = await rounds(arguments, count, speech)
        row = {part: quantiles([turn[part] for turn in turns]) for part in PARTS} | {"barge-in": quantiles(cuts)}
        results.append({"sessions": count} | row)
        cells = "  ".join(f"{p50:>7.0f} /{p95:>6.0f}" for p50, p95 in list(row.values())[:-1])
        print(f"{count:>8}  {cells}  {row['barge-in'][0]:>5.0f} /{row['barge-in'][1]:>5.0f}")
    print(json.dumps(results))


async def rounds(arguments: argparse.Namespace, count: int, speech: Pcm) -> tuple[list[dict[str, float]], list[float]]:
    """Return the times of all turns, and of the interruptions that follow each."""
    turns: list[dict[str, float]] = []
    cuts: list[float] = []
    async with AsyncExitStack() as stack:
        sessions = [await stack.enter_async_context(Client.open(arguments.url)) for _ in range(count)]
        streams = [client.events() for client in sessions]
        for client in sessions:
            await client.configure(audio={"input": {"transcription": {"model": "whisper-1"}}})
        for _ in range(arguments.rounds):
            if arguments.together:
                work = [turn(client, events, speech) for client, events in zip(sessions, streams, strict=True)]
                found = await asyncio.gather(*work)
            else:
                found = [await turn(client, events, speech) for client, events in zip(sessions, streams, strict=True)]
            turns += found
            cuts.append(await barge_in(sessions[0], streams[0], speech))
    return turns, cuts


async def turn(client: Client, events: AsyncIterator[dict[str, Any]], speech: Pcm) -> dict[str, float]:
    """Return the milliseconds of one spoken turn."""
    done = await spoken_turn(client, events, speech)
    times = done.times.since_speech_ms()
    return {part: times[part] - SILENCE_MS for part in PARTS}


async def barge_in(client: Client, events: AsyncIterator[dict[str, Any]], speech: Pcm) -> float:
    """Interrupt an answer with speech; return the milliseconds from its first sample to the last audio."""
    await client.say("Tell me a long story about a fox and a bear.")
    answer = Answer()
    last_s = began_s = 0.0
    speaking: asyncio.Task[float] | None = None
    async for event in events:
        answer.add(event)
        if event["type"] == "response.output_audio.delta":
            last_s = time.perf_counter()
            if speaking is None:
                began_s = last_s
                speaking = asyncio.create_task(client.speak(np.concatenate([speech, np.zeros(RATE_HZ * 2, np.int16)])))
        if event["type"] == "response.done":
            break
    if speaking:
        await speaking
    async for event in events:  # the answer to what was said
        if event["type"] == "response.done":
            break
    return max(0.0, last_s - began_s) * 1000


def trimmed(pcm: Pcm) -> Pcm:
    """Return a recording without the silence at both ends."""
    loud = np.flatnonzero(np.abs(pcm.astype(np.int32)) > LOUD)
    return pcm[loud[0] : loud[-1] + 1] if len(loud) else pcm


def quantiles(values: Sequence[float]) -> tuple[float, float]:
    """Return the median and the 95th percentile."""
    return statistics.median(values), float(np.percentile(values, 95))


if __name__ == "__main__":
    main()
