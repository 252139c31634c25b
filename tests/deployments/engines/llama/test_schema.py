"""JSON schemas: answers conform to a supported schema, and an unsupported one is refused with its path."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from deployments.engines.llama.engine import LlamaChat
from deployments.engines.llama.schema import MAX_NUMBER, converted
from deployments.engines.llama.settings import LlamaArgs, LlamaConfig
from deployments.errors import InvalidRequest
from deployments.messages import ChatEnd, ChatMessage, JsonSchema, TextDelta
from tests.deployments.engines import tiny
from tests.deployments.engines.llama.answers import random_answer

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
    "unsupported keyword": ({"type": "array", "uniqueItems": True}, "p.uniqueItems"),
    "options of llguidance": ({"x-guidance": {"whitespace_flexible": True}}, "p.x-guidance"),
    "unsupported keyword in a subschema": (
        {"properties": {"a": {"items": {"multipleOf": 3}}}},
        "p.properties.a.items.multipleOf",
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
        {"additionalProperties": {"allOf": [{}]}},
        "p.additionalProperties.allOf",
    ),
    "infinite constant": ({"const": float("inf")}, "p"),
    "lone surrogate": ({"const": "\ud800"}, "p"),
    "long pattern": ({"pattern": "a" * 201}, "p.pattern"),
    "pattern that is no text": ({"pattern": 3}, "p.pattern"),
    "keyword next to pattern": ({"pattern": "a", "maxLength": 3}, "p.maxLength"),
    "keyword next to format": ({"format": "date", "minLength": 3}, "p.minLength"),
    "unknown format": ({"format": "iri"}, "p.format"),
    "format that is no text": ({"format": ["date"]}, "p.format"),
    "minimum that is no number": ({"minimum": True}, "p.minimum"),
    "infinite maximum": ({"maximum": float("inf")}, "p.maximum"),
    "too large minimum": ({"minimum": 10**400}, "p.minimum"),
    "minimum above maximum": ({"type": "integer", "minimum": 3, "maximum": 2}, "p.maximum"),
    "number of many digits": ({"const": 0.30000000000000004}, "p"),
    "minimum of many digits": ({"minimum": 0.30000000000000004}, "p.minimum"),
    "small number": ({"const": 1e-103}, "p"),
    "large integer": ({"enum": [1, {"a": [10**400]}]}, "p"),
    "control character": ({"const": "a\x00"}, "p"),
    "name with a control character": ({"properties": {"\x7f": {}}}, "p.properties"),
    "empty prefixItems": ({"prefixItems": []}, "p.prefixItems"),
    "false alternative": ({"anyOf": [False]}, "p.anyOf.0"),
}


def convert(schema: Any) -> dict[str, Any]:
    return converted(JsonSchema(schema, "p"))


@pytest.mark.parametrize("name", INVALID)
def test_an_invalid_schema_is_refused_with_its_path(name: str) -> None:
    schema, path = INVALID[name]
    with pytest.raises(InvalidRequest) as caught:
        convert(schema)
    assert path in (caught.value.param or "")


def test_a_schema_with_too_many_levels_is_refused() -> None:
    schema: dict[str, Any] = {"type": "null"}
    for _ in range(100):
        schema = {"items": schema}
    with pytest.raises(InvalidRequest, match="deeper"):
        convert(schema)


def test_equal_alternatives_are_one() -> None:
    """Also if they have different annotations."""
    kinds = [{"properties": {"a": {"items": {"const": 1}}}, "title": str(i)} for i in range(300)]
    assert convert({"anyOf": kinds}) == convert(kinds[0])


@pytest.mark.parametrize(
    "schema",
    [
        {"enum": [*range(1001)]},
        {"items": {"enum": ["a"] * 1001}},
        {"anyOf": [{"type": "null"}] * 1001},
        {"type": ["string"] * 1001},
        {"anyOf": [{"enum": [*range(600)]}, {"enum": [*range(600)]}]},
        {"properties": {str(i): {} for i in range(1001)}},
    ],
    ids=["enum", "equal values", "anyOf", "types", "two enums", "properties"],
)
def test_a_schema_of_more_than_1000_nodes_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match="more than 1,000 subschemas and values"):
        convert(schema)


@pytest.mark.parametrize(
    "schema",
    [{"const": "x" * 20_000}, {"enum": ["x" * 9990 + str(i) for i in range(3)]}, {"properties": {"x" * 20_000: {}}}],
    ids=["const", "enum", "name"],
)
def test_a_schema_with_too_long_names_and_values_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match="more than 20,000 characters"):
        convert(schema)


def test_many_alternatives_that_are_no_scalars_are_refused() -> None:
    lists = [{"items": {}, "maxItems": i} for i in range(65)]
    with pytest.raises(InvalidRequest, match="more than 64 alternatives"):
        convert({"anyOf": lists})
    assert convert({"anyOf": [*lists[:64], *({"const": i} for i in range(300))]})


def test_values_that_begin_with_each_other_are_all_possible() -> None:
    schema = {"enum": [1, 12, 123, "a", "ab", "abc", "b", "", None, True]}
    answers = {random_answer(schema, seed) for seed in range(500)}
    assert {json.loads(answer) for answer in answers if answer} == {*schema["enum"], True}


def test_the_largest_integers_are_exact() -> None:
    for value in (MAX_NUMBER, -MAX_NUMBER):
        assert random_answer({"const": value}) == str(value)


@pytest.mark.parametrize(
    "schema", [{"type": "number"}, {"type": "integer"}, {"minimum": 3}, {"items": {}, "minItems": 9}]
)
def test_numbers_have_no_exponent_and_a_limited_size(schema: dict[str, Any]) -> None:
    numbers: list[str] = []
    hooks: dict[str, Any] = {"parse_int": numbers.append, "parse_float": numbers.append}
    for seed in range(40):
        json.loads(random_answer(schema, seed) or "null", **hooks)
    assert numbers
    assert all(re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", number) and abs(float(number)) <= MAX_NUMBER for number in numbers)


def test_an_answer_has_one_line_and_one_space_after_separators() -> None:
    schema = {"properties": {"a": {"items": {"const": 1}, "minItems": 2, "maxItems": 2}, "b": {"const": "é\n"}}}
    assert random_answer({**schema, "required": ["a", "b"]}) == '{"a": [1, 1], "b": "é\\n"}'


def test_an_object_with_properties_has_no_others_unless_the_schema_has_additional_properties() -> None:
    schema = {"properties": {"a": {"type": "null"}}}
    names = lambda schema: {  # noqa: E731
        name for seed in range(60) if (answer := random_answer(schema, seed)) for name in json.loads(answer)
    }
    assert names(schema) == {"a"}
    assert len(names(schema | {"additionalProperties": {"type": "null"}})) > 3


@pytest.mark.parametrize("pattern", ["^a+$", "b|^c", "x", "^(a|b){3}[^c]$", "^[A-Z]{2}\\d{1,3}$", "é", '^"\\\\$', "^$"])
def test_a_text_matches_its_pattern(pattern: str) -> None:
    schema = {"pattern": pattern}
    texts = [answer for seed in range(30) if (answer := random_answer(schema, seed))]
    assert texts
    for text in texts:
        assert re.search(pattern, json.loads(text))


@pytest.mark.parametrize("format_", ["date", "ipv4", "uuid"])
def test_a_text_has_its_format(format_: str) -> None:
    schema = {"format": format_}
    checker = jsonschema.FormatChecker()
    texts = [answer for seed in range(30) if (answer := random_answer(schema, seed))]
    assert texts
    for text in texts:
        jsonschema.Draft202012Validator(schema, format_checker=checker).validate(json.loads(text))


@pytest.mark.parametrize("schema", [{"pattern": "(?=a)b"}, {"pattern": "("}, {"exclusiveMinimum": 3, "maximum": 3}])
def test_a_schema_that_llguidance_refuses_is_an_invalid_request(schema: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match="cannot be used") as caught:
        random_answer(schema)
    assert caught.value.param == "p"


TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"], include_characters="\n\t\r\b\f"), max_size=4)
SCALAR = st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-9, 9).map(lambda number: round(number, 9)) | TEXT
VALUE = st.recursive(SCALAR, lambda v: st.lists(v, max_size=2) | st.dictionaries(TEXT, v, max_size=2))


def bounded(kind: str, minimum: str, maximum: str, **more: Any) -> st.SearchStrategy[dict[str, Any]]:
    bounds = st.tuples(st.integers(0, 3), st.integers(0, 3)).map(
        lambda pair: {"type": kind, minimum: pair[0], maximum: sum(pair)}
    )
    return st.tuples(bounds, st.fixed_dictionaries(more)).map(lambda parts: parts[0] | parts[1])


@st.composite
def objects(draw: st.DrawFn, inner: st.SearchStrategy[Any]) -> dict[str, Any]:
    properties = draw(st.dictionaries(TEXT, inner, max_size=4))
    required = draw(st.lists(st.sampled_from(sorted(properties)), unique=True)) if properties else []
    schema = {"properties": properties, "required": required, "additionalProperties": draw(st.booleans())}
    return schema | ({"type": "object"} if draw(st.booleans()) else {})


SCHEMA = st.recursive(
    st.sampled_from([{}, True, {"type": "string"}, {"type": ["integer", "null"]}, {"type": "boolean"}, {"minItems": 2},
                     {"maxLength": 2}, {"type": "object", "additionalProperties": False}, {"pattern": "^[a-c]+$|é"},
                     {"minimum": -3.5, "exclusiveMaximum": 7}, {"type": "integer", "exclusiveMinimum": 2},
                     {"prefixItems": [True, {"type": "null"}], "items": False}, {"type": "number"},
                     {"$ref": "#/$defs/a"}])
    | st.builds(lambda value: {"const": value}, VALUE)
    | st.builds(lambda values: {"enum": values}, st.lists(VALUE, min_size=1, max_size=3))
    | bounded("string", "minLength", "maxLength"),
    lambda inner: objects(inner)
    | st.builds(lambda values: {"type": "object", "additionalProperties": values}, inner)
    | st.builds(lambda a, b: {"properties": {"a": a}, "additionalProperties": b}, inner, inner)
    | st.builds(lambda schemas: {"anyOf": schemas}, st.lists(inner, min_size=1, max_size=3))
    | bounded("array", "minItems", "maxItems", items=inner),
    max_leaves=6,
)  # fmt: skip


@settings(deadline=None, max_examples=300, suppress_health_check=[*HealthCheck])
@given(SCHEMA, SCHEMA.filter(lambda schema: "$ref" not in repr(schema)), st.integers(0, 2**32))
def test_every_complete_answer_conforms_to_the_schema(inner: Any, named: Any, seed: int) -> None:
    schema = {"properties": {"it": inner}, "required": ["it"], "$defs": {"a": named}}
    text = random_answer(schema, seed)
    assume(text)
    assert "\n" not in text
    jsonschema.Draft202012Validator(schema).validate(json.loads(text))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaChat]:
    """A model with random weights: only the schema determines the form of its answers."""
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
        answer(model, {"type": "array", "uniqueItems": True}, param="response_format.json_schema.schema")
    assert caught.value.param == "response_format.json_schema.schema.uniqueItems"


def test_an_invalid_grammar_is_refused(model: LlamaChat) -> None:
    with pytest.raises(InvalidRequest):
        answer(model, rules="root ::= [")
