"""The OpenAPI description of the routes: keyword arguments for FastAPI, one constant per route. Only data."""

from __future__ import annotations

from typing import Any

from fastapi.responses import Response
from pydantic import BaseModel

from graphs.http import sse
from graphs.http.chat.request import ChatRequest
from graphs.http.openai.chat.request import ChatCompletionRequest
from graphs.http.openai.realtime.endpoint import ClientSecretRequest
from graphs.http.openai.speech import SpeechFields
from graphs.http.openai.transcription import TranscriptionFields

Json = dict[str, Any]

_BINARY: Json = {"type": "string", "format": "binary"}
_TEXT: Json = {"type": "string"}
_INTEGER: Json = {"type": "integer"}

_ERRORS = {
    400: "Invalid: the message names the field and what is valid.",
    401: "No valid API key, where the service requires one.",
    404: "There is no model with this name.",
    408: "The header or the body of the request arrives too slowly.",
    413: "A limit of size, duration or pixels is exceeded.",
    415: "A content type or media format that is not supported.",
    422: "Nothing to answer: no prompt, or no speech in the recording.",
    429: "A limit of this API key is reached. Retry-After has the seconds to wait.",
    431: "The header of the request exceeds its limit.",
    503: "The service is at its limit, or a replica is being replaced. Retry-After has the seconds to wait.",
    504: "The answer exceeded the time limit of one request.",
}
_MODEL_ERRORS = (400, 401, 413, 415, 422, 429, 503, 504)  # of routes that use a model


def _object(optional: Json | None = None, **properties: Any) -> Json:
    return {"type": "object", "properties": properties | (optional or {}), "required": list(properties)}


_ERROR = _object(error=_object(message=_TEXT, type=_TEXT, param={"type": ["string", "null"]}, code=_TEXT))


def _inlined(schema: Any, definitions: Json) -> Any:
    """Replace references by their definitions, because a path's schema cannot contain definitions."""
    if isinstance(schema, list):
        return [_inlined(part, definitions) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inlined(definitions[schema["$ref"].rpartition("/")[2]], definitions) | {
            key: value for key, value in schema.items() if key != "$ref"
        }
    return {key: _inlined(part, definitions) for key, part in schema.items() if key not in ("$defs", "discriminator")}


def _schema(model: type[BaseModel], **replaced: Json) -> Json:
    """Return the schema of a model; properties in ``replaced`` keep their descriptions."""
    whole = model.model_json_schema()
    schema: Json = _inlined(whole, whole.get("$defs", {}))
    for name, part in replaced.items():
        described = {key: value for key, value in schema["properties"][name].items() if key == "description"}
        schema["properties"][name] = described | part
    return schema


def _without(schema: Json, *names: str) -> Json:
    return schema | {"properties": {name: part for name, part in schema["properties"].items() if name not in names}}


def _body(**content: Json) -> Json:
    return {"required": True, "content": {name: {"schema": schema} for name, schema in content.items()}}


def _responses(
    *errors: int, description: str = "", headers: Json | None = None, **content: Json
) -> dict[int | str, Json]:
    """Return the responses of a route: 200 with ``content`` by media type, unless there is none, and ``errors``."""
    success: Json = {"description": description, "content": {name: {"schema": part} for name, part in content.items()}}
    failures: dict[int | str, Json] = {
        status: {"description": _ERRORS[status], "content": {"application/json": {"schema": _ERROR}}}
        for status in sorted({*errors, 408, 431})
    }
    return ({200: success | ({"headers": headers} if headers else {})} if content else {}) | failures


_OMITTED = _TEXT | {"description": "Text that was not spoken, as the voice has no characters for it; if there is any."}
_OMITTED_HEADER = {
    "schema": _TEXT,
    "description": "How many characters were not spoken, as the voice does not have them, and their scripts, such as "
    '6; scripts="Cyrillic"; of the text before the first audio, if the response is streamed.',
}

_FORM = _schema(
    ChatRequest,
    audio=_BINARY,
    image={"type": "array", "items": _BINARY},
    messages=_TEXT | {"description": "The list as JSON text."},
)

_DROPPED = _INTEGER | {"description": "Messages, the oldest ones, that are not in the prompt, as it was too long."}

CHAT: Json = {
    "summary": "One turn of a conversation",
    "response_class": Response,
    "responses": _responses(
        *_MODEL_ERRORS,
        description="The answer: JSON, plain text or an event stream (transcript, dropped, text, audio, stage, done, "
        "error); or audio, 16-bit PCM mono, sent while it is synthesized.",
        headers={
            "X-Request-Id": {"schema": _TEXT},
            "X-Graph": {"schema": _TEXT, "description": "The stages, such as asr,llm,tts."},
            "X-Speech-Omitted": _OMITTED_HEADER,
            "Server-Timing": {
                "schema": _TEXT,
                "description": "Durations of the stages that finished before the headers were sent.",
            },
            "X-Dropped-Messages": {
                "schema": _INTEGER,
                "description": "Messages left out of the prompt, if there are any; not in an event stream.",
            },
        },
        **{
            "application/json": _object(
                {
                    "transcript": _TEXT | {"description": "The transcript of the speech, if there was any."},
                    "audio": {"type": "string", "format": "byte", "description": "A WAV, if the output is voice."},
                    "speech_omitted": _OMITTED,
                },
                id=_TEXT,
                text=_TEXT,
                graph={"type": "array", "items": {"enum": ["asr", "llm", "vision", "tts"]}},
                usage=_object(prompt_tokens=_INTEGER, completion_tokens=_INTEGER),
                finish_reason={"enum": ["stop", "length"]},
                dropped_messages=_DROPPED,
            ),
            "text/plain": _TEXT,
            sse.MEDIA_TYPE: _TEXT,
            "audio/wav": _BINARY,
        },
    ),
    "openapi_extra": {
        "requestBody": _body(
            **{
                "multipart/form-data": _FORM,
                "application/x-www-form-urlencoded": _without(_FORM, "audio", "image"),
                "application/json": _schema(ChatRequest),
                "text/plain": _TEXT,
                "audio/*": _BINARY,
                "image/*": _BINARY,
            }
        ),
        "parameters": [
            {"name": name, "in": "query", "required": False, "schema": _inlined(part, {})}
            for name, part in _without(_schema(ChatRequest), "audio", "image", "messages")["properties"].items()
        ],
    },
}

_USAGE = _object(prompt_tokens=_INTEGER, completion_tokens=_INTEGER, total_tokens=_INTEGER)
_COMPLETION = _object(
    {
        "parley": _object({"dropped_messages": _DROPPED, "speech_omitted": _OMITTED})
        | {"description": "Only if messages were left out of the prompt, or text by the voice."}
    },
    id=_TEXT,
    object={"const": "chat.completion"},
    created=_INTEGER,
    model=_TEXT,
    choices={"type": "array", "items": {"type": "object"}, "minItems": 1, "maxItems": 1},
    usage=_USAGE,
)
CHAT_COMPLETIONS: Json = {
    "summary": "A chat completion, as in OpenAI's API",
    "response_class": Response,
    "responses": _responses(
        *_MODEL_ERRORS,
        description="The completion; with stream its chunks, then [DONE].",
        **{"application/json": _COMPLETION, sse.MEDIA_TYPE: {}},
    ),
    "openapi_extra": {"requestBody": _body(**{"application/json": _schema(ChatCompletionRequest)})},
}

_AUDIO_TYPES = ("audio/mpeg", "audio/ogg", "audio/aac", "audio/flac", "audio/wav", "audio/pcm")
SPEECH: Json = {
    "summary": "A text read aloud",
    "response_class": Response,
    "responses": _responses(
        *_MODEL_ERRORS,
        description="The audio, sent while it is synthesized; or events with it in base64.",
        headers={"X-Speech-Omitted": _OMITTED_HEADER},
        **dict.fromkeys(_AUDIO_TYPES, _BINARY) | {sse.MEDIA_TYPE: {}},
    ),
    "openapi_extra": {"requestBody": _body(**{"application/json": _schema(SpeechFields)})},
}

_TRANSCRIPTION = _schema(TranscriptionFields)
_RECORDING = _BINARY | {
    "description": "WAV, FLAC, MP3, AAC, Ogg, WebM or M4A, of any length up to the service's limit."
}
TRANSCRIPTIONS: Json = {
    "summary": "The transcript of a recording",
    "response_class": Response,
    "responses": _responses(
        *_MODEL_ERRORS,
        description="The transcript; srt and vtt are text; with stream, events while it is transcribed.",
        **{"application/json": _object(text=_TEXT), "text/plain": _TEXT, sse.MEDIA_TYPE: {}},
    ),
    "openapi_extra": {
        "requestBody": _body(**{"multipart/form-data": _object(_TRANSCRIPTION["properties"], file=_RECORDING)})
    },
}
TRANSLATIONS: Json = {
    "summary": "Not supported: Parley transcribes a recording in its own language",
    "response_class": Response,
    "responses": _responses(400, 401, 429, 503),
    "status_code": 400,
}

_VOICES = {"type": "array", "items": _TEXT, "description": "The voices of the speech model, if it has several."}
_MODEL = _object({"voices": _VOICES}, id=_TEXT, object={"const": "model"}, created=_INTEGER, owned_by=_TEXT)
MODELS: Json = {
    "summary": "The served models",
    "responses": _responses(
        401,
        description="Every model.",
        **{"application/json": _object(object={"const": "list"}, data={"type": "array", "items": _MODEL})},
    ),
}
MODEL: Json = {
    "summary": "One model",
    "responses": _responses(401, 404, description="The model.", **{"application/json": _MODEL}),
}
CLIENT_SECRETS: Json = {
    "summary": "A short-lived key for live sessions",
    "responses": _responses(
        400,
        401,
        408,
        413,
        415,
        429,
        503,
        description="The key, which WS /v1/realtime accepts until it expires, and the session that it configures.",
        **{"application/json": _object(value=_TEXT, expires_at=_INTEGER, session={"type": "object"})},
    ),
    "openapi_extra": {"requestBody": _body(**{"application/json": _schema(ClientSecretRequest)})},
}
GRAPH: Json = {"summary": "The stages of every kind of request", "responses": _responses(401)}
HEALTH: Json = {"summary": "Whether the service is ready", "responses": _responses(503)}
LIVE: Json = {"summary": "Whether the Gateway answers"}
