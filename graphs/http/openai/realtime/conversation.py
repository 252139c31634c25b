"""The items of a conversation, their order, and the messages that they are for the chat model. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from deployments.errors import ParleyError
from deployments.messages import Image, Role
from graphs.pipeline.turn import TurnMessage

Status = Literal["in_progress", "completed", "incomplete"]

ROOT = "root"  # as previous_item_id: before all items


@dataclass(slots=True)
class Written:
    """A text, of anybody."""

    text: str = ""

    def described(self, role: Role) -> dict[str, Any]:
        return {"type": "output_text" if role == "assistant" else "input_text", "text": self.text}


@dataclass(slots=True)
class Heard:
    """Speech of the user. ``text`` is ``None`` until it is recognized, and empty if it has no words."""

    text: str | None = None

    def described(self, role: Role) -> dict[str, Any]:
        return {"type": "input_audio", "transcript": self.text}  # @openai/agents-realtime needs the field


@dataclass(slots=True)
class Picture:
    """A picture of the user; ``None`` before it is decoded and after newer ones have replaced it in the prompt."""

    image: Image | None = None
    text: Literal[""] = ""

    def described(self, role: Role) -> dict[str, Any]:
        return {"type": "input_image", "detail": "auto"}  # not sent back: it may have megabytes


@dataclass(slots=True)
class Sentence:
    """A sentence of a spoken answer, with its place in the audio. ``text`` begins with the space before it."""

    text: str
    start_ms: float
    end_ms: float


@dataclass(slots=True)
class Spoken:
    """A spoken answer, as far as it was sent."""

    sentences: list[Sentence] = field(default_factory=list)
    audio_ms: float = 0.0

    @property
    def text(self) -> str:
        return "".join(sentence.text for sentence in self.sentences)

    def described(self, role: Role) -> dict[str, Any]:
        return {"type": "output_audio", "transcript": self.text}

    @classmethod
    def complete(cls, text: str) -> Spoken:
        """An answer from before, whose audio is not known."""
        return cls([Sentence(text, 0.0, 0.0)])

    def begin_sentence(self, text: str) -> str:
        """Add a sentence whose audio comes next; return it with the space that separates it from the one before."""
        text = f" {text}" if self.sentences else text
        self.sentences.append(Sentence(text, self.audio_ms, self.audio_ms))
        return text

    def add_audio(self, duration_ms: float) -> None:
        """Add audio of the last sentence."""
        self.audio_ms += duration_ms
        if self.sentences:
            self.sentences[-1].end_ms = self.audio_ms

    def truncate(self, audio_end_ms: int) -> bool:
        """Remove what was not heard by ``audio_end_ms``. Return whether anything was removed.

        The sentence in which the cut lies keeps as many of its words as was heard of its audio, in proportion.
        """
        if audio_end_ms >= self.audio_ms:
            return False
        self.audio_ms = audio_end_ms
        heard = [sentence for sentence in self.sentences if sentence.start_ms < audio_end_ms]
        if heard and heard[-1].end_ms > audio_end_ms:
            heard[-1] = _cut(heard[-1], audio_end_ms)
        self.sentences = [sentence for sentence in heard if sentence.text]
        return True


def _cut(sentence: Sentence, end_ms: float) -> Sentence:
    words = sentence.text.split()
    share = (end_ms - sentence.start_ms) / (sentence.end_ms - sentence.start_ms)
    heard = " ".join(words[: int(len(words) * share)])
    space = " " if heard and sentence.text.startswith(" ") else ""
    return Sentence(space + heard, sentence.start_ms, end_ms)


Content = Written | Heard | Picture | Spoken


@dataclass(slots=True, eq=False)
class Item:
    """A message of the conversation.

    ``awaits_words`` is set while its speech is recognized, ``error`` if that failed. ``start_ms`` is where its audio
    begins in the input, if it is from there. ``in_prompt`` is unset when it no longer counts.
    """

    id: str
    role: Role
    content: list[Content]
    status: Status = "completed"
    awaits_words: bool = False
    error: ParleyError | None = None
    start_ms: int | None = None
    in_prompt: bool = True

    @property
    def chars(self) -> int:
        return sum(len(part.text or "") for part in self.content)

    @property
    def pictures(self) -> int:
        """The number of its decoded pictures."""
        return sum(isinstance(part, Picture) and part.image is not None for part in self.content)

    @property
    def has_speech(self) -> bool:
        return any(isinstance(part, Heard) for part in self.content)

    @property
    def heard_index(self) -> int:
        """The index of the speech in the content of an item that has speech; it has one."""
        return next(index for index, part in enumerate(self.content) if isinstance(part, Heard))

    def described(self) -> dict[str, Any]:
        """Return the item as it is sent."""
        return {
            "id": self.id,
            "object": "realtime.item",
            "type": "message",
            "status": self.status,
            "role": self.role,
            "content": [part.described(self.role) for part in self.content],
        }

    def message(self) -> TurnMessage | None:
        """Return what the chat model reads of it; ``None`` if there is nothing to read."""
        if not self.in_prompt or self.status == "in_progress":
            return None
        text = "\n".join(part.text for part in self.content if part.text).strip()
        images = tuple(part.image for part in self.content if isinstance(part, Picture) and part.image is not None)
        return TurnMessage(self.role, text, images=images) if text or images else None


class Conversation:
    """The items in their order."""

    def __init__(self) -> None:
        self._items: list[Item] = []

    def __iter__(self) -> Iterator[Item]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    @property
    def chars(self) -> int:
        return sum(item.chars for item in self._items)

    @property
    def last_id(self) -> str | None:
        return self._items[-1].id if self._items else None

    @property
    def last_spoken(self) -> Item | None:
        """The item of the last answer with a voice."""
        spoken = (item for item in reversed(self._items) if any(isinstance(part, Spoken) for part in item.content))
        return next(spoken, None)

    def get(self, item_id: str) -> Item | None:
        return next((item for item in reversed(self._items) if item.id == item_id), None)

    def add(self, item: Item, previous_item_id: str | None = None) -> str | None:
        """Insert an item after another, at the beginning with ``ROOT``, or at the end. Return the id before it.

        Raises ``KeyError`` if the other does not exist.
        """
        if previous_item_id is None:
            at = len(self._items)
        elif previous_item_id == ROOT:
            at = 0
        elif (previous := self.get(previous_item_id)) is not None:
            at = self._items.index(previous) + 1
        else:
            raise KeyError(previous_item_id)
        self._items.insert(at, item)
        return self.previous_id(item)

    def previous_id(self, item: Item) -> str | None:
        at = self._items.index(item)
        return self._items[at - 1].id if at else None

    def remove(self, item: Item) -> None:
        item.in_prompt = False
        self._items.remove(item)

    def excess(self, max_items: int, max_chars: int) -> Item | None:
        """Return the oldest item that may go if the conversation is above its limits."""
        if len(self._items) <= max_items and self.chars <= max_chars:
            return None
        return next((item for item in self._items[:-1] if item.status != "in_progress"), None)

    def keep_pictures(self, max_images: int) -> None:
        """Forget the pixels of the oldest pictures above ``max_images``."""
        pictures = [part for item in self._items for part in item.content if isinstance(part, Picture) and part.image]
        for picture in pictures[: max(0, len(pictures) - max_images)]:
            picture.image = None

    def shorten_prompt(self, kept: float) -> bool:
        """Leave the oldest items out of all further prompts; a share ``kept`` stays. Return whether any is left out."""
        items = [item for item in self._items if item.message() is not None]
        removed = min(len(items) - 1, max(1, round(len(items) * (1 - kept))))
        for item in items[:removed] if removed > 0 else ():
            item.in_prompt = False
        return removed > 0


def unanswered(items: Sequence[Item]) -> list[Item]:
    """Return the user's items after the last one of anybody else."""
    last: list[Item] = []
    for item in reversed(items):
        if item.role != "user":
            break
        last.append(item)
    return last
