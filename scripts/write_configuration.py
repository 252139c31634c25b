"""Write docs/configuration.md from the engines' registry and the settings models.

With ``--check``, write nothing and fail if the file is out of date.
"""

from __future__ import annotations

import inspect
import json
import sys
import types
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import annotated_types
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from deployments.engines.registry import CHAT_MODELS, RECOGNIZERS, SYNTHESIZERS, EngineEntry
from deployments.settings import ChatConfig, Settings, SpeechToTextConfig, TextToSpeechConfig
from graphs.settings import GatewayArgs, GatewayConfig, RealtimeConfig
from scripts.generated_page import write_or_check

TARGET = Path(__file__).resolve().parent.parent / "docs" / "configuration.md"

INTRODUCTION = """# Configuration

One YAML file configures the application: `serve_config.yaml`, or one of `configs/`. `make docs` writes this page from
the settings models. An unknown key or a value out of bounds is refused, and the error names what is valid.

- Settings under the application's `args` need new replicas: changing one restarts the application.
- Settings under a deployment's `user_config` apply live: run `serve deploy` again, and they hold from the next request
  on. No replica restarts and no request is lost.
- `num_replicas`, `max_ongoing_requests`, `max_queued_requests` and `ray_actor_options` (`num_cpus`, `num_gpus`) are
  settings of Ray Serve.
"""

DEPLOYMENTS: tuple[tuple[str, str, Sequence[EngineEntry], type[Settings]], ...] = (
    ("SpeechToText", "`args.speech_to_text`", RECOGNIZERS, SpeechToTextConfig),
    ("TextLLM and VisionLLM", "`args.text_llm` and `args.vision_llm`", CHAT_MODELS, ChatConfig),
    ("TextToSpeech", "`args.text_to_speech`", SYNTHESIZERS, TextToSpeechConfig),
)
"""Name, args, engines and common live settings of each kind of deployment."""


def main() -> int:
    return write_or_check(TARGET, lines())


def lines() -> Iterator[str]:
    yield INTRODUCTION
    for deployment, args, entries, common in DEPLOYMENTS:
        yield f"## {deployment}\n"
        yield f"Engines: {', '.join(f'`{entry.name}`' for entry in entries)}.\n"
        for entry in entries:
            yield f"### {args} with `engine: {entry.name}`\n"
            yield from description(entry.args)
            yield from table(entry.args, own_first(entry.args))
        yield f"### `user_config` of {deployment}\n"
        yield from description(common)
        yield from table(common, common.model_fields)
        for entry in entries:
            if added := [name for name in entry.config.model_fields if name not in common.model_fields]:
                yield f"### `user_config` of {deployment}, in addition with `engine: {entry.name}`\n"
                yield from table(entry.config, added)
    yield "## Gateway\n"
    for title, settings in (
        ("`args.gateway`", GatewayArgs),
        ("`user_config` of Gateway", GatewayConfig),
        ("`realtime` in the `user_config` of Gateway", RealtimeConfig),
    ):
        yield f"### {title}\n"
        yield from table(settings, settings.model_fields)


def description(settings: type[Settings]) -> Iterator[str]:
    """Yield the docstring of a settings model."""
    yield inspect.cleandoc(settings.__doc__ or settings.__name__)
    yield ""


def own_first(settings: type[Settings]) -> list[str]:
    """Return the names of an engine's settings; those that it shares with other engines are last."""
    shared = {name for base in settings.__mro__[1:] for name in getattr(base, "model_fields", ()) if name != "engine"}
    return sorted(settings.model_fields, key=lambda name: (name in shared, name != "engine"))


def table(settings: type[Settings], names: Iterable[str]) -> Iterator[str]:
    yield "| setting | value | default | meaning |"
    yield "| --- | --- | --- | --- |"
    for name in names:
        field = settings.model_fields[name]
        yield f"| `{name}` | {value(field)} | {default(field)} | {field.description or ''} |"
    yield ""


def value(field: FieldInfo) -> str:
    """Return the type of a setting and its bounds in words."""
    bounds = [text for text in map(bound, field.metadata) if text]
    return ", ".join([type_name(field.annotation), *bounds]).replace("|", "\\|")


def type_name(annotation: Any) -> str:
    origin = get_origin(annotation)
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in get_args(annotation))
    if origin in (Union, types.UnionType):
        return " or ".join(type_name(part) for part in get_args(annotation))
    if annotation is type(None):
        return "null"
    if origin is tuple:
        return f"list of {type_name(get_args(annotation)[0])}"
    if origin is dict:
        return "map of {} to {}".format(*map(type_name, get_args(annotation)))
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        return "map of settings"
    if hasattr(annotation, "__metadata__"):
        bounds = filter(None, map(bound, annotation.__metadata__))
        return ", ".join([type_name(annotation.__origin__), *bounds])
    return {"str": "text", "bool": "true or false", "int": "whole number", "float": "number"}.get(
        getattr(annotation, "__name__", str(annotation)), str(annotation)
    )


def bound(constraint: Any) -> str:
    """Return one bound of a type in words; "" for other constraints."""
    match constraint:
        case annotated_types.Ge(ge=low):
            return f"≥ {low}"
        case annotated_types.Gt(gt=low):
            return f"> {low}"
        case annotated_types.Le(le=high):
            return f"≤ {high}"
        case annotated_types.Lt(lt=high):
            return f"< {high}"
        case annotated_types.MaxLen(max_length=length):
            return f"at most {length} long"
        case FieldInfo():
            return ", ".join(filter(None, map(bound, constraint.metadata)))
    return ""


def default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return "required"
    if value is None:
        return "null"
    if isinstance(value, Settings):
        return "its defaults"
    if isinstance(value, bool):
        return str(value).lower()
    return f"`{json.dumps(value) if isinstance(value, dict | tuple) else value}`"


if __name__ == "__main__":
    sys.exit(main())
