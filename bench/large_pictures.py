"""How long do short requests take while other clients send large pictures, which the Gateway has to decode?

    make serve CONFIG=bench/fakes.yaml      # the engines take no time: what remains is the Gateway
    python -m bench.large_pictures [--concurrency 0,2,8] [--seconds 20]

Method: ``--concurrency`` clients send pictures of 12 million pixels (a PNG of 4 MiB) in a closed loop. One more client
alternates between a spoken and a written question, with a pause of 0.1 s after each. An error response ends the bench.

JSON: per step the times to the last byte of ``speech`` and ``text``, and ``pictures_per_s``.
"""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle

import httpx
import numpy as np
from PIL import Image as Pillow
from tqdm import tqdm  # type: ignore[import-untyped]

from bench.audio import CLIPS
from bench.client import Request, connect, post_chat
from bench.command import URL, argument_parser, comma_separated, report
from bench.figures import spread_ms

PAUSE_S = 0.1


def large_picture() -> bytes:
    """Return a PNG of 4000 x 3000 pixels; every other row contains noise."""
    pixels = np.zeros((3000, 4000, 3), np.uint8)
    pixels[..., 0] = np.linspace(0, 255, 4000, dtype=np.uint8)
    pixels[::2, :, 1] = np.random.default_rng(1).integers(0, 8, (1500, 4000))
    file = io.BytesIO()
    Pillow.fromarray(pixels).save(file, "PNG", compress_level=3)
    return file.getvalue()


async def response_s(client: httpx.AsyncClient, request: Request) -> float:
    """Return the seconds to the last byte. Raise ``SystemExit`` for an error response."""
    response = await post_chat(client, request)
    if response.status != 200:
        raise SystemExit(f"large_pictures: {response.status}: {response.text}")
    return response.last_s


class PictureClients:
    """``count`` clients that send the same picture again after each response."""

    def __init__(self, client: httpx.AsyncClient, count: int) -> None:
        self.responses = 0
        self._client = client
        self._request = Request("text", "What do you see?", image=large_picture() if count else None)
        self._count = count

    @contextmanager
    def running(self) -> Iterator[None]:
        tasks = [asyncio.create_task(self._loop()) for _ in range(self._count)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()

    async def _loop(self) -> None:
        while True:
            await response_s(self._client, self._request)
            self.responses += 1


async def measure(url: str, concurrency: int, seconds: float) -> dict[str, object]:
    """Return the times of short requests next to ``concurrency`` clients with pictures."""
    requests = {
        "speech": Request("text", audio=(CLIPS / "question.wav").read_bytes()),
        "text": Request("text", "Hello!"),
    }
    times: dict[str, list[float]] = {kind: [] for kind in requests}
    async with connect(url) as client:
        pictures = PictureClients(client, concurrency)
        with pictures.running():
            start = time.perf_counter()
            for kind in cycle(requests):
                if time.perf_counter() > start + seconds:
                    break
                times[kind].append(await response_s(client, requests[kind]))
                await asyncio.sleep(PAUSE_S)
            pictures_per_s = pictures.responses / (time.perf_counter() - start)
    spreads = {kind: spread_ms(seconds) for kind, seconds in times.items()}
    return {"concurrency": concurrency, **spreads, "pictures_per_s": round(pictures_per_s, 1)}


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument(
        "--concurrency", default=[0, 2, 8], type=comma_separated(int), help="clients that send pictures, per step"
    )
    parser.add_argument("--seconds", default=20, type=float, help="duration of each step")
    parser.add_argument("--url", default=URL)
    options = parser.parse_args()
    counts = tqdm(options.concurrency, "large_pictures", leave=False)
    steps = [asyncio.run(measure(options.url, count, options.seconds)) for count in counts]
    for step in steps:
        print(step)
    report("large_pictures", {"steps": steps})


if __name__ == "__main__":
    main()
