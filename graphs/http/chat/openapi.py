"""What /openapi.json says of POST /chat: its three request forms, its answers and its errors. Data only."""

from __future__ import annotations

from typing import Any

from graphs.http.chat.request import ChatRequest

_BINARY: dict[str, Any] = {"type": "string", "format": "binary"}


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def _request_schema() -> dict[str, Any]:
    schema = ChatRequest.model_json_schema()
    # Inlined: a path's own schema has no place for definitions.
    definitions = schema.pop("$defs")
    properties = schema["properties"]
    properties["output"] |= {"anyOf": [definitions["Output"], {"type": "null"}]}
    properties["messages"]["items"] = definitions["EarlierMessage"]
    return schema


def _form_schema() -> dict[str, Any]:
    schema = _request_schema()
    media: dict[str, dict[str, Any]] = {"audio": _BINARY, "image": {"type": "array", "items": _BINARY}}
    for name, part in media.items():
        schema["properties"][name] = part | {"description": schema["properties"][name]["description"]}
    schema["properties"]["messages"] = {"type": "string", "description": "As in JSON, written as JSON."}
    return schema


def _text_form_schema() -> dict[str, Any]:
    schema = _form_schema()
    for name in ("audio", "image"):
        del schema["properties"][name]
    return schema


REQUEST_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "multipart/form-data": {"schema": _form_schema()},
        "application/x-www-form-urlencoded": {"schema": _text_form_schema()},
        "application/json": {"schema": _request_schema()},
        "text/plain": {"schema": {"type": "string"}},
        "audio/*": {"schema": _BINARY},
        "image/*": {"schema": _BINARY},
    },
}

QUERY_PARAMETERS: list[dict[str, Any]] = [
    {"name": name, "in": "query", "required": False, "schema": {k: v for k, v in field.items() if k != "description"}}
    for name, field in _request_schema()["properties"].items()
    if name not in ("audio", "image", "messages")
]

_ANSWER = _object(
    id={"type": "string"},
    text={"type": "string"},
    transcript={"type": "string", "description": "What was said, when speech came in."},
    audio={"type": "string", "format": "byte", "description": "A WAV, when a voice was asked for."},
    graph={"type": "array", "items": {"enum": ["asr", "llm", "vision", "tts"]}},
    usage=_object(prompt_tokens={"type": "integer"}, completion_tokens={"type": "integer"}),
    finish_reason={"enum": ["stop", "length"]},
)

_ERROR = _object(
    error=_object(
        message={"type": "string"},
        type={"type": "string"},
        param={"type": ["string", "null"]},
        code={"type": "string"},
    )
)

_ERRORS = {
    400: "Malformed: the message says where, and what would be right.",
    401: "No API key, or none of this service's, where it asks for one.",
    404: "There is nothing of this name.",
    413: "Larger, longer or wider than the service takes.",
    415: "No such content type, or media that is not read.",
    422: "Nothing to answer: no prompt, or no speech found.",
    429: "A limit of this API key's own is reached. Retry-After says when it may ask again.",
    503: "Every place is taken, or a replica is being replaced. Retry-After says when to come back.",
    504: "Not complete within the time of one request.",
}

_CHAT_ERRORS = (400, 401, 413, 415, 422, 429, 503, 504)


def error_answers(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The error answers of a route; all of POST /chat's without ``statuses``."""
    return {
        status: {"description": _ERRORS[status], "content": {"application/json": {"schema": _ERROR}}}
        for status in statuses or _CHAT_ERRORS
    }


CHAT_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The answer: JSON, bare text or a stream of events (transcript, text, audio, stage, done, "
        "error); or a voice, 16-bit PCM mono, sent while it is being spoken.",
        "headers": {
            "X-Request-Id": {"schema": {"type": "string"}},
            "X-Graph": {"schema": {"type": "string"}, "description": "The stages, such as asr,llm,tts."},
            "Server-Timing": {"schema": {"type": "string"}, "description": "Stages finished before the headers."},
        },
        "content": {
            "application/json": {"schema": _ANSWER},
            "text/plain": {"schema": {"type": "string"}},
            "text/event-stream": {"schema": {"type": "string"}},
            "audio/wav": {"schema": _BINARY},
        },
    },
    **error_answers(),
}
