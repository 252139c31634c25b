"""Write docs/configuration.md from the settings models, so that the reference never says what the code does not.

``--check`` writes nothing and fails when the file on disk is out of date.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import annotated_types
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from deployments import settings
from deployments.settings import Settings

TARGET = Path(__file__).resolve().parent.parent / "docs" / "configuration.md"

INTRODUCTION = """# Configuration

Everything is set in one YAML file: `serve_config.yaml`, or one of `configs/`. This page is written from the settings
models by `make docs`; an unknown key or a value out of bounds is refused with the names that are valid.

- Settings under the application's `args` need a new replica: changing one restarts the application's replicas.
- Settings under a deployment's `user_config` apply live: `serve deploy` again, and the next request follows them. No
  replica restarts and no request is lost.
- `num_replicas`, `max_ongoing_requests`, `max_queued_requests` and `ray_actor_options` (`num_cpus`, `num_gpus`) are
  Ray Serve's own.
"""

SECTIONS: tuple[tuple[str, tuple[type[Settings], ...]], ...] = (
    ("`args.speech_to_text`", (settings.WhisperArgs, settings.SphinxArgs, settings.FakeRecognizerArgs)),
    ("`args.text_llm` and `args.vision_llm`", (settings.LlamaArgs, settings.FakeChatArgs)),
    ("`args.text_to_speech`", (settings.CoquiArgs, settings.FakeSynthesizerArgs)),
    ("`args.gateway`", (settings.GatewayArgs,)),
    ("`user_config` of Gateway", (settings.GatewayConfig,)),
    ("`user_config` of SpeechToText", (settings.SpeechToTextConfig,)),
    ("`user_config` of TextLLM and VisionLLM", (settings.ChatConfig,)),
    ("`user_config` of TextToSpeech", (settings.TextToSpeechConfig,)),
)


def main() -> int:
    page = "\n".join(lines())
    if "--check" in sys.argv[1:]:
        if TARGET.read_text() != page:
            print(f"{TARGET.name} is out of date: run `make docs`", file=sys.stderr)
            return 1
        return 0
    TARGET.write_text(page)
    return 0


def lines() -> Iterator[str]:
    yield INTRODUCTION
    for title, models in SECTIONS:
        yield f"## {title}\n"
        for model in models:
            title = (model.__doc__ or model.__name__).splitlines()[0]
            yield f"### {title.rstrip('.')}\n"
            yield "| setting | value | default | meaning |"
            yield "| --- | --- | --- | --- |"
            for name, field in model.model_fields.items():
                yield f"| `{name}` | {kind(field)} | {default(field)} | {field.description or ''} |"
            yield ""


def kind(field: FieldInfo) -> str:
    """The type and its bounds, in words for people."""
    words = name(field.annotation)
    bounds = [text for text in map(bound, field.metadata) if text]
    return ", ".join([words, *bounds]).replace("|", "\\|")


def name(annotation: Any) -> str:
    origin = get_origin(annotation)
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in get_args(annotation))
    if origin in (Union, types.UnionType):
        return " or ".join(name(part) for part in get_args(annotation))
    if annotation is type(None):
        return "null"
    if origin is tuple:
        return f"list of {name(get_args(annotation)[0])}"
    if hasattr(annotation, "__metadata__"):
        return ", ".join([name(annotation.__origin__), *filter(None, map(bound, annotation.__metadata__))])
    return {"str": "text", "bool": "true or false", "int": "whole number", "float": "number"}.get(
        getattr(annotation, "__name__", str(annotation)), str(annotation)
    )


def bound(constraint: Any) -> str:
    """One bound of a type; "" for what says nothing to a reader."""
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
    if isinstance(value, bool):
        return str(value).lower()
    return f"`{list(value) if isinstance(value, tuple) else value}`"


if __name__ == "__main__":
    sys.exit(main())
