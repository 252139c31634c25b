"""Schemas to grammars: what is held parses and fits, what is not is refused by its place."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest

from deployments import engine
from deployments.engine import ChatModel
from deployments.errors import InvalidRequest
from deployments.messages import ChatEnd, ChatMessage, TextDelta
from deployments.settings import ChatConfig, LlamaArgs
from graphs.wire.openai.grammar import ANY_OBJECT, grammar
from tests.engines import tiny

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 5},
        "age": {"type": "integer"},
        "tags": {"type": "array", "items": {"enum": ["a", 'b"c\\', "é"]}, "minItems": 1, "maxItems": 3},
        "boss": {"$ref": "#/$defs/boss"},
    },
    "required": ["name", "boss"],
    "additionalProperties": False,
    "$defs": {"boss": {"anyOf": [{"type": "null"}, {"type": "boolean"}]}},
}

REFUSED: dict[str, tuple[Any, str]] = {
    "a keyword that is not held": ({"type": "string", "pattern": "^a+$"}, "p.pattern"),
    "deep inside": ({"properties": {"a": {"items": {"minimum": 3}}}}, "p.properties.a.items.minimum"),
    "another address": ({"$ref": "https://example.com/s.json"}, "p.$ref"),
    "a reference to nothing": ({"$ref": "#/$defs/x"}, "p.$ref"),
    "a circle": ({"$ref": "#"}, "#.$ref"),
    "a longer circle": ({"anyOf": [{"$ref": "#/$defs/a"}], "$defs": {"a": {"$ref": "#"}}}, "#.anyOf.0.$ref"),
    "no such type": ({"type": "date"}, "p.type"),
    "no schema": ({"properties": {"a": 3}}, "p.properties.a"),
    "required of nothing": ({"type": "object", "properties": {}, "required": ["a"]}, "p.required"),
    "an empty choice": ({"enum": []}, "p.enum"),
    "too many": ({"items": {}, "maxItems": 10**9}, "p.maxItems"),
    "upside down": ({"type": "string", "minLength": 3, "maxLength": 2}, "p.maxLength"),
    "half a character": ({"const": "\ud800"}, "p"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_held_is_refused_by_its_place(name: str) -> None:
    schema, place = REFUSED[name]
    with pytest.raises(InvalidRequest) as caught:
        grammar(schema, "p")
    assert place in (caught.value.param or "")


def test_too_deep_is_refused() -> None:
    schema: dict[str, Any] = {"type": "null"}
    for _ in range(100):
        schema = {"items": schema}
    with pytest.raises(InvalidRequest, match="deeper"):
        grammar(schema, "p")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChatModel]:
    """Random weights: only the grammar makes sense of what they say."""
    path = tiny.chat_model(tmp_path_factory.mktemp("model") / "llm.gguf")
    loaded = engine.chat_model(LlamaArgs(model=str(path), context_length=1024))
    yield loaded
    asyncio.run(loaded.close())


def said(model: ChatModel, rules: str, seed: int) -> tuple[str, str]:
    async def ask() -> tuple[str, str]:
        text, finish = "", ""
        config = ChatConfig(grammar=rules, seed=seed, max_tokens=400, temperature=1.0)
        async for value in model.chat([ChatMessage("user", "Hello.")], config):
            match value:
                case TextDelta(delta):
                    text += delta
                case ChatEnd(finish_reason):
                    finish = finish_reason
        return text, finish

    return asyncio.run(ask())


@pytest.mark.parametrize("seed", range(5))
def test_what_comes_out_parses_and_fits(model: ChatModel, seed: int) -> None:
    text, finish = said(model, grammar(PERSON, "p"), seed)
    assert finish == "stop"
    answer = json.loads(text)
    assert {"name", "boss"} <= answer.keys() <= {"name", "age", "tags", "boss"}
    assert isinstance(answer["name"], str)
    assert isinstance(answer.get("age", 1), int)
    assert answer["boss"] in (None, True, False)
    assert set(answer.get("tags", ["a"])) <= {"a", 'b"c\\', "é"}
    assert 1 <= len(answer.get("tags", ["a"])) <= 3


@pytest.mark.parametrize(
    ("schema", "fits"),
    [
        ({"type": "array", "items": {"type": "boolean"}, "maxItems": 2}, lambda v: len(v) <= 2),
        ({"type": ["integer", "null"]}, lambda v: v is None or isinstance(v, int)),
        ({"const": {"a": [1, "x"]}}, lambda v: v == {"a": [1, "x"]}),
        ({"type": "object", "properties": {}}, lambda v: v == {}),
        (
            {"type": "object", "properties": {"a": {"type": "null"}, "b": {"type": "null"}}},
            lambda v: v.keys() <= {*"ab"},
        ),
    ],
)
def test_each_kind_fits(model: ChatModel, schema: dict[str, Any], fits: Any) -> None:
    for seed in range(3):
        assert fits(json.loads(said(model, grammar(schema, "p"), seed)[0]))


def test_any_object_is_one_as_far_as_it_goes(model: ChatModel) -> None:
    assert said(model, ANY_OBJECT, 1)[0].startswith("{")


def test_a_grammar_that_cannot_be_read_is_a_typed_error(model: ChatModel) -> None:
    with pytest.raises(InvalidRequest):
        said(model, "root ::= [", 1)
