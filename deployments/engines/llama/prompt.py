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
from deployments.errors import UnsupportedMedia
from deployments.messages import ChatMessage, Image


class PromptBuilder:
    """Builds the prompts of one model; any thread may use it."""

    def __init__(self, args: LlamaArgs, model: Model, vision: VisionEncoder | None) -> None:
        """Raise ``ValueError`` if neither the settings nor the model's file has a chat template."""
        self._vocabulary = model.vocabulary
        self._vision = vision
        self._template = _template(args, model)

    def build(self, messages: Sequence[ChatMessage]) -> Prompt:
        """Return the prompt up to the start of the answer. Blocks while the pictures are encoded.

        Raise ``InvalidRequest`` if the template refuses the conversation, ``UnsupportedMedia`` or ``BrokenMedia`` for a
        picture.
        """
        keys: list[NDArray[np.int64]] = []
        pictures: list[tuple[int, NDArray[np.float32]]] = []
        after_text = False
        for part in self._template.render(messages):
            if isinstance(part, Image):
                for chunk in self._encode(part):
                    if chunk.embeddings is not None:
                        pictures.append((sum(map(len, keys)), chunk.embeddings))
                    keys.append(chunk.keys)
            elif isinstance(part, EscapedText):
                keys.append(self._vocabulary.tokenize_characters(part.text))
            else:
                keys.append(self._vocabulary.tokenize(part, continues=after_text))
            after_text = not isinstance(part, Image)
        bos = self._vocabulary.bos_before(int(keys[0][0]) if keys and len(keys[0]) else None)
        return Prompt(
            np.concatenate([bos, *keys]), tuple((start + len(bos), embeddings) for start, embeddings in pictures)
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
