"""A conversation to text, escaped text and pictures, with a Jinja chat template.

A chat template separates roles by markers such as ``<|user|>`` or ``[INST]``. Where a message contains a marker, the
result has it as ``EscapedText``, which is tokenized character by character: a message cannot pretend to be of another
role (prompt injection through special tokens). All other text reaches the template and the tokenizer unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from deployments.errors import InvalidRequest
from deployments.messages import ChatMessage, Image

# Placeholders in the text that the template renders: Unicode noncharacters, which no valid text contains.
_ESCAPED, _PICTURE, _END = "\ufdd0", "\ufdd1", "\ufdd2"
_PLACEHOLDER = re.compile(f"([{_ESCAPED}{_PICTURE}])(\\d+){_END}")
_NONCHARACTERS = re.compile("[\ufdd0-\ufdef]")

# What looks like a marker in a template's source: <|user|>, </s>, [INST], <<SYS>>, USER:, ### Response:
_MARKER = re.compile(r"<<?/?\|?\w+\|?>>?|\[/?[A-Z_]+\]|\b(?:[A-Z]{2,}|Answer|Question):|###[ \w]+:")

_SYSTEM_PROBE = "Does the template render this system message?"


@dataclass(frozen=True, slots=True)
class EscapedText:
    """A marker in the text of a message; none of its tokens may be a control token."""

    text: str


Part = str | EscapedText | Image


class ChatTemplate:
    """Renders conversations with one model's template."""

    def __init__(
        self,
        template: str,
        *,
        bos: str,
        eos: str,
        markers: Iterable[str] = (),
        content_parts: bool = False,
        default_system: str | None = None,
    ) -> None:
        """``markers`` are the vocabulary's; those in the template's source are added.

        With ``content_parts`` the template gets a user's content as a list of parts, as in OpenAI's requests.
        ``default_system`` is the system message of a conversation that has none.
        """
        from llama_cpp.llama_chat_format import Jinja2ChatFormatter

        self._formatter = Jinja2ChatFormatter(template=template, bos_token=bos, eos_token=eos)
        self._content_parts = content_parts
        self._default_system = default_system
        found = {text for text in markers if text.strip()} | set(_MARKER.findall(template))
        self._markers = sorted(found, key=len, reverse=True)
        self._marker = re.compile("|".join(map(re.escape, self._markers)) or "(?!)")
        self._supports_system = self._renders_system_messages()

    def render(self, messages: Sequence[ChatMessage]) -> list[Part]:
        """Return the prompt up to the start of the answer. Raise ``InvalidRequest`` if the template refuses it."""
        pictures: list[Image] = []
        escaped = [self._escape(message, pictures) for message in self._with_system(messages)]
        return list(self._split(self._format(escaped), pictures))

    def _with_system(self, messages: Sequence[ChatMessage]) -> Sequence[ChatMessage]:
        """Return the messages, with the system messages in front of the first other one if the template has none."""
        system = "\n\n".join(message.text for message in messages if message.role == "system")
        if not system:
            return [ChatMessage("system", self._default_system), *messages] if self._default_system else messages
        if self._supports_system:
            return messages
        first, *rest = [message for message in messages if message.role != "system"] or [ChatMessage("user", "")]
        return [ChatMessage(first.role, f"{system}\n\n{first.text}".rstrip(), first.images), *rest]

    def _escape(self, message: ChatMessage, pictures: list[Image]) -> dict[str, Any]:
        """Return the message for Jinja, with placeholders, and append its pictures to ``pictures``."""
        text = _NONCHARACTERS.sub("\ufffd", message.text)
        text = self._marker.sub(lambda found: f"{_ESCAPED}{self._markers.index(found[0])}{_END}", text)
        placeholders = [f"{_PICTURE}{len(pictures) + i}{_END}" for i in range(len(message.images))]
        pictures.extend(message.images)
        if not self._content_parts or message.role != "user":
            return {"role": message.role, "content": "".join([*placeholders, text])}
        images = [{"type": "image_url", "image_url": placeholder} for placeholder in placeholders]
        return {"role": message.role, "content": [*images, {"type": "text", "text": text}]}

    def _format(self, messages: list[dict[str, Any]]) -> str:
        from jinja2 import TemplateError

        try:
            return str(self._formatter(messages=messages).prompt)
        except (ValueError, TemplateError) as error:
            raise InvalidRequest(f"the chat template refuses this conversation: {error}", param="messages") from None

    def _split(self, prompt: str, pictures: list[Image]) -> Iterator[Part]:
        """Yield the rendered prompt with placeholders replaced."""
        at = 0
        for found in _PLACEHOLDER.finditer(prompt):
            if found.start() > at:
                yield prompt[at : found.start()]
            index = int(found[2])
            yield pictures[index] if found[1] == _PICTURE else EscapedText(self._markers[index])
            at = found.end()
        if at < len(prompt):
            yield prompt[at:]

    def _renders_system_messages(self) -> bool:
        """Return whether the template renders a system message: some refuse it, some drop it."""
        probe = [{"role": "system", "content": _SYSTEM_PROBE}, {"role": "user", "content": "hello"}]
        try:
            return _SYSTEM_PROBE in self._format(probe)
        except InvalidRequest:
            return False
