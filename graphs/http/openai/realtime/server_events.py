"""The events that the server sends, as dicts of JSON's values. The session adds ``event_id`` when it sends one.

A field without a value is left out: some clients take a null for a wrong event. Exceptions are ``previous_item_id``,
whose null says that an item is the first one, and the transcript of an item's audio.
"""

from __future__ import annotations

from typing import Any

from deployments.errors import ParleyError
from graphs.http.openai.realtime.client_events import EventError

JsonObject = dict[str, Any]


def without_nulls(fields: JsonObject) -> JsonObject:
    """Return the fields that have a value."""
    return {name: value for name, value in fields.items() if value is not None}


def error(error: EventError, event_id: str | None) -> JsonObject:
    """Build ``error``. ``event_id`` is that of the client's event that caused it."""
    details = {
        "type": error.type,
        "code": error.code,
        "message": error.message,
        "param": error.param,
        "event_id": event_id,
    }
    return {"type": "error", "error": without_nulls(details)}


def session_created(session: JsonObject) -> JsonObject:
    return {"type": "session.created", "session": session}


def session_updated(session: JsonObject) -> JsonObject:
    return {"type": "session.updated", "session": session}


# Input


def speech_started(item_id: str, start_ms: int) -> JsonObject:
    return {"type": "input_audio_buffer.speech_started", "audio_start_ms": start_ms, "item_id": item_id}


def speech_stopped(item_id: str, end_ms: int) -> JsonObject:
    return {"type": "input_audio_buffer.speech_stopped", "audio_end_ms": end_ms, "item_id": item_id}


def timeout_triggered(item_id: str, start_ms: int, end_ms: int) -> JsonObject:
    """Build the event that says that the input was silent between two times."""
    return {
        "type": "input_audio_buffer.timeout_triggered",
        "audio_start_ms": start_ms,
        "audio_end_ms": end_ms,
        "item_id": item_id,
    }


def committed(item_id: str, previous_item_id: str | None) -> JsonObject:
    return {"type": "input_audio_buffer.committed", "item_id": item_id, "previous_item_id": previous_item_id}


def cleared() -> JsonObject:
    return {"type": "input_audio_buffer.cleared"}


_TRANSCRIPTION = "conversation.item.input_audio_transcription"


def transcription_delta(item_id: str, content_index: int, delta: str) -> JsonObject:
    return {"type": f"{_TRANSCRIPTION}.delta", "item_id": item_id, "content_index": content_index, "delta": delta}


def transcription_completed(
    item_id: str, content_index: int, transcript: str, seconds: float, language: str | None
) -> JsonObject:
    event = {
        "type": f"{_TRANSCRIPTION}.completed",
        "item_id": item_id,
        "content_index": content_index,
        "transcript": transcript,
        "languages": [{"code": language}] if language else None,
        "usage": {"type": "duration", "seconds": seconds},
    }
    return without_nulls(event)


def transcription_failed(item_id: str, content_index: int, error: ParleyError) -> JsonObject:
    return {
        "type": f"{_TRANSCRIPTION}.failed",
        "item_id": item_id,
        "content_index": content_index,
        "error": without_nulls(
            {"type": error.type, "code": error.code, "message": error.message, "param": error.param}
        ),
    }


# Items of the conversation


def item_added(item: JsonObject, previous_item_id: str | None) -> JsonObject:
    return {"type": "conversation.item.added", "item": item, "previous_item_id": previous_item_id}


def item_done(item: JsonObject, previous_item_id: str | None) -> JsonObject:
    return {"type": "conversation.item.done", "item": item, "previous_item_id": previous_item_id}


def item_retrieved(item: JsonObject) -> JsonObject:
    return {"type": "conversation.item.retrieved", "item": item}


def item_deleted(item_id: str) -> JsonObject:
    return {"type": "conversation.item.deleted", "item_id": item_id}


def item_truncated(item_id: str, content_index: int, audio_end_ms: int) -> JsonObject:
    return {
        "type": "conversation.item.truncated",
        "item_id": item_id,
        "content_index": content_index,
        "audio_end_ms": audio_end_ms,
    }


# Responses. ``place`` is where in a response something happens; see ``place_of_item`` and ``place_of_part``.


def place_of_item(response_id: str) -> JsonObject:
    """Return the fields that locate the item of a response, which has one."""
    return {"response_id": response_id, "output_index": 0}


def place_of_part(response_id: str, item_id: str) -> JsonObject:
    """Return the fields that locate the content of a response's item, which has one part."""
    return {**place_of_item(response_id), "item_id": item_id, "content_index": 0}


def response_created(response: JsonObject) -> JsonObject:
    return {"type": "response.created", "response": response}


def response_done(response: JsonObject) -> JsonObject:
    return {"type": "response.done", "response": response}


def output_item_added(place: JsonObject, item: JsonObject) -> JsonObject:
    return {"type": "response.output_item.added", **place, "item": item}


def output_item_done(place: JsonObject, item: JsonObject) -> JsonObject:
    return {"type": "response.output_item.done", **place, "item": item}


def content_part_added(place: JsonObject, part: JsonObject) -> JsonObject:
    return {"type": "response.content_part.added", **place, "part": part}


def content_part_done(place: JsonObject, part: JsonObject) -> JsonObject:
    return {"type": "response.content_part.done", **place, "part": part}


def text_delta(place: JsonObject, delta: str) -> JsonObject:
    return {"type": "response.output_text.delta", **place, "delta": delta}


def text_done(place: JsonObject, text: str) -> JsonObject:
    return {"type": "response.output_text.done", **place, "text": text}


def transcript_delta(place: JsonObject, delta: str) -> JsonObject:
    return {"type": "response.output_audio_transcript.delta", **place, "delta": delta}


def transcript_done(place: JsonObject, transcript: str) -> JsonObject:
    return {"type": "response.output_audio_transcript.done", **place, "transcript": transcript}


def audio_delta(place: JsonObject, data_base64: str) -> JsonObject:
    return {"type": "response.output_audio.delta", **place, "delta": data_base64}


def audio_done(place: JsonObject) -> JsonObject:
    return {"type": "response.output_audio.done", **place}


def usage(input_tokens: int, output_tokens: int) -> JsonObject:
    """Build the usage of a response. All tokens are text's: speech is recognized before and synthesized after."""
    return {
        "total_tokens": input_tokens + output_tokens,
        "input_tokens": input_tokens,
        "output_tokens": output_tokens,
        "input_token_details": {
            "text_tokens": input_tokens,
            "audio_tokens": 0,
            "image_tokens": 0,
            "cached_tokens": 0,
            "cached_tokens_details": {"text_tokens": 0, "audio_tokens": 0, "image_tokens": 0},
        },
        "output_token_details": {"text_tokens": output_tokens, "audio_tokens": 0},
    }
