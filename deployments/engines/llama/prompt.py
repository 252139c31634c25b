"""From a conversation to the prompt that a model reads. Knows templates and pictures, no slot and no sampler."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from deployments.engines.llama.context import Model
from deployments.engines.llama.vision import Eye, Look
from deployments.engines.llama.scheduler import Prompt
from deployments.engines.llama.template import Prompt as Template
from deployments.engines.llama.template import Spelled
from deployments.errors import UnsupportedMedia
from deployments.messages import ChatMessage, Image
from deployments.settings import LlamaArgs


class Reader:
    """Reads for one model; from any thread."""

    def __init__(self, args: LlamaArgs, model: Model, eye: Eye | None) -> None:
        """Raises ``ValueError`` if neither the settings nor the model's file have a chat template."""
        self._vocabulary = model.vocabulary
        self._eye = eye
        self._template = _template(args, model)

    def read(self, messages: Sequence[ChatMessage]) -> Prompt:
        """The conversation up to where its answer begins; looks at its pictures, which takes a while.

        Raises ``InvalidRequest`` if the template refuses it, ``UnsupportedMedia`` and ``BrokenMedia`` for its pictures.
        """
        keys: list[NDArray[np.int64]] = []
        pictures: list[tuple[int, NDArray[np.float32]]] = []
        continued = False
        for part in self._template.parts(messages):
            if isinstance(part, Image):
                for look in self._looked(part):
                    if look.rows is not None:
                        pictures.append((sum(map(len, keys)), look.rows))
                    keys.append(look.keys)
            elif isinstance(part, Spelled):
                keys.append(self._vocabulary.spell(part.text))
            else:
                keys.append(self._vocabulary.read(part, continued))
            continued = not isinstance(part, Image)
        lead = self._vocabulary.lead(int(keys[0][0]) if keys and len(keys[0]) else None)
        return Prompt(np.concatenate([lead, *keys]), tuple((at + len(lead), rows) for at, rows in pictures))

    def _looked(self, image: Image) -> list[Look]:
        if self._eye is None:
            raise UnsupportedMedia("this model reads no pictures", param="image")
        return self._eye.look(image)


def _template(args: LlamaArgs, model: Model) -> Template:
    """The words around a conversation: given in the settings, a chat handler's, or those of the model's file."""
    from llama_cpp import llama_chat_format

    handler = {
        "llava-1-5": llama_chat_format.Llava15ChatHandler,
        "llava-1-6": llama_chat_format.Llava16ChatHandler,
        "nanollava": llama_chat_format.NanoLlavaChatHandler,
    }.get(args.chat_handler)
    own = handler.CHAT_FORMAT if handler else model.chat_template
    template = args.chat_template or own
    if template is None:
        raise ValueError(f"{args.model} has no chat template; give one as chat_template")
    return Template(
        template,
        bos=model.vocabulary.bos_text,
        eos=model.vocabulary.eos_text,
        special=model.vocabulary.markers(template),
        in_parts=template is own and handler is not None,
        default_system=handler.DEFAULT_SYSTEM_MESSAGE if handler else None,
    )
