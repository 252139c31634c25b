"""A conversation to the prompt of one model: chat template, tokenizer and vision encoder."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from deployments.engines.llama.context import Model
from deployments.engines.llama.request import Prompt
from deployments.engines.llama.settings import LlamaArgs
from deployments.engines.llama.template import ChatTemplate, EscapedText
from deployments.engines.llama.vision import ImageChunk, VisionEncoder
from deployments.errors import ContextOverflow, UnsupportedMedia
from deployments.messages import ChatMessage, Image


class PromptBuilder:
    """Builds the prompts of one model; any thread may use it."""

    def __init__(self, args: LlamaArgs, model: Model, vision: VisionEncoder | None) -> None:
        """Raise ``ValueError`` if neither the settings nor the model's file has a chat template."""
        self._vocabulary = model.vocabulary
        self._context_length = args.context_length
        self._vision = vision
        self._template = _template(args, model)

    def build(self, messages: Sequence[ChatMessage]) -> Prompt:
        """Return the prompt up to the start of the answer. Blocks while the pictures are encoded.

        Raise ``InvalidRequest`` if the template refuses the conversation, ``ContextOverflow`` as soon as the prompt is
        longer than the context, ``UnsupportedMedia`` or ``BrokenMedia`` for a picture.
        """
        self._require_possible(messages)
        keys: list[NDArray[np.int64]] = []
        pictures: list[tuple[int, NDArray[np.float32]]] = []
        length = 0
        after_text = False
        for part in self._template.render(messages):
            if length > self._context_length:
                raise self._overflow(length, "tokens")
            if isinstance(part, Image):
                for chunk in self._encode(part):
                    if chunk.embeddings is not None:
                        pictures.append((length, chunk.embeddings))
                    keys.append(chunk.keys)
                    length += len(chunk.keys)
            else:
                keys.append(self._tokens(part, after_text))
                length += len(keys[-1])
            after_text = not isinstance(part, Image)
        bos = self._vocabulary.bos_before(int(keys[0][0]) if keys and len(keys[0]) else None)
        return Prompt(
            np.concatenate([bos, *keys]), tuple((start + len(bos), embeddings) for start, embeddings in pictures)
        )

    def _tokens(self, part: str | EscapedText, after_text: bool) -> NDArray[np.int64]:
        if isinstance(part, EscapedText):
            return self._vocabulary.spell(part.text)
        return self._vocabulary.tokenize(part, continues=after_text)

    def _require_possible(self, messages: Sequence[ChatMessage]) -> None:
        """Raise ``ContextOverflow`` if the texts would not fit even as the longest tokens of the vocabulary."""
        characters = sum(len(message.text) for message in messages)
        if characters > self._context_length * self._vocabulary.longest_piece:
            raise self._overflow(characters, "characters")

    def _overflow(self, least: int, unit: str) -> ContextOverflow:
        return ContextOverflow(
            f"the conversation has at least {least:,} {unit}, too many for the context of {self._context_length:,} "
            "tokens",
            param="messages",
        )

    def _encode(self, image: Image) -> list[ImageChunk]:
        if self._vision is None:
            raise UnsupportedMedia("this model accepts no pictures", param="image")
        return self._vision.encode(image)


def _template(args: LlamaArgs, model: Model) -> ChatTemplate:
    """Return the chat template of the settings, else of the chat handler, else of the model's file."""
    from llama_cpp import llama_chat_format

    handler = {
        "llava-1-5": llama_chat_format.Llava15ChatHandler,
        "llava-1-6": llama_chat_format.Llava16ChatHandler,
        "nanollava": llama_chat_format.NanoLlavaChatHandler,
    }.get(args.chat_handler)
    default = handler.CHAT_FORMAT if handler else model.chat_template
    template = args.chat_template or default
    if template is None:
        raise ValueError(f"{args.model} has no chat template; set chat_template")
    return ChatTemplate(
        template,
        bos=model.vocabulary.bos_text,
        eos=model.vocabulary.eos_text,
        markers=model.vocabulary.markers(template),
        content_parts=template is default and handler is not None,
        default_system=handler.DEFAULT_SYSTEM_MESSAGE if handler else None,
    )
