"""A JSON schema to a grammar in GBNF, so that what a model says always parses and fits. Pure.

llama.cpp's own converter passes over what it does not know, fetches what a schema points at, and mixes up names that
end alike. Here a keyword is held or refused. What comes out is JSON in one line, its properties in the schema's order.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from deployments.errors import InvalidRequest

MAX_DEPTH = 32
MAX_NODES = 1000
MAX_REPEATS = 500  # the library writes every repetition out

HELD = ("type", "properties", "required", "additionalProperties", "items", "minItems", "maxItems", "minLength",
        "maxLength", "enum", "const", "anyOf", "$ref", "$defs", "definitions")  # fmt: skip
REMARKS = ("title", "description", "default", "examples", "$schema", "$id", "$comment")

_BASE = r"""
any ::= object | array | string | number | boolean | null
object ::= "{" (string ": " any (", " string ": " any)*)? "}"
array ::= "[" (any (", " any)*)? "]"
string ::= "\"" char* "\""
char ::= [^"\\\x00-\x1F\x7F] | "\\" ["\\/bfnrt]
integer ::= "-"? ("0" | [1-9] [0-9]{0,14})
number ::= integer ("." [0-9]{1,14})?
boolean ::= "true" | "false"
null ::= "null"
""".strip()

ANY_OBJECT = f"root ::= object\n{_BASE}"
KEYWORDS = {
    "object": {"properties", "required", "additionalProperties"},
    "array": {"items", "minItems", "maxItems"},
    "string": {"minLength", "maxLength"},
}
TYPES = ("object", "array", "string", "number", "integer", "boolean", "null")


def grammar(schema: dict[str, Any], param: str) -> str:
    """GBNF with a rule ``root``. Raises ``InvalidRequest`` that names the place in ``param`` which cannot be held."""
    return _Grammar(schema, param).text()


class _Grammar:
    def __init__(self, schema: dict[str, Any], param: str) -> None:
        self._schema = schema
        self._param = param
        self._rules: dict[str, str] = {}
        self._references: dict[str, str] = {}  # a place in the schema to the name of its rule
        self._nodes = 0

    def text(self) -> str:
        root = self._value(self._schema, "", (), 0)
        rules = {"root": root} | self._rules
        return "\n".join([*(f"{name} ::= {rule}" for name, rule in rules.items()), _BASE])

    def _value(self, schema: Any, place: str, opening: tuple[str, ...], depth: int) -> str:
        """A schema as an expression. ``opening``: references followed to here without a character of their own."""
        self._nodes += 1
        if depth > MAX_DEPTH or self._nodes > MAX_NODES:
            raise self._refusal(place, f"is deeper than {MAX_DEPTH} levels or has more than {MAX_NODES} parts")
        if schema is True:
            return "any"
        if not isinstance(schema, dict):
            raise self._refusal(place, "should be a schema: an object")
        self._require_held(schema, place)
        if "$ref" in schema:
            self._require_alone("$ref", schema, place)
            return self._reference(schema, place, opening, depth)
        if "anyOf" in schema:
            self._require_alone("anyOf", schema, place)
            members = self._listed(schema, "anyOf", place)
            return _either([self._value(m, f"{place}.anyOf.{i}", opening, depth + 1) for i, m in enumerate(members)])
        for key in ("const", "enum"):
            if key in schema:
                self._require_alone(key, schema, place, beside=("type",))
                values = [schema["const"]] if key == "const" else self._listed(schema, "enum", place)
                return _either([self._literal(value, place) for value in self._of_type(values, schema, place, key)])
        return _either([self._typed(kind, schema, place, depth) for kind in self._types(schema, place)])

    def _types(self, schema: dict[str, Any], place: str) -> Sequence[str]:
        """The types that a schema names; else the one that its keywords are about; else any."""
        if "type" not in schema:
            return [next((kind for kind, keys in KEYWORDS.items() if keys & schema.keys()), "any")]
        kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        if not kinds or any(kind not in TYPES for kind in kinds):
            raise self._refusal(f"{place}.type", f"should be of {', '.join(TYPES)}")
        return kinds

    def _of_type(self, values: list[Any], schema: dict[str, Any], place: str, key: str) -> list[Any]:
        if "type" in schema and not all(
            any(_is(value, kind) for kind in self._types(schema, place)) for value in values
        ):
            raise self._refusal(f"{place}.{key}", "should hold only what its type allows")
        return values

    def _typed(self, kind: str, schema: dict[str, Any], place: str, depth: int) -> str:
        if kind == "object" and KEYWORDS["object"] & schema.keys():
            return self._object(schema, place, depth)
        if kind == "array":
            items = self._value(schema.get("items", True), f"{place}.items", (), depth + 1)
            low, high = self._bounds(schema, "minItems", "maxItems", place)
            return _array(self._rule(items), low, high)
        if kind == "string" and ("minLength" in schema or "maxLength" in schema):
            low, high = self._bounds(schema, "minLength", "maxLength", place)
            return rf'"\"" char{{{low},{"" if high is None else high}}} "\""'
        return kind

    def _object(self, schema: dict[str, Any], place: str, depth: int) -> str:
        """Its properties in their order. Others come only where it names none, as a dictionary does."""
        properties = schema.get("properties", {})
        if not isinstance(properties, dict):
            raise self._refusal(f"{place}.properties", "should be an object")
        required = schema.get("required", [])
        if not isinstance(required, list) or any(not isinstance(n, str) or n not in properties for n in required):
            raise self._refusal(f"{place}.required", "should be a list of names that stand in properties")
        if "properties" not in schema:
            others = schema.get("additionalProperties", True)
            return '"{}"' if others is False else self._dictionary(others, place, depth)
        pairs = [
            (self._pair(name, value, f"{place}.properties.{name}", depth), name in required)
            for name, value in properties.items()
        ]
        first, following = '""', '""'  # what can stand after the opening brace, and after another property
        for pair, needed in reversed(pairs):
            after = self._rule(following)
            first = f"{pair} {after}" if needed else f"({pair} {after} | {self._rule(first)})"
            following = f'", " {pair} {after}' if needed else f'(", " {pair})? {after}'
        return f'"{{" {first} "}}"'

    def _dictionary(self, values: Any, place: str, depth: int) -> str:
        """Any names, each with a value of one schema."""
        value = self._value(values, f"{place}.additionalProperties", (), depth + 1)
        pair = self._rule(f'string ": " {value}')
        return f'"{{" ({pair} (", " {pair})*)? "}}"'

    def _pair(self, name: str, schema: Any, place: str, depth: int) -> str:
        value = self._value(schema, place, (), depth + 1)
        return self._rule(f'{self._literal(name, place)} ": " {value}')

    def _reference(self, schema: dict[str, Any], place: str, opening: tuple[str, ...], depth: int) -> str:
        target = schema["$ref"]
        if not isinstance(target, str) or not (target == "#" or target.startswith("#/")):
            raise self._refusal(f"{place}.$ref", "should point into this schema, as #/$defs/name does")
        if target in opening:
            raise self._refusal(f"{place}.$ref", "leads back to itself")
        if target not in self._references:
            name = self._references[target] = f"ref{len(self._references)}"
            self._rules[name] = self._value(self._found(target, place), target, (*opening, target), depth + 1)
        return self._references[target]

    def _found(self, target: str, place: str) -> Any:
        found: Any = self._schema
        for part in target.split("/")[1:]:
            key = part.replace("~1", "/").replace("~0", "~")
            if not isinstance(found, dict) or key not in found:
                raise self._refusal(f"{place}.$ref", f"points at {target[:100]}, which is not there")
            found = found[key]
        return found

    def _bounds(self, schema: dict[str, Any], least: str, most: str, place: str) -> tuple[int, int | None]:
        low, high = schema.get(least, 0), schema.get(most)
        for name, bound in ((least, low), (most, high)):
            if bound is not None and (type(bound) is not int or not 0 <= bound <= MAX_REPEATS):
                raise self._refusal(f"{place}.{name}", f"should be a number from 0 to {MAX_REPEATS}")
        if high is not None and high < low:
            raise self._refusal(f"{place}.{most}", f"should not be less than {least}")
        return low, high

    def _require_held(self, schema: dict[str, Any], place: str) -> None:
        for key in schema:
            if key not in HELD and key not in REMARKS:
                raise self._refusal(f"{place}.{key}", f"is a keyword that is not held; held are {', '.join(HELD)}")

    def _require_alone(self, key: str, schema: dict[str, Any], place: str, beside: Sequence[str] = ()) -> None:
        """What stands beside one of these would be passed over."""
        for other in schema:
            if other not in (key, "$defs", "definitions", *REMARKS, *beside):
                raise self._refusal(f"{place}.{other}", f"stands beside {key}, where it is not held")

    def _listed(self, schema: dict[str, Any], key: str, place: str) -> list[Any]:
        values = schema[key]
        if not isinstance(values, list) or not values:
            raise self._refusal(f"{place}.{key}", "should be a list that is not empty")
        return values

    def _literal(self, value: Any, place: str) -> str:
        """A value as JSON, in the quotes of the grammar."""
        try:
            written = json.dumps(value, ensure_ascii=False, allow_nan=False)
            written.encode()
        except UnicodeEncodeError:
            raise self._refusal(place, "should be whole characters of Unicode") from None
        except (ValueError, RecursionError):
            raise self._refusal(place, "holds a number that is too large, or is nested too deeply") from None
        escaped = written.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'

    def _rule(self, expression: str) -> str:
        """A name for an expression."""
        name = f"r{len(self._rules)}"
        self._rules[name] = expression
        return name

    def _refusal(self, place: str, why: str) -> InvalidRequest:
        where = f"{self._param}{place if place.startswith('.') or not place else '.' + place}"[:300]
        return InvalidRequest(f"The field '{where}' {why}.", param=where)


def _is(value: Any, kind: str) -> bool:
    """Whether JSON schema calls a value of this type."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return {
        "object": isinstance(value, dict),
        "array": isinstance(value, list),
        "string": isinstance(value, str),
        "number": number,
        "integer": number and float(value).is_integer(),
        "boolean": isinstance(value, bool),
        "null": value is None,
    }[kind]


def _either(expressions: Sequence[str]) -> str:
    return expressions[0] if len(expressions) == 1 else f"({' | '.join(expressions)})"


def _array(item: str, low: int, high: int | None) -> str:
    """``low`` to ``high`` items, in brackets."""
    if high == 0:
        return '"[]"'
    more = f'(", " {item}){{{max(low - 1, 0)},{"" if high is None else high - 1}}}'
    return f'"[" {item} {more} "]"' if low else f'"[" ({item} {more})? "]"'
