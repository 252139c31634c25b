"""From the fields of an item that a client creates to the item, whose media are to be decoded. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from deployments.errors import InvalidRequest, ParleyError, TooLarge
from deployments.messages import Audio, Image
from graphs.http.openai.realtime.client_events import (
    InputAudio,
    InputImage,
    ItemCreate,
    MessageFields,
    OutputAudio,
    ResponseCreate,
)
from graphs.http.openai.realtime.codecs import WireFormat
from graphs.http.openai.realtime.conversation import Content, Heard, Item, Picture, Spoken, Written
from graphs.http.openai.realtime.effects import Decode
from graphs.http.openai.realtime.session_limits import SessionLimits


@dataclass(frozen=True, slots=True)
class NewItem:
    """An item, and what of it is to be decoded."""

    item: Item
    decodes: Sequence[Decode] = ()


class Decoding:
    """An event whose media are being decoded. ``items`` are those that it creates or refers to."""

    def __init__(self, event: ItemCreate | ResponseCreate, items: Sequence[NewItem]) -> None:
        self.event = event
        self.items = [item.item for item in items]
        self.recording: Audio | None = None  # an item has at most one
        self.error: ParleyError | None = None
        self._missing = {(d.item_id, d.part_index): item.item for item in items for d in item.decodes}

    @property
    def is_complete(self) -> bool:
        return not self._missing

    def succeed(self, item_id: str, part_index: int, media: Image | Audio) -> None:
        """Keep what was decoded."""
        item = self._missing.pop((item_id, part_index), None)
        if item is not None and isinstance(media, Image):
            item.content[part_index] = Picture(media)
        elif item is not None and isinstance(media, Audio):
            self.recording = media

    def fail(self, item_id: str, part_index: int, error: ParleyError) -> None:
        """Keep the error. The other media are waited for: they could be taken for those of a later event."""
        if self._missing.pop((item_id, part_index), None) is not None:
            self.error = error


def new_item(fields: MessageFields, item_id: str, wire: WireFormat, limits: SessionLimits, param: str) -> NewItem:
    """Return the item; its audio is in ``wire``.

    Raises ``InvalidRequest`` or ``TooLarge`` for a field below ``param``.
    """
    content: list[Content] = []
    decodes: list[Decode] = []
    for index, part in enumerate(fields.content):
        of_part = f"{param}.content.{index}"
        match part:
            case InputAudio(transcript=None, audio=data):
                data = data or b""
                if wire.duration_ms(len(data)) > limits.max_buffer_s * 1000:
                    message = f"The audio is longer than {limits.max_buffer_s:g} s, the limit."
                    raise TooLarge(message, param=f"{of_part}.audio")
                content.append(Heard())
                decodes.append(Decode(item_id, index, "audio", data, wire, f"{of_part}.audio"))
            case InputAudio(transcript=transcript):
                content.append(Heard(transcript))
            case InputImage(image_url=data):
                content.append(Picture())
                decodes.append(Decode(item_id, index, "image", data, None, f"{of_part}.image_url"))
            case OutputAudio(transcript=transcript):
                content.append(Spoken.complete(transcript))
            case _:
                content.append(Written(part.text))
    item = Item(item_id, fields.role, content)
    pictures = sum(isinstance(part, Picture) for part in content)
    if pictures > limits.max_images:
        message = f"The item has {pictures} pictures; the limit is {limits.max_images}."
        raise InvalidRequest(message, param=f"{param}.content")
    if item.chars > limits.max_chars:
        message = f"The item has {item.chars:,} characters; the limit is {limits.max_chars:,}."
        raise TooLarge(message, param=f"{param}.content")
    return NewItem(item, decodes)
