"""How long a piece of text takes from its making to its reader: what Ray Serve, the gateway and uvicorn hold it back.

    make serve CONFIG=bench/deltas.yaml
    python -m bench.deltas [--url http://127.0.0.1:8000] [--runs 5]

The service's text model pretends: it says words 20 ms apart, each the time of its making on the machine's monotonic
clock, which the client on the same machine reads when the word's line arrives. Streams of both routes are read alone
and eight at a time. The last line is the figures in JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import time
from typing import Any

import httpx
import numpy as np

MADE = re.compile(r"\d+\.\d{6}")
QUESTION = [{"role": "user", "content": "When?"}]
ROUTES: dict[str, tuple[str, dict[str, Any], dict[str, str]]] = {
    "chat": ("/chat", {"text": "When?"}, {"accept": "text/event-stream"}),
    "completions": ("/v1/chat/completions", {"messages": QUESTION, "stream": True}, {}),
}
AT_ONCE = (1, 8)


async def delays_ms(client: httpx.AsyncClient, route: str) -> list[float]:
    """Milliseconds from the making of each word to its arrival, in one stream."""
    path, body, headers = ROUTES[route]
    delays = []
    async with client.stream("POST", path, json=body, headers=headers) as response:
        response.raise_for_status()
        async for line in response.aiter_lines():
            arrived = time.monotonic()
            if "event: done" in line:
                break
            delays += [(arrived - float(made)) * 1000 for made in MADE.findall(line)]
    return delays


async def measured(url: str, runs: int) -> dict[str, dict[str, float]]:
    figures = {}
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        for route in ROUTES:
            await delays_ms(client, route)  # the first request of a replica is slower
            for at_once in AT_ONCE:
                streams = [
                    stream
                    for _ in range(runs)
                    for stream in await asyncio.gather(*(delays_ms(client, route) for _ in range(at_once)))
                ]
                delays = np.concatenate(streams)
                p50, p95 = np.percentile(delays, (50, 95))
                figures[f"{route}, {at_once} at once"] = {
                    "words": len(delays), "p50_ms": round(p50, 2), "p95_ms": round(p95, 2),
                    "max_ms": round(float(delays.max()), 2),
                }  # fmt: skip
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    figures = asyncio.run(measured(options.url, options.runs))
    for name, row in figures.items():
        print(f"{name:24}", "  ".join(f"{key} {value}" for key, value in row.items()))
    print(json.dumps({"bench": "deltas", **figures}))


if __name__ == "__main__":
    main()
