"""A small version of the random model that bench.gpu measures."""

from __future__ import annotations

import asyncio
from pathlib import Path

from bench.mistral import Shape, write
from deployments.engines.llama.engine import LlamaChat
from deployments.engines.llama.settings import LlamaArgs, LlamaConfig
from deployments.messages import ChatEnd, ChatMessage, TextDelta


def test_the_model_loads_and_generates_the_full_length(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    write(path, Shape(layers=2, width=128, feed=256, heads=4, heads_kv=2, vocabulary=2000, context=512))

    async def body() -> list[TextDelta | ChatEnd]:
        engine = LlamaChat(LlamaArgs(model=str(path), context_length=256, parallel=1))
        values = [
            value
            for temperature in (0.0, 0.7)
            async for value in engine.chat(
                [ChatMessage("user", "0123456789")], LlamaConfig(temperature=temperature, max_tokens=100)
            )
        ]
        await engine.close()
        return values

    ends = [value for value in asyncio.run(body()) if isinstance(value, ChatEnd)]
    assert [(end.finish_reason, end.completion_tokens) for end in ends] == [("length", 100)] * 2
    assert ends[0].prompt_tokens == 14  # a digit is a token
