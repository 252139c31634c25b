"""The OpenAPI description of POST /chat: its request forms, responses and errors. Only data."""

from __future__ import annotations

from typing import Any

from graphs.http.chat.request import ChatRequest

_BINARY: dict[str, Any] = {"type": "string", "format": "binary"}


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def _request_schema() -> dict[str, Any]:
    schema = ChatRequest.model_json_schema()
    # Inlined, because a path's schema cannot contain definitions.
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
    schema["properties"]["messages"] = {"type": "string", "description": "The list as JSON text."}
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
    transcript={"type": "string", "description": "The transcript of the speech, if there was any."},
    audio={"type": "string", "format": "byte", "description": "A WAV, if the output is voice."},
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
    400: "Invalid: the message names the field and what is valid.",
    401: "No valid API key, where the service requires one.",
    404: "There is no model with this name.",
    413: "A limit of size, duration or pixels is exceeded.",
    415: "A content type or media format that is not supported.",
    422: "Nothing to answer: no prompt, or no speech in the recording.",
    429: "A limit of this API key is reached. Retry-After has the seconds to wait.",
    503: "The service is at its limit, or a replica is being replaced. Retry-After has the seconds to wait.",
    504: "The answer exceeded the time limit of one request.",
}

_CHAT_ERRORS = (400, 401, 413, 415, 422, 429, 503, 504)


def error_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the error responses of a route; without ``statuses`` those of POST /chat."""
    return {
        status: {"description": _ERRORS[status], "content": {"application/json": {"schema": _ERROR}}}
        for status in statuses or _CHAT_ERRORS
    }


RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The answer: JSON, plain text or an event stream (transcript, text, audio, stage, done, error); "
        "or audio, 16-bit PCM mono, sent while it is synthesized.",
        "headers": {
            "X-Request-Id": {"schema": {"type": "string"}},
            "X-Graph": {"schema": {"type": "string"}, "description": "The stages, such as asr,llm,tts."},
            "Server-Timing": {
                "schema": {"type": "string"},
                "description": "Durations of the stages that finished before the headers were sent.",
            },
        },
        "content": {
            "application/json": {"schema": _ANSWER},
            "text/plain": {"schema": {"type": "string"}},
            "text/event-stream": {"schema": {"type": "string"}},
            "audio/wav": {"schema": _BINARY},
        },
    },
    **error_responses(),
}
