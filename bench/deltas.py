"""How long does a delta take from the engine to the client, through Ray Serve, the Gateway and uvicorn?

    make serve CONFIG=bench/deltas.yaml
    python -m bench.deltas [--url http://127.0.0.1:8000] [--runs 5]

Method: the fake chat model generates 100 words at intervals of 20 ms; each word is the time of its generation on the
machine's monotonic clock, which the client on the same machine compares with the time of arrival. One and eight
concurrent streams are read from both routes.

JSON: per route and concurrency the number of ``words``, and the delay as ``p50_ms``, ``p95_ms`` and ``max_ms``.
"""

from __future__ import annotations

import asyncio
import re
import time
from typing import Any

import httpx
import numpy as np

from bench.command import URL, argument_parser, report

TIME = re.compile(r"\d+\.\d{6}")
MESSAGES = [{"role": "user", "content": "When?"}]
ROUTES: dict[str, tuple[str, dict[str, Any], dict[str, str]]] = {
    "chat": ("/chat", {"text": "When?"}, {"accept": "text/event-stream"}),
    "completions": ("/v1/chat/completions", {"messages": MESSAGES, "stream": True}, {}),
}
CONCURRENCY = (1, 8)


async def delays_ms(client: httpx.AsyncClient, route: str) -> list[float]:
    """Return the milliseconds from the generation of each word of one stream to its arrival."""
    path, body, headers = ROUTES[route]
    delays = []
    async with client.stream("POST", path, json=body, headers=headers) as response:
        response.raise_for_status()
        async for line in response.aiter_lines():
            arrived = time.monotonic()
            if "event: done" in line:
                break
            delays += [(arrived - float(generated)) * 1000 for generated in TIME.findall(line)]
    return delays


async def measure(url: str, runs: int) -> dict[str, dict[str, float]]:
    figures = {}
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        for route in ROUTES:
            await delays_ms(client, route)  # the first request of a replica is slower
            for concurrency in CONCURRENCY:
                streams = [
                    stream
                    for _ in range(runs)
                    for stream in await asyncio.gather(*(delays_ms(client, route) for _ in range(concurrency)))
                ]
                delays = np.concatenate(streams)
                p50, p95 = np.percentile(delays, (50, 95))
                figures[f"{route}, {concurrency} concurrent"] = {
                    "words": len(delays), "p50_ms": round(p50, 2), "p95_ms": round(p95, 2),
                    "max_ms": round(float(delays.max()), 2),
                }  # fmt: skip
    return figures


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--url", default=URL)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    figures = asyncio.run(measure(options.url, options.runs))
    for name, row in figures.items():
        print(f"{name:26}", "  ".join(f"{key} {value}" for key, value in row.items()))
    report("deltas", figures)


if __name__ == "__main__":
    main()
