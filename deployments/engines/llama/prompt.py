"""A conversation to the prompt of one model: chat template, tokenizer and vision encoder."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from deployments.engines.history import remainders
from deployments.engines.llama.context import Model
from deployments.engines.llama.request import Prompt, overflow
from deployments.engines.llama.settings import LlamaArgs
from deployments.engines.llama.template import ChatTemplate, EscapedText
from deployments.engines.llama.vision import ImageChunk, VisionEncoder
from deployments.errors import ContextOverflow, UnsupportedMedia
from deployments.messages import ChatMessage, Image

Layout = tuple[NDArray[np.int64] | Image, ...]
"""The parts of a prompt, in order: the tokens of text, and pictures that are not encoded yet."""


class PromptBuilder:
    """Builds the prompts of one model; any thread may use it."""

    def __init__(self, args: LlamaArgs, model: Model, vision: VisionEncoder | None) -> None:
        """Raise ``ValueError`` if neither the settings nor the model's file has a chat template."""
        self._vocabulary = model.vocabulary
        self._context_length = args.context_length
        self._vision = vision
        self._template = _template(args, model)

    def build(self, messages: Sequence[ChatMessage], max_tokens: int, *, drop: bool = False) -> Prompt:
        """Return the prompt up to the start of the answer. Blocks while the pictures are encoded.

        With ``drop``, the oldest turns of a conversation that is too long are left out. Raise ``ContextOverflow`` if
        the rest, or the whole, leaves less than ``max_tokens`` of the context, ``InvalidRequest`` if the template
        refuses the conversation, ``UnsupportedMedia`` or ``BrokenMedia`` for a picture.
        """
        try:
            return self._prompt(self._lay_out(messages, max_tokens), 0)
        except ContextOverflow:
            remaining = self._longest_remainder(messages, max_tokens) if drop else None
            if remaining is None:
                raise
        layout, count = remaining
        return self._prompt(layout, len(messages) - count)

    def _longest_remainder(self, messages: Sequence[ChatMessage], max_tokens: int) -> tuple[Layout, int] | None:
        """Return the longest remainder that fits and its number of messages; ``None`` if even the shortest is too long.

        The shortest is tried first, so that no more than about one context of text is tokenized at a time.
        """
        longest: tuple[Layout, int] | None = None
        for remainder in remainders(messages, self._context_length):
            try:
                longest = self._lay_out(remainder, max_tokens), len(remainder)
            except ContextOverflow:
                break
        return longest

    def _lay_out(self, messages: Sequence[ChatMessage], max_tokens: int) -> Layout:
        """Return the parts of a prompt. Raise ``ContextOverflow`` as soon as they are known to be too long."""
        limit = self._context_length - max_tokens
        self._require_possible(messages, max_tokens)
        parts: list[NDArray[np.int64] | Image] = []
        length = 0
        after_text = False
        for part in self._template.render(messages):
            if length > max(limit, 0):
                raise self._overflow(f"at least {length:,} tokens", max_tokens)
            if isinstance(part, Image):
                parts.append(part)
                length += self._vision_encoder().positions(part)
            else:
                tokens = self._tokens(part, after_text)
                parts.append(tokens)
                length += len(tokens)
            after_text = not isinstance(part, Image)
        first = parts[0] if parts else None
        bos = self._vocabulary.bos_before(int(first[0]) if isinstance(first, np.ndarray) and len(first) else None)
        if length + len(bos) > limit:
            raise self._overflow(f"{length + len(bos):,} tokens", max_tokens)
        return bos, *parts

    def _prompt(self, layout: Layout, dropped_messages: int) -> Prompt:
        """Return the prompt of a layout, with its pictures encoded."""
        keys: list[NDArray[np.int64]] = []
        pictures: list[tuple[int, NDArray[np.float32]]] = []
        length = 0
        for part in layout:
            for chunk in self._vision_encoder().encode(part) if isinstance(part, Image) else [ImageChunk(part, None)]:
                if chunk.embeddings is not None:
                    pictures.append((length, chunk.embeddings))
                keys.append(chunk.keys)
                length += len(chunk.keys)
        return Prompt(np.concatenate(keys), tuple(pictures), dropped_messages)

    def _tokens(self, part: str | EscapedText, after_text: bool) -> NDArray[np.int64]:
        if isinstance(part, EscapedText):
            return self._vocabulary.spell(part.text)
        return self._vocabulary.tokenize(part, continues=after_text)

    def _require_possible(self, messages: Sequence[ChatMessage], max_tokens: int) -> None:
        """Raise ``ContextOverflow`` if the texts would not fit even as the longest tokens of the vocabulary."""
        characters = sum(len(message.text) for message in messages)
        if characters > self._context_length * self._vocabulary.longest_piece:
            raise self._overflow(f"{characters:,} characters", max_tokens)

    def _overflow(self, length: str, max_tokens: int) -> ContextOverflow:
        return overflow(length, self._context_length, max_tokens)

    def _vision_encoder(self) -> VisionEncoder:
        if self._vision is None:
            raise UnsupportedMedia("this model accepts no pictures", param="image")
        return self._vision


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
