"""The deployment that answers: a conversation to its next message. Bound twice, as TextLLM and as VisionLLM."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from ray import serve

from deployments.coalesce import coalesced
from deployments.engine import ChatModel, chat_model
from deployments.errors import UnsupportedMedia
from deployments.messages import ChatEnd, ChatMessage, ChatOptions, Taken, TextDelta
from deployments.metrics import FIRST_TOKEN
from deployments.replica import Replica
from deployments.settings import ChatArgs, ChatConfig


@serve.deployment(name="ChatLLM")
class ChatLLM(Replica[ChatModel, ChatConfig]):
    """One chat model."""

    def __init__(self, args: ChatArgs) -> None:
        super().__init__(chat_model(args), ChatConfig())

    async def chat(
        self, messages: Sequence[ChatMessage], options: ChatOptions, called_at: float | None = None
    ) -> AsyncGenerator[Taken | TextDelta | ChatEnd, None]:
        """The answer in pieces, then how it ended. ``ContextOverflow`` comes before the first piece."""
        config = self._config.for_request(options)
        with self._request() as watch:
            if taken := self._taken(called_at):
                yield taken
            if not self._engine.vision and any(message.images for message in messages):
                raise UnsupportedMedia("this model reads no pictures; ask the vision model", param="image")
            conversation = _with_system_prompt(messages, config.system_prompt)
            async with aclosing(coalesced(self._engine.chat(conversation, config))) as values:
                async for value in values:
                    if isinstance(value, ChatEnd):
                        watch.tokens(value.prompt_tokens, value.completion_tokens)
                    else:
                        watch.first(FIRST_TOKEN)
                    yield value


def _with_system_prompt(messages: Sequence[ChatMessage], prompt: str | None) -> Sequence[ChatMessage]:
    if prompt is None or any(message.role == "system" for message in messages):
        return messages
    return (ChatMessage("system", prompt), *messages)
