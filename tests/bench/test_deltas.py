"""The bench of deltas reads the time of each word's making out of a stream of either route."""

from __future__ import annotations

import asyncio
import json
import time

import httpx
import pytest

from bench.deltas import ROUTES, delays_ms


@pytest.mark.parametrize("route", ROUTES)
def test_each_word_is_counted_once(route: str) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        made = [f"{time.monotonic() - 0.5:.6f}" for _ in range(3)]
        if route == "chat":
            events = [f"event: text\ndata: {json.dumps({'text': word})}\n\n" for word in made]
            end = f"event: done\ndata: {json.dumps({'text': ' '.join(made)})}\n\n"
        else:
            events = [f"data: {json.dumps({'choices': [{'delta': {'content': word}}]})}\n\n" for word in made]
            end = "data: [DONE]\n\n"
        return httpx.Response(200, text="".join([*events, end]))

    async def read() -> list[float]:
        async with httpx.AsyncClient(base_url="http://parley", transport=httpx.MockTransport(answer)) as client:
            return await delays_ms(client, route)

    delays = asyncio.run(read())
    assert len(delays) == 3
    assert min(delays) >= 500
