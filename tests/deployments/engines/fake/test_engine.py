from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from deployments.engines.fake.engine import FakeChat
from deployments.engines.fake.settings import FakeChatArgs
from deployments.errors import ContextOverflow
from deployments.messages import ChatEnd, ChatMessage, JsonSchema, MessagesDropped, TextDelta
from deployments.settings import ChatConfig

Run = Callable[[Any], Any]

WORDS = " ".join(f"word{i}" for i in range(100))


async def collect(engine: FakeChat, **options: Any) -> list[Any]:
    return [value async for value in engine.chat((ChatMessage("user", WORDS),), ChatConfig(), **options)]


def test_chat_gathers_the_words_of_one_window_into_one_delta(run: Run) -> None:
    *deltas, end = run(collect(FakeChat(FakeChatArgs())))
    assert all(isinstance(delta, TextDelta) for delta in deltas)
    assert "".join(delta.text for delta in deltas) == WORDS
    assert len(deltas) < 10
    assert end == ChatEnd("stop", 100, 100)


def test_chat_drops_the_oldest_turns_that_do_not_fit(run: Run) -> None:
    engine = FakeChat(FakeChatArgs(context_length=250))
    turn = [ChatMessage("user", WORDS), ChatMessage("assistant", "yes")]

    async def values(config: ChatConfig) -> list[Any]:
        return [value async for value in engine.chat([*turn, *turn, *turn[:1]], config)]

    first, *_, end = run(values(ChatConfig(max_tokens=40)))
    assert (first, end.prompt_tokens) == (MessagesDropped(2), 201)
    with pytest.raises(ContextOverflow):
        run(values(ChatConfig(max_tokens=40, context_overflow="refuse")))
    with pytest.raises(ContextOverflow):
        run(values(ChatConfig(max_tokens=200)))


def test_chat_ignores_a_json_schema(run: Run) -> None:
    schema = JsonSchema({"type": "object"}, "response_format.json_schema.schema")
    *deltas, _ = run(collect(FakeChat(FakeChatArgs()), json_schema=schema))
    assert "".join(delta.text for delta in deltas) == WORDS
