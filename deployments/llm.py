"""The deployment for chat models. It is bound twice, as TextLLM and as VisionLLM."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from ray import serve

from deployments.engines.base import ChatModel
from deployments.engines.registry import ChatArgs, chat_model, entry_of
from deployments.errors import UnsupportedMedia
from deployments.messages import ChatEnd, ChatMessage, ChatOptions, ChatValue, TextDelta
from deployments.metrics import FIRST_TOKEN, RequestMetrics
from deployments.replica import Replica, served
from deployments.settings import ChatConfig


@serve.deployment(name="ChatLLM")
class ChatLLM(Replica[ChatModel, ChatConfig]):
    """One chat model."""

    def __init__(self, args: ChatArgs) -> None:
        super().__init__(chat_model(args), entry_of(args).live_settings(ChatConfig))

    @served
    async def chat(
        self, metrics: RequestMetrics, messages: Sequence[ChatMessage], options: ChatOptions
    ) -> AsyncGenerator[ChatValue, None]:
        """Yield ``MessagesDropped`` if there are any, the answer in deltas, then ``ChatEnd``.

        Raise ``ContextOverflow`` before the first delta.
        """
        config = self._config.for_request(options)
        if not self._engine.vision and any(message.images for message in messages):
            raise UnsupportedMedia("this model accepts no pictures; use the vision model", param="image")
        conversation = _with_system_prompt(messages, config.system_prompt)
        async with aclosing(self._engine.chat(conversation, config, options.json_schema)) as values:
            async for value in values:
                if isinstance(value, ChatEnd):
                    metrics.tokens(value.prompt_tokens, value.completion_tokens)
                elif isinstance(value, TextDelta):
                    metrics.first(FIRST_TOKEN)
                yield value


def _with_system_prompt(messages: Sequence[ChatMessage], prompt: str | None) -> Sequence[ChatMessage]:
    if prompt is None or any(message.role == "system" for message in messages):
        return messages
    return (ChatMessage("system", prompt), *messages)
