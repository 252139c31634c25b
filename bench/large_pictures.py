"""How long short turns take beside callers who send large pictures, which a gateway decodes for a long time.

    make serve CONFIG=bench/fakes.yaml      # engines that take no time: what is left is the gateway
    python -m bench.beside [--callers 0,2,8] [--seconds 20]

``--callers`` send pictures of 12 million pixels (a PNG of 4 MiB) in a closed loop, as many at a time. Beside them one
caller asks, in turns, a spoken question and a written one, a tenth of a second after each answer; ``speech`` and
``text`` are the times to the last word of these, ``pictures_per_s`` is what the others were answered meanwhile. What is
not answered ends the bench. The last line is JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path

import httpx
import numpy as np
from PIL import Image as Pillow
from tqdm import tqdm  # type: ignore[import-untyped]

from bench.client import Request, ask, connect, report, spread_ms

QUESTION = Path(__file__).resolve().parent.parent / "tests" / "data" / "question.wav"
PAUSE_S = 0.1


def large_picture() -> bytes:
    """A PNG of 4000 x 3000 pixels, half of whose rows hold noise."""
    pixels = np.zeros((3000, 4000, 3), np.uint8)
    pixels[..., 0] = np.linspace(0, 255, 4000, dtype=np.uint8)
    pixels[::2, :, 1] = np.random.default_rng(1).integers(0, 8, (1500, 4000))
    file = io.BytesIO()
    Pillow.fromarray(pixels).save(file, "PNG", compress_level=3)
    return file.getvalue()


async def answered_s(client: httpx.AsyncClient, request: Request) -> float:
    """Seconds to the last word of the answer."""
    answer = await ask(client, request)
    if answer.status != 200:
        raise SystemExit(f"beside: {answer.status}: {answer.text}")
    return answer.last_s


class Callers:
    """Those who send pictures, each the next one as soon as he is answered."""

    def __init__(self, client: httpx.AsyncClient, count: int) -> None:
        self.answered = 0
        self._client = client
        self._request = Request("text", "What do you see?", image=large_picture() if count else None)
        self._count = count

    @contextmanager
    def at_work(self) -> Iterator[None]:
        tasks = [asyncio.create_task(self._ask_on()) for _ in range(self._count)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()

    async def _ask_on(self) -> None:
        while True:
            await answered_s(self._client, self._request)
            self.answered += 1


async def measure(url: str, count: int, seconds: float) -> dict[str, object]:
    """Short turns beside so many callers."""
    requests = {"speech": Request("text", audio=QUESTION.read_bytes()), "text": Request("text", "Hello!")}
    times: dict[str, list[float]] = {kind: [] for kind in requests}
    async with connect(url) as client:
        callers = Callers(client, count)
        with callers.at_work():
            start = time.perf_counter()
            for kind in cycle(requests):
                if time.perf_counter() > start + seconds:
                    break
                times[kind].append(await answered_s(client, requests[kind]))
                await asyncio.sleep(PAUSE_S)
            pictures_per_s = callers.answered / (time.perf_counter() - start)
    spread = {kind: spread_ms(taken) for kind, taken in times.items()}
    return {"callers": count, **spread, "pictures_per_s": round(pictures_per_s, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--callers", default="0,2,8", help="with large pictures, at the same time; in turn")
    parser.add_argument("--seconds", default=20, type=float, help="for each of them")
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    asked = parser.parse_args()
    counts = tqdm([int(count) for count in asked.callers.split(",")], "beside", leave=False)
    steps = [asyncio.run(measure(asked.url, count, asked.seconds)) for count in counts]
    for step in steps:
        print(step)
    report("beside", {"steps": steps})


if __name__ == "__main__":
    main()
