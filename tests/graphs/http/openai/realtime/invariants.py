"""What holds for the events of every session, in whatever order things happen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from openai.types.realtime import RealtimeServerEvent
from pydantic import TypeAdapter

SCHEMA: TypeAdapter[Any] = TypeAdapter(RealtimeServerEvent)
NULLABLE = {"previous_item_id", "transcript"}  # "transcript" of an item's audio
PART_KINDS = {"text": "output_text", "audio": "output_audio"}


@dataclass
class OpenResponse:
    """What was seen of a response in progress."""

    in_conversation: bool
    item_id: str | None = None
    part: str | None = None
    text: str = ""
    audio_done: bool = False
    text_done: bool = False
    part_done: bool = False
    item_done: bool = False


@dataclass
class Invariants:
    """Checks events in the order in which they are sent."""

    event_ids: set[str] = field(default_factory=set)
    items: dict[str, str] = field(default_factory=dict)  # by id: "added" or "done"
    deleted: set[str] = field(default_factory=set)
    announced: set[str] = field(default_factory=set)  # items to be: of speech in progress, or committed
    responses: dict[str, OpenResponse] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    transcribed: set[str] = field(default_factory=set)

    def saw(self, event: dict[str, Any]) -> None:
        """Check one event."""
        parsed = SCHEMA.validate_python(event)
        assert parsed.type == event["type"]
        assert type(parsed).model_fields["type"].annotation.__args__ == (event["type"],), "an event of this type exists"
        assert set(nulls(event)) <= NULLABLE
        assert event["event_id"] not in self.event_ids
        self.event_ids.add(event["event_id"])
        kind = event["type"]
        if kind.startswith("input_audio_buffer.") and "item_id" in event:
            self._input(kind, event)
        elif kind.startswith("conversation.item.input_audio_transcription."):
            self._transcription(kind, event)
        elif kind.startswith("conversation.item."):
            self._item(kind, event)
        elif kind.startswith("response."):
            self._response(kind, event)

    def _input(self, kind: str, event: dict[str, Any]) -> None:
        assert event["item_id"] not in self.items
        self.announced.add(event["item_id"])
        if kind.endswith("committed"):
            self._previous(event)

    def _previous(self, event: dict[str, Any]) -> None:
        assert event["previous_item_id"] is None or event["previous_item_id"] in self.items

    def _transcription(self, kind: str, event: dict[str, Any]) -> None:
        item_id = event["item_id"]
        assert item_id not in self.transcribed
        if kind.endswith(".delta"):
            assert item_id in self.items or item_id in self.announced
        else:
            assert item_id in self.items
            self.transcribed.add(item_id)

    def _item(self, kind: str, event: dict[str, Any]) -> None:
        item_id = event["item"]["id"] if "item" in event else event["item_id"]
        if kind.endswith(".added"):
            assert item_id not in self.items
            self._previous(event)
            self.items[item_id] = "added"
        elif kind.endswith(".done"):
            assert self.items[item_id] == "added"
            self._previous(event)
            assert event["item"]["status"] != "in_progress"
            self.items[item_id] = "done"
        else:
            assert item_id in self.items
            if kind.endswith(".deleted"):
                assert self.items.pop(item_id) == "done"
                self.announced.discard(item_id)
                self.deleted.add(item_id)

    def _response(self, kind: str, event: dict[str, Any]) -> None:
        if kind == "response.created":
            response = event["response"]
            assert response["status"] == "in_progress"
            assert response["output"] == []
            assert response["id"] not in self.responses | dict.fromkeys(self.ended)
            self.responses[response["id"]] = OpenResponse("conversation_id" in response)
            assert sum(r.in_conversation for r in self.responses.values()) <= 1
        elif kind == "response.done":
            self._response_done(event["response"])
        else:
            self._of_response(kind.removeprefix("response."), self.responses[event["response_id"]], event)

    def _of_response(self, kind: str, seen: OpenResponse, event: dict[str, Any]) -> None:
        assert event["output_index"] == 0
        assert event.get("content_index", 0) == 0
        if kind == "output_item.added":
            assert seen.item_id is None
            seen.item_id = event["item"]["id"]
            return
        assert not seen.item_done
        assert seen.item_id == (event["item"]["id"] if "item" in event else event["item_id"])
        if seen.in_conversation:
            assert seen.item_id in self.items
        if kind == "content_part.added":
            assert seen.part is None
            seen.part = event["part"]["type"]
            assert event["part"].get("text", event["part"].get("transcript")) == ""
        elif kind.endswith(".delta"):
            assert (seen.text_done, seen.audio_done) == (False, False)
            assert (kind == "output_text.delta") == (seen.part == "text")
            if kind != "output_audio.delta":
                seen.text += event["delta"]
        elif kind == "output_audio.done":
            assert seen.part == "audio"
            seen.audio_done = True
        elif kind in ("output_text.done", "output_audio_transcript.done"):
            assert (kind == "output_text.done") == (seen.part == "text")
            assert event.get("text", event.get("transcript")) == seen.text
            seen.text_done = True
        elif kind == "content_part.done":
            assert (seen.text_done, seen.audio_done) == (True, seen.part == "audio")
            assert event["part"] == part(seen)
            seen.part_done = True
        elif kind == "output_item.done":
            assert seen.part_done
            assert not seen.in_conversation or self.items[seen.item_id] == "done"
            assert_answer(event["item"], seen)
            seen.item_done = True
        else:
            raise AssertionError(f"an event {kind}")

    def _response_done(self, response: dict[str, Any]) -> None:
        seen = self.responses.pop(response["id"])
        self.ended.add(response["id"])
        assert response["status"] in ("completed", "cancelled", "failed", "incomplete")
        if response["status"] != "completed":
            assert response["status_details"]["type"] == response["status"]
        assert seen.in_conversation == ("conversation_id" in response)
        usage = response["usage"]
        assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
        if seen.item_id is None:
            assert response["output"] == []
        else:
            assert seen.item_done
            [item] = response["output"]
            assert_answer(item, seen)

    def nothing_is_open(self) -> None:
        """Check, when nothing is in progress, that everything that began has ended."""
        assert not self.responses
        assert set(self.items.values()) <= {"done"}


def part(seen: OpenResponse) -> dict[str, Any]:
    return {"type": seen.part, "transcript" if seen.part == "audio" else "text": seen.text}


def assert_answer(item: dict[str, Any], seen: OpenResponse) -> None:
    assert item["id"] == seen.item_id
    assert item["role"] == "assistant"
    assert item["status"] in ("completed", "incomplete")
    assert seen.part is not None
    assert item["content"] == [part(seen) | {"type": PART_KINDS[seen.part]}]


def nulls(value: Any, name: str = "") -> Iterator[str]:
    """Yield the names of the fields that are null, anywhere in a value."""
    if value is None:
        yield name
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from nulls(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from nulls(inner, name)
