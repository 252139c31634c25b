"""A model's prompt builder with its vision encoder, for tests."""

from __future__ import annotations

from pathlib import Path

from deployments.engines.llama.context import Model
from deployments.engines.llama.prompt import PromptBuilder
from deployments.engines.llama.settings import LlamaArgs
from deployments.engines.llama.vision import VisionEncoder
from deployments.messages import ChatMessage, Image


class Prompts:
    """Builds prompts and converts their keys back to text."""

    def __init__(self, args: LlamaArgs) -> None:
        self.model = Model(Path(args.model), 0)
        self.vision = (
            VisionEncoder(
                Path(args.mmproj),
                self.model.handle,
                self.model.width,
                threads=1,
                use_gpu=False,
                flash_attention=True,
            )
            if args.mmproj
            else None
        )
        self.builder = PromptBuilder(args, self.model, self.vision)

    def keys(self, *messages: ChatMessage) -> list[int]:
        return self.builder.build(messages, 0).keys.tolist()

    def pieces(self, *messages: ChatMessage) -> list[bytes]:
        """Return the bytes of each token; none for a control token or a position of a picture."""
        return [self.model.vocabulary.piece(key) if key >= 0 else b"" for key in self.keys(*messages)]

    def control_tokens(self, *messages: ChatMessage) -> list[int]:
        return [key for key in self.keys(*messages) if key >= 0 and not self.model.vocabulary.piece(key)]


def with_pictures(*pictures: Image) -> ChatMessage:
    return ChatMessage("user", "what is it", pictures)
