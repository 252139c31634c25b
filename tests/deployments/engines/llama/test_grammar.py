"""JSON schemas to grammars: answers conform to a supported schema, and an unsupported one is refused with its path."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deployments.engines.llama.engine import LlamaChat
from deployments.engines.llama.grammar import json_schema_to_grammar
from deployments.engines.llama.settings import LlamaArgs, LlamaConfig
from deployments.errors import InvalidRequest
from deployments.messages import ChatEnd, ChatMessage, JsonSchema, TextDelta
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

INVALID: dict[str, tuple[Any, str]] = {
    "unsupported keyword": ({"type": "string", "pattern": "^a+$"}, "p.pattern"),
    "unsupported keyword in a subschema": (
        {"properties": {"a": {"items": {"minimum": 3}}}},
        "p.properties.a.items.minimum",
    ),
    "reference to another document": ({"$ref": "https://example.com/s.json"}, "p.$ref"),
    "reference to a missing schema": ({"$ref": "#/$defs/x"}, "p.$ref"),
    "reference to itself": ({"$ref": "#"}, "#.$ref"),
    "circular references": ({"anyOf": [{"$ref": "#/$defs/a"}], "$defs": {"a": {"$ref": "#"}}}, "#.anyOf.0.$ref"),
    "unknown type": ({"type": "date"}, "p.type"),
    "subschema that is no object": ({"properties": {"a": 3}}, "p.properties.a"),
    "required property that is missing": ({"type": "object", "properties": {}, "required": ["a"]}, "p.required"),
    "empty enum": ({"enum": []}, "p.enum"),
    "too large maximum": ({"items": {}, "maxItems": 10**9}, "p.maxItems"),
    "maximum below minimum": ({"type": "string", "minLength": 3, "maxLength": 2}, "p.maxLength"),
    "keyword next to $ref": ({"$ref": "#/$defs/a", "maxLength": 1, "$defs": {"a": {}}}, "p.maxLength"),
    "keyword next to anyOf": ({"anyOf": [{}], "type": "object"}, "p.type"),
    "keyword next to enum": ({"enum": ["a"], "minLength": 2}, "p.minLength"),
    "enum with a value of another type": ({"enum": [1, "a"], "type": "string"}, "p.enum"),
    "constant of another type": ({"const": 1.5, "type": "integer"}, "p.const"),
    "required without properties": ({"type": "object", "required": ["a"]}, "p.required"),
    "required with a number": ({"properties": {"1": {}}, "required": [1]}, "p.required"),
    "unsupported keyword in additionalProperties": (
        {"additionalProperties": {"pattern": "a"}},
        "p.additionalProperties.pattern",
    ),
    "infinite constant": ({"const": float("inf")}, "p"),
    "lone surrogate": ({"const": "\ud800"}, "p"),
}


def grammar(schema: Any) -> str:
    return json_schema_to_grammar(JsonSchema(schema, "p"))


@pytest.mark.parametrize("name", INVALID)
def test_an_invalid_schema_is_refused_with_its_path(name: str) -> None:
    schema, path = INVALID[name]
    with pytest.raises(InvalidRequest) as caught:
        grammar(schema)
    assert path in (caught.value.param or "")


def test_a_schema_with_too_many_levels_is_refused() -> None:
    schema: dict[str, Any] = {"type": "null"}
    for _ in range(100):
        schema = {"items": schema}
    with pytest.raises(InvalidRequest, match="deeper"):
        grammar(schema)


SCALAR = st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-9, 9) | st.text(max_size=4)
VALUE = st.recursive(SCALAR, lambda v: st.lists(v, max_size=2) | st.dictionaries(st.text(max_size=3), v, max_size=2))
NAME = st.text(st.characters(codec="utf-8"), max_size=4)


def bounded(kind: str, minimum: str, maximum: str, **more: Any) -> st.SearchStrategy[dict[str, Any]]:
    bounds = st.tuples(st.integers(0, 3), st.integers(0, 3)).map(
        lambda pair: {"type": kind, minimum: pair[0], maximum: sum(pair)}
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
def test_every_text_of_a_grammar_is_json_that_conforms_to_the_schema(inner: Any, named: Any, seed: int) -> None:
    schema = {"properties": {"it": inner}, "required": ["it"], "$defs": {"a": named}}
    text = sample(grammar(schema), seed)
    jsonschema.Draft202012Validator(schema).validate(json.loads(text))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaChat]:
    """A model with random weights: only the grammar determines the form of its answers."""
    path = tiny.chat_model(tmp_path_factory.mktemp("model") / "llm.gguf")
    model = LlamaChat(LlamaArgs(model=str(path), context_length=1024))
    yield model
    asyncio.run(model.close())


def answer(
    model: LlamaChat, schema: Any = None, seed: int = 1, rules: str | None = None, param: str = "p"
) -> tuple[str, str]:
    """Return the text and the finish reason of an answer with a JSON schema and ``rules`` as the settings' grammar."""

    async def collect() -> tuple[str, str]:
        text, finish = "", ""
        config = LlamaConfig(grammar=rules, seed=seed, max_tokens=400, temperature=1.0)
        json_schema = None if schema is None else JsonSchema(schema, param)
        async for value in model.chat([ChatMessage("user", "Hello.")], config, json_schema):
            match value:
                case TextDelta(delta):
                    text += delta
                case ChatEnd(finish_reason):
                    finish = finish_reason
        return text, finish

    return asyncio.run(collect())


@pytest.mark.parametrize("seed", range(5))
def test_an_answer_is_json_that_conforms_to_its_schema(model: LlamaChat, seed: int) -> None:
    text, finish = answer(model, PERSON, seed)
    assert finish == "stop"
    person = json.loads(text)
    assert {"name", "boss"} <= person.keys() <= {"name", "age", "tags", "boss"}
    assert isinstance(person["name"], str)
    assert isinstance(person.get("age", 1), int)
    assert person["boss"] in (None, True, False)
    assert set(person.get("tags", ["a"])) <= {"a", 'b"c\\', "é"}
    assert 1 <= len(person.get("tags", ["a"])) <= 3


@pytest.mark.parametrize(
    ("schema", "conforms"),
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
def test_answers_conform_to_each_kind_of_schema(model: LlamaChat, schema: dict[str, Any], conforms: Any) -> None:
    for seed in range(3):
        assert conforms(json.loads(answer(model, schema, seed)[0]))


def test_an_object_without_further_keywords_is_any_object(model: LlamaChat) -> None:
    assert answer(model, {"type": "object"})[0].startswith("{")


def test_a_schema_replaces_the_grammar_of_the_settings(model: LlamaChat) -> None:
    assert answer(model, {"const": 1}, rules='root ::= "the"')[0] == "1"


def test_an_unsupported_schema_is_refused_with_the_field_of_the_request(model: LlamaChat) -> None:
    with pytest.raises(InvalidRequest) as caught:
        answer(model, {"type": "string", "pattern": "a"}, param="response_format.json_schema.schema")
    assert caught.value.param == "response_format.json_schema.schema.pattern"


def test_an_invalid_grammar_is_refused(model: LlamaChat) -> None:
    with pytest.raises(InvalidRequest):
        answer(model, rules="root ::= [")
