"""Schemas to grammars: what is held parses and fits, what is not is refused by its place."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deployments import engine
from deployments.engines.base import ChatModel
from deployments.errors import InvalidRequest
from deployments.messages import ChatEnd, ChatMessage, TextDelta
from deployments.settings import ChatConfig, LlamaArgs
from deployments.engines.llama.grammar import ANY_OBJECT, grammar
from tests.deployments.engines import tiny
from tests.deployments.engines.llama.gbnf import sample

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
    "beside a reference": ({"$ref": "#/$defs/a", "maxLength": 1, "$defs": {"a": {}}}, "p.maxLength"),
    "beside a choice": ({"anyOf": [{}], "type": "object"}, "p.type"),
    "beside an enum": ({"enum": ["a"], "minLength": 2}, "p.minLength"),
    "an enum of another type": ({"enum": [1, "a"], "type": "string"}, "p.enum"),
    "a constant of another type": ({"const": 1.5, "type": "integer"}, "p.const"),
    "required where nothing is named": ({"type": "object", "required": ["a"]}, "p.required"),
    "required by a number": ({"properties": {"1": {}}, "required": [1]}, "p.required"),
    "values of a dictionary": ({"additionalProperties": {"pattern": "a"}}, "p.additionalProperties.pattern"),
    "more than there is": ({"const": float("inf")}, "p"),
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


SCALAR = st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-9, 9) | st.text(max_size=4)
VALUE = st.recursive(SCALAR, lambda v: st.lists(v, max_size=2) | st.dictionaries(st.text(max_size=3), v, max_size=2))
NAME = st.text(st.characters(codec="utf-8"), max_size=4)


def bounded(kind: str, least: str, most: str, **more: Any) -> st.SearchStrategy[dict[str, Any]]:
    bounds = st.tuples(st.integers(0, 3), st.integers(0, 3)).map(
        lambda pair: {"type": kind, least: pair[0], most: sum(pair)}
    )
    return st.tuples(bounds, st.fixed_dictionaries(more)).map(lambda parts: parts[0] | parts[1])


@st.composite
def objects(draw: st.DrawFn, inner: st.SearchStrategy[Any]) -> dict[str, Any]:
    properties = draw(st.dictionaries(NAME, inner, max_size=4))
    required = draw(st.lists(st.sampled_from(sorted(properties)), unique=True)) if properties else []
    schema = {"properties": properties, "required": required, "additionalProperties": draw(st.booleans())}
    return schema | ({"type": "object"} if draw(st.booleans()) else {})


SCHEMA = st.recursive(
    st.sampled_from([{}, True, {"type": "string"}, {"type": ["integer", "null"]}, {"type": "boolean"}, {"minItems": 2},
                     {"maxLength": 2}, {"type": "object", "additionalProperties": False}, {"$ref": "#/$defs/a"}])
    | st.builds(lambda value: {"const": value}, VALUE)
    | st.builds(lambda values: {"enum": values}, st.lists(VALUE, min_size=1, max_size=3))
    | bounded("string", "minLength", "maxLength"),
    lambda inner: objects(inner)
    | st.builds(lambda values: {"type": "object", "additionalProperties": values}, inner)
    | st.builds(lambda schemas: {"anyOf": schemas}, st.lists(inner, min_size=1, max_size=3))
    | bounded("array", "minItems", "maxItems", items=inner),
    max_leaves=6,
)  # fmt: skip


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(SCHEMA, SCHEMA.filter(lambda schema: "$ref" not in repr(schema)), st.integers(0, 2**32))
def test_whatever_a_grammar_allows_is_json_that_fits_its_schema(inner: Any, named: Any, seed: int) -> None:
    schema = {"properties": {"it": inner}, "required": ["it"], "$defs": {"a": named}}
    said = sample(grammar(schema, "p"), seed)
    jsonschema.Draft202012Validator(schema).validate(json.loads(said))


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
