"""The OpenAPI description of the routes under /v1. Only data."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from graphs.http.chat.openapi import error_responses
from graphs.http.openai.chat.request import ChatCompletionRequest
from graphs.http.openai.speech import SpeechFields
from graphs.http.openai.transcription import TranscriptionFields

_BINARY: dict[str, Any] = {"type": "string", "format": "binary"}
_TEXT: dict[str, Any] = {"type": "string"}


def _inlined(schema: Any, definitions: dict[str, Any]) -> Any:
    """Replace references by their definitions, because a path's schema cannot contain definitions."""
    if isinstance(schema, list):
        return [_inlined(part, definitions) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inlined(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    return {key: _inlined(part, definitions) for key, part in schema.items() if key not in ("$defs", "discriminator")}


def _schema(model: type[BaseModel]) -> dict[str, Any]:
    whole = model.model_json_schema()
    inlined: dict[str, Any] = _inlined(whole, whole.get("$defs", {}))
    return inlined


def _body(media_type: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"required": True, "content": {media_type: {"schema": schema}}}


def _with_file(schema: dict[str, Any]) -> dict[str, Any]:
    recording = _BINARY | {"description": "WAV, FLAC, MP3, Ogg, WebM or M4A, of any length up to the service's limit."}
    return schema | {"properties": {"file": recording} | schema["properties"], "required": ["file"]}


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


_COMPLETION = _object(
    id=_TEXT,
    object={"const": "chat.completion"},
    created={"type": "integer"},
    model=_TEXT,
    choices={"type": "array", "items": {"type": "object"}, "minItems": 1, "maxItems": 1},
    usage=_object(
        prompt_tokens={"type": "integer"}, completion_tokens={"type": "integer"}, total_tokens={"type": "integer"}
    ),
)
_MODEL = _object(id=_TEXT, object={"const": "model"}, created={"type": "integer"}, owned_by=_TEXT)
_EVENTS: dict[str, Any] = {"text/event-stream": {"schema": {}}}

CHAT_BODY = _body("application/json", _schema(ChatCompletionRequest))
SPEECH_BODY = _body("application/json", _schema(SpeechFields))
TRANSCRIPTION_BODY = _body("multipart/form-data", _with_file(_schema(TranscriptionFields)))

_MODEL_ERRORS = (400, 401, 413, 415, 422, 429, 503, 504)

Responses = dict[int | str, dict[str, Any]]

CHAT_RESPONSES: Responses = {
    200: {
        "description": "The completion; with stream its chunks, then [DONE].",
        "content": {"application/json": {"schema": _COMPLETION}} | _EVENTS,
    },
    **error_responses(*_MODEL_ERRORS),
}
SPEECH_RESPONSES: Responses = {
    200: {
        "description": "The audio, sent while it is synthesized; or events with it in base64.",
        "content": {
            name: {"schema": _BINARY}
            for name in ("audio/mpeg", "audio/ogg", "audio/aac", "audio/flac", "audio/wav", "audio/pcm")
        }
        | _EVENTS,
    },
    **error_responses(*_MODEL_ERRORS),
}
TRANSCRIPTION_RESPONSES: Responses = {
    200: {
        "description": "The transcript; srt and vtt are text; with stream, events while it is transcribed.",
        "content": {
            "application/json": {"schema": {"type": "object", "properties": {"text": _TEXT}, "required": ["text"]}},
            "text/plain": {"schema": _TEXT},
        }
        | _EVENTS,
    },
    **error_responses(*_MODEL_ERRORS),
}
MODELS_RESPONSES: Responses = {
    200: {
        "description": "Every model.",
        "content": {
            "application/json": {"schema": _object(object={"const": "list"}, data={"type": "array", "items": _MODEL})}
        },
    },
    **error_responses(401),
}
MODEL_RESPONSES: Responses = {
    200: {"description": "The model.", "content": {"application/json": {"schema": _MODEL}}},
    **error_responses(401, 404),
}
TRANSLATION_RESPONSES: Responses = error_responses(400, 401, 429, 503)
