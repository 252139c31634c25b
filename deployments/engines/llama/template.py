"""A conversation to what a language model reads: text, text that must be spelled out, and pictures.

A chat template sets its roles apart by markers such as ``<|user|>`` or ``[INST]``. A speaker may write the same
characters; they are then taken out of the template's sight and given as ``Spelled``, to be tokenised letter by letter,
so that no speaker can speak in another's name. Any other text reaches the template, and the tokenizer, untouched.
Knows no library but llama-cpp-python's Jinja formatter.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from deployments.errors import InvalidRequest
from deployments.messages import ChatMessage, Image

# Unicode noncharacters, which no text has any business to contain, stand for what the template must not read.
_SPELLED, _PICTURE, _END = "\ufdd0", "\ufdd1", "\ufdd2"
_PLACEHOLDER = re.compile(f"([{_SPELLED}{_PICTURE}])(\\d+){_END}")
_NONCHARACTERS = re.compile("[\ufdd0-\ufdef]")

# What looks like a marker in a template's source: <|user|>, </s>, [INST], <<SYS>>, USER:, ### Response:
_MARKER = re.compile(r"<<?/?\|?\w+\|?>>?|\[/?[A-Z_]+\]|\b(?:[A-Z]{2,}|Answer|Question):|###[ \w]+:")

_PROBE = "What is said here is kept?"


@dataclass(frozen=True, slots=True)
class Spelled:
    """A speaker's text that looks like a marker; it stands for its letters alone."""

    text: str


Part = str | Spelled | Image


class Prompt:
    """Renders conversations with one model's template."""

    def __init__(
        self,
        template: str,
        *,
        bos: str,
        eos: str,
        special: Iterable[str] = (),
        in_parts: bool = False,
        default_system: str | None = None,
    ) -> None:
        """``special`` are the vocabulary's own markers. ``in_parts``: the template wants a user's content as a list."""
        from llama_cpp.llama_chat_format import Jinja2ChatFormatter

        self._formatter = Jinja2ChatFormatter(template=template, bos_token=bos, eos_token=eos)
        self._in_parts = in_parts
        self._default_system = default_system
        found = {text for text in special if text.strip()} | set(_MARKER.findall(template))
        self._markers = sorted(found, key=len, reverse=True)
        self._marker = re.compile("|".join(map(re.escape, self._markers)) or "(?!)")
        self._takes_system = self._keeps_system_messages()

    def parts(self, messages: Sequence[ChatMessage]) -> list[Part]:
        """What the model reads, up to where its answer begins. Raises ``InvalidRequest`` if the template refuses it."""
        pictures: list[Image] = []
        marked = [self._hidden(message, pictures) for message in self._with_system(messages)]
        return list(self._split(self._render(marked), pictures))

    def _with_system(self, messages: Sequence[ChatMessage]) -> Sequence[ChatMessage]:
        """The conversation with its system message where the template can take it."""
        system = "\n\n".join(message.text for message in messages if message.role == "system")
        if not system:
            return [ChatMessage("system", self._default_system), *messages] if self._default_system else messages
        if self._takes_system:
            return messages
        first, *rest = [message for message in messages if message.role != "system"] or [ChatMessage("user", "")]
        return [ChatMessage(first.role, f"{system}\n\n{first.text}".rstrip(), first.images), *rest]

    def _hidden(self, message: ChatMessage, pictures: list[Image]) -> dict[str, Any]:
        """The message for Jinja, with placeholders; its pictures are added to ``pictures``."""
        text = _NONCHARACTERS.sub("\ufffd", message.text)
        text = self._marker.sub(lambda found: f"{_SPELLED}{self._markers.index(found[0])}{_END}", text)
        places = [f"{_PICTURE}{len(pictures) + i}{_END}" for i in range(len(message.images))]
        pictures.extend(message.images)
        if not self._in_parts or message.role != "user":
            return {"role": message.role, "content": "".join([*places, text])}
        images = [{"type": "image_url", "image_url": place} for place in places]
        return {"role": message.role, "content": [*images, {"type": "text", "text": text}]}

    def _render(self, messages: list[dict[str, Any]]) -> str:
        from jinja2 import TemplateError

        try:
            return str(self._formatter(messages=messages).prompt)
        except (ValueError, TemplateError) as refusal:
            raise InvalidRequest(f"the model cannot take this conversation: {refusal}", param="messages") from None

    def _split(self, prompt: str, pictures: list[Image]) -> Iterator[Part]:
        at = 0
        for found in _PLACEHOLDER.finditer(prompt):
            if found.start() > at:
                yield prompt[at : found.start()]
            index = int(found[2])
            yield pictures[index] if found[1] == _PICTURE else Spelled(self._markers[index])
            at = found.end()
        if at < len(prompt):
            yield prompt[at:]

    def _keeps_system_messages(self) -> bool:
        """Some templates refuse a system message and some drop it; this one is asked."""
        probe = [{"role": "system", "content": _PROBE}, {"role": "user", "content": "hello"}]
        try:
            return _PROBE in self._render(probe)
        except InvalidRequest:
            return False
