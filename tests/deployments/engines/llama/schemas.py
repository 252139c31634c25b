"""JSON schemas that take long: ambiguous, recursive or large ones. ``schema.py`` accepts all of them."""

from __future__ import annotations

from typing import Any

from deployments.engines.llama.schema import FORMATS


def _lists_of_either(members: list[dict[str, Any]]) -> dict[str, Any]:
    """Return lists whose items are such lists or other members: with each bracket there are more possibilities."""
    either = {"items": {"anyOf": [{"$ref": "#/$defs/list"}, *members]}, "minItems": 1}
    return {"$ref": "#/$defs/list", "$defs": {"list": either}}


def _recursive(count: int) -> dict[str, Any]:
    lists = [{"items": {"$ref": "#/$defs/node"}, "minItems": 1, "maxItems": size + 1} for size in range(count)]
    return {"$ref": "#/$defs/node", "$defs": {"node": {"anyOf": lists}}}


def _texts(count: int, length: int) -> dict[str, Any]:
    properties = {f"p{i}": {"type": "string", "maxLength": length} for i in range(count)}
    return {"properties": properties, "required": [*properties]}


def _numbers(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "integer"}
    for _ in range(levels):
        schema = {"items": schema, "minItems": 500, "maxItems": 500}
    return schema


EXPRESSIONS = {
    "$ref": "#/$defs/e",
    "$defs": {
        "e": {
            "anyOf": [
                *(
                    {
                        "properties": {"left": {"$ref": "#/$defs/e"}, "op": {"const": op}},
                        "required": ["left", "op"],
                    }
                    for op in "+-*/"
                ),
                {"type": "integer"},
            ]
        }
    },
}


def _similar_lists(count: int) -> dict[str, Any]:
    """Return lists of such lists with many different bounds."""
    lists = [{"items": {"$ref": "#/$defs/n"}, "minItems": i, "maxItems": 500} for i in range(count)]
    return {"$ref": "#/$defs/n", "$defs": {"n": {"anyOf": lists}}}


def _recursive_objects(count: int) -> dict[str, Any]:
    objects = [{"properties": {"a": {"$ref": "#/$defs/n"}, f"b{i}": {"type": "null"}}} for i in range(count)]
    return {"$ref": "#/$defs/n", "$defs": {"n": {"anyOf": objects}}}


def _list_of_either(*members: dict[str, Any]) -> dict[str, Any]:
    return {"items": {"anyOf": [*members]}, "minItems": 20}


COSTLY: dict[str, dict[str, Any]] = {
    "400 equal alternatives": {"items": {"anyOf": [{"$ref": "#"}] * 400}, "minItems": 1},
    "400 alternatives with other titles": {
        "$ref": "#/$defs/n",
        "$defs": {"n": {"anyOf": [{"items": {"$ref": "#/$defs/n"}, "title": str(i)} for i in range(400)]}},
    },
    "64 different recursive alternatives": _recursive(64),
    "two recursive alternatives": _recursive(2),
    "two lists": _lists_of_either([{"items": {"$ref": "#/$defs/list"}}, {"const": 1}]),
    "900 values": {"items": {"enum": [f"value number {i * 7919}" for i in range(900)]}, "minItems": 50},
    "values of different first characters": {
        "items": {"enum": [chr(0x4E00 + i) + "x" * (i % 20) for i in range(900)]},
        "minItems": 50,
    },
    "values that begin with each other": {"items": {"enum": ["a" * i for i in range(1, 180)]}, "minItems": 50},
    "300 optional properties": {"properties": {f"p{i}": {"type": "integer"} for i in range(300)}},
    "recursive optional properties": {"properties": {f"p{i}": {"$ref": "#"} for i in range(200)}},
    "30 long texts": _texts(30, 500),
    "nested lists of 500": _numbers(3),
    "texts of 400 lengths": {"items": {"anyOf": [{"type": "string", "maxLength": i} for i in range(400)]}},
    "64 similar objects": {
        "anyOf": [
            {"properties": {"a": {"type": "string"}, f"b{i}": {"type": "string"}}, "required": ["a", f"b{i}"]}
            for i in range(64)
        ]
    },
    "expressions": EXPRESSIONS,
    "dictionaries of 100 kinds": {
        "additionalProperties": {"anyOf": [{"type": "string", "maxLength": i} for i in range(100)]}
    },
    "64 similar lists": _similar_lists(64),
    "64 recursive objects": _recursive_objects(64),
    "900 optional integers": {"properties": {f"p{i}": {"type": "integer"} for i in range(990)}},
    "900 optional ranges": {"properties": {f"p{i}": {"type": "integer", "minimum": i} for i in range(990)}},
    "900 optional texts": {"properties": {f"p{i}": {"maxLength": i % 500} for i in range(990)}},
    "300 ranges": _list_of_either(
        *({"minimum": round(-i * 1.123456789, 9), "exclusiveMaximum": i + 1e-9} for i in range(300))
    ),
    "800 texts": _list_of_either(*({"minLength": i % 250, "maxLength": 500 - i % 200} for i in range(800))),
    "all formats": _list_of_either(*({"format": format_} for format_ in FORMATS)),
    "other properties": {"properties": {f"p{i}": {} for i in range(400)}, "additionalProperties": True},
    "100 patterns": _list_of_either(*({"pattern": f"(a|b|{i})*a(.){{{i + 5}}}c"} for i in range(100))),
    "a pattern with many states": {"pattern": "^(.*a){12}.{200}b.*c.{200}$"},
    "a pattern that matches in many ways": {"pattern": "^(.{0,500}a.{0,500}){10}$"},
    "a pattern of nested repetitions": {"pattern": "^((a{1,200}){1,200}){1,200}$"},
    "a pattern with optional parts": {"pattern": "^(a?){100}a{100}$"},
    "a pattern that backtracks": {"pattern": "^(a+)+$"},
    "a pattern of large classes": {"pattern": "^[\\p{L}\\p{N}]{500}[^\\p{Lu}]*\\p{Lo}{200}$"},
    "lists of lists": {"items": {"items": {"items": {}, "maxItems": 500}, "maxItems": 500}, "maxItems": 500},
}

ORDINARY: dict[str, dict[str, Any]] = {
    "person": {
        "properties": {"name": {"type": "string"}, "age": {"type": "integer"}, "tags": {"items": {"enum": ["a", "b"]}}},
        "required": ["name", "age", "tags"],
    },
    "tree": {
        "$ref": "#/$defs/n",
        "$defs": {
            "n": {
                "properties": {
                    "type": {"enum": ["div", "button", "form"]},
                    "label": {"type": "string"},
                    "children": {"items": {"$ref": "#/$defs/n"}},
                },
                "required": ["type", "label", "children"],
            }
        },
    },
    "20 kinds of objects": {
        "items": {
            "anyOf": [
                {
                    "properties": {"type": {"const": f"kind{kind}"}, "text": {"type": ["string", "null"]}},
                    "required": ["type", "text"],
                }
                for kind in range(20)
            ]
        }
    },
    "300 optional properties": {"properties": {f"p{i}": {"type": "integer"} for i in range(300)}},
    "900 values": COSTLY["900 values"],
    "any JSON": {},
}
