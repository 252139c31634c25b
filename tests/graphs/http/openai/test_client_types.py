"""The parameters of the types of OpenAI's client: each has a field, and each optional one accepts null.

The parameters are read from the package, so that a new one fails here until it is supported, ignored or refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Required, get_args, get_origin, get_type_hints

import pytest
from openai.types.audio.speech_create_params import SpeechCreateParams
from openai.types.audio.transcription_create_params import (
    TranscriptionCreateParamsNonStreaming,
    TranscriptionCreateParamsStreaming,
)
from openai.types.chat.completion_create_params import (
    CompletionCreateParamsNonStreaming,
    CompletionCreateParamsStreaming,
)

from deployments.errors import InvalidRequest, UnknownField
from graphs.http.body import RequestModel, validated
from graphs.http.openai.chat.request import PART_TAGS, ChatCompletionRequest
from graphs.http.openai.speech import SpeechFields
from graphs.http.openai.transcription import TranscriptionFields

ROUTES: list[tuple[type, type[RequestModel], dict[str, Any]]] = [
    (CompletionCreateParamsNonStreaming, ChatCompletionRequest, {"messages": [{"role": "user", "content": "hi"}]}),
    (CompletionCreateParamsStreaming, ChatCompletionRequest, {"messages": [{"role": "user", "content": "hi"}]}),
    (SpeechCreateParams, SpeechFields, {"input": "hi"}),
    (TranscriptionCreateParamsNonStreaming, TranscriptionFields, {}),
    (TranscriptionCreateParamsStreaming, TranscriptionFields, {}),
]
IN_A_FORM = {"timestamp_granularities": "timestamp_granularities[]"}
OF_THE_FORM = {"file"}  # not a field of the model

# Values of the types that Parley supports, to which one parameter at a time is added. Their keys are the types' names.
HELLO = {"role": "user", "content": "hi"}
PNG = "data:image/png;base64,AAAA"
SUPPORTED: dict[str, Any] = {
    "ChatCompletionDeveloperMessageParam": {"role": "developer", "content": "hi"},
    "ChatCompletionSystemMessageParam": {"role": "system", "content": "hi"},
    "ChatCompletionUserMessageParam": HELLO,
    "ChatCompletionAssistantMessageParam": {"role": "assistant", "content": "hi"},
    "ChatCompletionContentPartTextParam": {"type": "text", "text": "hi"},
    "ChatCompletionContentPartImageParam": {"type": "image_url", "image_url": {"url": PNG}},
    "ImageURL": {"url": PNG},
    "ChatCompletionContentPartInputAudioParam": {
        "type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"},
    },
    "InputAudio": {"data": "AAAA", "format": "wav"},
    "ChatCompletionContentPartRefusalParam": {"type": "refusal", "refusal": "No."},
    "Audio": {"id": "audio_1"},
    "ChatCompletionAudioParam": {"voice": "alloy", "format": "wav"},
    "ChatCompletionStreamOptionsParam": {},
    "ResponseFormatText": {"type": "text"},
    "ResponseFormatJSONObject": {"type": "json_object"},
    "ResponseFormatJSONSchema": {"type": "json_schema", "json_schema": {"name": "a"}},
    "JSONSchema": {"name": "a"},
}  # fmt: skip
# Types that are refused by the name of their field, role or type.
REFUSED = {
    "ChatCompletionToolMessageParam", "ChatCompletionFunctionMessageParam", "File", "ChunkingStrategyVadConfig",
}  # fmt: skip
NAMES = {"VoiceID", "Voice", "ID"}  # of an object with the name of a voice, in test_parameters.py


def parameters(params: type) -> dict[str, Any]:
    """Return the parameters of a TypedDict with their types.

    With ``localns``, Python evaluates names anew. Without, a name such as Audio may keep the value of another module.
    """
    return get_type_hints(params, localns={}, include_extras=True)


def is_required(hint: Any) -> bool:
    return get_origin(hint) is Required


def typed_dicts(hint: Any) -> Iterator[type]:
    """Yield the TypedDicts in a type, without those inside of them."""
    if hasattr(hint, "__required_keys__"):  # of typing or of typing_extensions
        yield hint
    for argument in get_args(hint):
        yield from typed_dicts(argument)


def embedded(name: str, value: dict[str, Any]) -> dict[str, Any]:
    """Return a request that contains ``value``, which has the type ``name`` of OpenAI's client."""
    if name.endswith("MessageParam"):
        return {"messages": [value]}
    part = {
        "ImageURL": {"type": "image_url", "image_url": value},
        "InputAudio": {"type": "input_audio", "input_audio": value},
    }.get(name, value if "ContentPart" in name else None)
    if part is not None:
        role = "assistant" if part["type"] == "refusal" else "user"
        return {"messages": [{"role": role, "content": [part]}]}
    if name == "Audio":
        return {"messages": [HELLO, {"role": "assistant", "audio": value}]}
    field = {
        "ChatCompletionAudioParam": {"audio": value},
        "ChatCompletionStreamOptionsParam": {"stream_options": value},
        "JSONSchema": {"response_format": {"type": "json_schema", "json_schema": value}},
    }.get(name, {"response_format": value})
    return {"messages": [HELLO], **field}


def reachable_types() -> dict[str, type]:
    """Return the TypedDicts in the parameters that Parley reads, by their names."""
    modules = {model.__module__ for _, model, _ in ROUTES}
    opaque = {
        name
        for model in RequestModel.__subclasses__()
        if model.__module__ in modules
        for name, field in model.model_fields.items()
        if field.annotation is Any  # ignored, or refused as a whole
    }
    found: dict[str, type] = {}
    waiting: list[type] = [params for params, _, _ in ROUTES]
    while waiting:
        for name, hint in parameters(waiting.pop()).items():
            for kind in typed_dicts(hint) if name not in opaque else ():
                if kind.__name__ not in found.keys() | REFUSED | NAMES:
                    found[kind.__name__] = kind
                    waiting.append(kind)
    return found


def nulls() -> Iterator[Any]:
    """Yield a request for each optional parameter of a type that Parley supports, in which it is null."""
    for kind, value in ((kind, SUPPORTED.get(name, {})) for name, kind in reachable_types().items()):
        for name, hint in parameters(kind).items():
            if not is_required(hint):
                yield pytest.param(kind.__name__, value | {name: None}, id=f"{kind.__name__}.{name}")


@pytest.mark.parametrize(("params", "model", "valid"), ROUTES, ids=lambda value: getattr(value, "__name__", ""))
def test_every_parameter_of_a_route_has_a_field(params: type, model: type[RequestModel], valid: dict[str, Any]) -> None:
    names = {field.alias or name for name, field in model.model_fields.items()}
    assert {IN_A_FORM.get(name, name) for name in parameters(params)} - OF_THE_FORM <= names


@pytest.mark.parametrize(("params", "model", "valid"), ROUTES, ids=lambda value: getattr(value, "__name__", ""))
def test_every_optional_parameter_of_a_route_accepts_null(
    params: type, model: type[RequestModel], valid: dict[str, Any]
) -> None:
    for name, hint in parameters(params).items():
        if not is_required(hint):
            validated(model, valid | {IN_A_FORM.get(name, name): None}, PART_TAGS)


def test_every_type_in_the_parameters_is_supported_or_refused() -> None:
    assert reachable_types().keys() == SUPPORTED.keys()


def unknown_field(fields: dict[str, Any]) -> str:
    """Return the name of the field that is refused as unknown; empty if there is none."""
    try:
        validated(ChatCompletionRequest, fields, PART_TAGS)
    except UnknownField as error:
        return error.param or ""
    except InvalidRequest:
        pass
    return ""


@pytest.mark.parametrize("name", SUPPORTED)
def test_every_parameter_of_a_supported_type_has_a_field(name: str) -> None:
    for parameter in parameters(reachable_types()[name]):
        fields = embedded(name, SUPPORTED[name] | {parameter: {"unknown": 1}})
        assert not unknown_field(fields).endswith(f".{parameter}")


@pytest.mark.parametrize(("name", "value"), nulls())
def test_every_optional_parameter_of_a_supported_type_accepts_null(name: str, value: dict[str, Any]) -> None:
    validated(ChatCompletionRequest, embedded(name, value), PART_TAGS)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": [{"role": "tool", "tool_call_id": "1", "content": "5"}]}, "messages.0.role"),
        ({"messages": [{"role": "function", "name": "f", "content": "5"}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": [{"type": "file", "file": {}}]}]}, "messages.0.content.0"),
        ({"messages": [HELLO], "tools": [{"type": "function"}]}, "tools"),
        ({"messages": [HELLO], "moderation": {"model": "omni"}}, "moderation"),
    ],
)
def test_types_that_are_not_supported_are_refused_by_name(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        validated(ChatCompletionRequest, fields, PART_TAGS)
    assert (type(caught.value), caught.value.param) == (InvalidRequest, param)
