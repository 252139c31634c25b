"""bench.deltas reads the time of generation of each word from the streams of both routes."""

from __future__ import annotations

import asyncio
import json
import time

import httpx
import pytest

from bench.deltas import ROUTES, delays_ms


@pytest.mark.parametrize("route", ROUTES)
def test_counts_each_word_once(route: str) -> None:
    def respond(request: httpx.Request) -> httpx.Response:
        times = [f"{time.monotonic() - 0.5:.6f}" for _ in range(3)]
        if route == "chat":
            events = [f"event: text\ndata: {json.dumps({'text': word})}\n\n" for word in times]
            end = f"event: done\ndata: {json.dumps({'text': ' '.join(times)})}\n\n"
        else:
            events = [f"data: {json.dumps({'choices': [{'delta': {'content': word}}]})}\n\n" for word in times]
            end = "data: [DONE]\n\n"
        return httpx.Response(200, text="".join([*events, end]))

    async def read() -> list[float]:
        async with httpx.AsyncClient(base_url="http://parley", transport=httpx.MockTransport(respond)) as client:
            return await delays_ms(client, route)

    delays = asyncio.run(read())
    assert len(delays) == 3
    assert min(delays) >= 500
