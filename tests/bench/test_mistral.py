"""The model of random weights that the bench of a GPU asks, in small."""

from __future__ import annotations

import asyncio
from pathlib import Path

from bench.mistral import Shape, write
from deployments.engines.llama import LlamaChat
from deployments.messages import ChatEnd, ChatMessage, TextDelta
from deployments.settings import ChatConfig, LlamaArgs


def test_it_loads_and_talks_to_the_last_token(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    write(path, Shape(layers=2, width=128, feed=256, heads=4, heads_kv=2, vocabulary=2000, context=512))

    async def body() -> list[TextDelta | ChatEnd]:
        engine = LlamaChat(LlamaArgs(model=str(path), context_length=256, parallel=1))
        values = [
            value
            for temperature in (0.0, 0.7)
            async for value in engine.chat(
                [ChatMessage("user", "0123456789")], ChatConfig(temperature=temperature, max_tokens=100)
            )
        ]
        await engine.close()
        return values

    ends = [value for value in asyncio.run(body()) if isinstance(value, ChatEnd)]
    assert [(end.finish_reason, end.completion_tokens) for end in ends] == [("length", 100)] * 2
    assert ends[0].prompt_tokens == 14  # a digit is a token
