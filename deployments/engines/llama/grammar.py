"""A JSON schema to a grammar in GBNF, so that every complete answer is JSON that conforms to the schema. Pure.

llama.cpp's own converter (``json_schema_to_grammar``) ignores unknown keywords, downloads references, and confuses
references whose names have the same ending. This one supports a keyword completely or raises ``InvalidRequest``. The
JSON is on one line, with the properties of an object in the order of the schema.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from deployments.errors import InvalidRequest
from deployments.messages import JsonSchema

MAX_DEPTH = 32
MAX_NODES = 1000
MAX_REPEATS = 500  # llama.cpp expands ``x{0,500}`` to 500 rules

SUPPORTED = ("type", "properties", "required", "additionalProperties", "items", "minItems", "maxItems", "minLength",
             "maxLength", "enum", "const", "anyOf", "$ref", "$defs", "definitions")  # fmt: skip
ANNOTATIONS = ("title", "description", "default", "examples", "$schema", "$id", "$comment")  # ignored

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

KEYWORDS = {
    "object": {"properties", "required", "additionalProperties"},
    "array": {"items", "minItems", "maxItems"},
    "string": {"minLength", "maxLength"},
}
TYPES = ("object", "array", "string", "number", "integer", "boolean", "null")


def json_schema_to_grammar(schema: JsonSchema) -> str:
    """Return GBNF with a rule ``root``.

    Raise ``InvalidRequest`` for an unsupported or invalid schema; ``param`` is that of ``schema`` and the path in it.
    """
    return _Converter(schema).grammar()


class _Converter:
    """Converts one schema. A ``path`` locates a subschema, such as ``.properties.name``."""

    def __init__(self, schema: JsonSchema) -> None:
        self._schema = schema.schema
        self._param = schema.param
        self._rules: dict[str, str] = {}
        self._references: dict[str, str] = {}  # the target of a ``$ref`` to the name of its rule
        self._nodes = 0

    def grammar(self) -> str:
        root = self._value(self._schema, "", (), 0)
        rules = {"root": root} | self._rules
        return "\n".join([*(f"{name} ::= {rule}" for name, rule in rules.items()), _BASE])

    def _value(self, schema: Any, path: str, references: tuple[str, ...], depth: int) -> str:
        """Return the expression of a subschema.

        ``references`` are those that lead here without a terminal symbol: another one of them would be left recursion.
        """
        self._nodes += 1
        if depth > MAX_DEPTH or self._nodes > MAX_NODES:
            raise self._error(path, f"is deeper than {MAX_DEPTH} levels or has more than {MAX_NODES} subschemas")
        if schema is True:
            return "any"
        if not isinstance(schema, dict):
            raise self._error(path, "must be a schema, which is an object")
        self._require_supported(schema, path)
        if "$ref" in schema:
            self._require_alone("$ref", schema, path)
            return self._reference(schema, path, references, depth)
        if "anyOf" in schema:
            self._require_alone("anyOf", schema, path)
            members = self._list(schema, "anyOf", path)
            return _either([self._value(m, f"{path}.anyOf.{i}", references, depth + 1) for i, m in enumerate(members)])
        for key in ("const", "enum"):
            if key in schema:
                self._require_alone(key, schema, path, besides=("type",))
                values = [schema["const"]] if key == "const" else self._list(schema, "enum", path)
                self._require_types(values, schema, path, key)
                return _either([self._literal(value, path) for value in values])
        return _either([self._typed(type_, schema, path, depth) for type_ in self._types(schema, path)])

    def _types(self, schema: dict[str, Any], path: str) -> Sequence[str]:
        """Return the types of a schema; without ``type``, the one that its keywords belong to, or ``any``."""
        if "type" not in schema:
            return [next((type_ for type_, keys in KEYWORDS.items() if keys & schema.keys()), "any")]
        types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        if not types or any(type_ not in TYPES for type_ in types):
            raise self._error(f"{path}.type", f"must be one or several of {', '.join(TYPES)}")
        return types

    def _typed(self, type_: str, schema: dict[str, Any], path: str, depth: int) -> str:
        if type_ == "object" and KEYWORDS["object"] & schema.keys():
            return self._object(schema, path, depth)
        if type_ == "array":
            items = self._value(schema.get("items", True), f"{path}.items", (), depth + 1)
            low, high = self._bounds(schema, "minItems", "maxItems", path)
            return _array(self._rule(items), low, high)
        if type_ == "string" and ("minLength" in schema or "maxLength" in schema):
            low, high = self._bounds(schema, "minLength", "maxLength", path)
            return rf'"\"" char{{{low},{"" if high is None else high}}} "\""'
        return type_

    def _object(self, schema: dict[str, Any], path: str, depth: int) -> str:
        """Return an object with its properties in order; other properties only if the schema has no ``properties``."""
        properties = schema.get("properties", {})
        if not isinstance(properties, dict):
            raise self._error(f"{path}.properties", "must be an object")
        required = schema.get("required", [])
        if not isinstance(required, list) or any(not isinstance(n, str) or n not in properties for n in required):
            raise self._error(f"{path}.required", "must be a list of names in properties")
        if "properties" not in schema:
            others = schema.get("additionalProperties", True)
            return '"{}"' if others is False else self._dictionary(others, path, depth)
        pairs = [
            (self._pair(name, value, f"{path}.properties.{name}", depth), name in required)
            for name, value in properties.items()
        ]
        first, next_ = '""', '""'  # what can follow the opening brace, and what can follow a property
        for pair, is_required in reversed(pairs):
            rest = self._rule(next_)
            first = f"{pair} {rest}" if is_required else f"({pair} {rest} | {self._rule(first)})"
            next_ = f'", " {pair} {rest}' if is_required else f'(", " {pair})? {rest}'
        return f'"{{" {first} "}}"'

    def _dictionary(self, values: Any, path: str, depth: int) -> str:
        """Return an object with arbitrary names and values of one schema."""
        value = self._value(values, f"{path}.additionalProperties", (), depth + 1)
        pair = self._rule(f'string ": " {value}')
        return f'"{{" ({pair} (", " {pair})*)? "}}"'

    def _pair(self, name: str, schema: Any, path: str, depth: int) -> str:
        value = self._value(schema, path, (), depth + 1)
        return self._rule(f'{self._literal(name, path)} ": " {value}')

    def _reference(self, schema: dict[str, Any], path: str, references: tuple[str, ...], depth: int) -> str:
        target = schema["$ref"]
        if not isinstance(target, str) or not (target == "#" or target.startswith("#/")):
            raise self._error(f"{path}.$ref", "must refer to a part of this schema, such as #/$defs/name")
        if target in references:
            raise self._error(f"{path}.$ref", "is a circular reference")
        if target not in self._references:
            name = self._references[target] = f"ref{len(self._references)}"
            self._rules[name] = self._value(self._resolve(target, path), target, (*references, target), depth + 1)
        return self._references[target]

    def _resolve(self, target: str, path: str) -> Any:
        """Return the subschema at a JSON pointer (RFC 6901)."""
        found: Any = self._schema
        for part in target.split("/")[1:]:
            key = part.replace("~1", "/").replace("~0", "~")
            if not isinstance(found, dict) or key not in found:
                raise self._error(f"{path}.$ref", f"refers to {target[:100]}, which does not exist")
            found = found[key]
        return found

    def _bounds(self, schema: dict[str, Any], minimum: str, maximum: str, path: str) -> tuple[int, int | None]:
        low, high = schema.get(minimum, 0), schema.get(maximum)
        for name, bound in ((minimum, low), (maximum, high)):
            if bound is not None and (type(bound) is not int or not 0 <= bound <= MAX_REPEATS):
                raise self._error(f"{path}.{name}", f"must be an integer from 0 to {MAX_REPEATS}")
        if high is not None and high < low:
            raise self._error(f"{path}.{maximum}", f"must not be less than {minimum}")
        return low, high

    def _require_supported(self, schema: dict[str, Any], path: str) -> None:
        for key in schema:
            if key not in SUPPORTED and key not in ANNOTATIONS:
                raise self._error(f"{path}.{key}", f"is not supported; supported keywords are {', '.join(SUPPORTED)}")

    def _require_alone(self, key: str, schema: dict[str, Any], path: str, besides: Sequence[str] = ()) -> None:
        """Raise for a keyword next to ``key`` that would have no effect."""
        for other in schema:
            if other not in (key, "$defs", "definitions", *ANNOTATIONS, *besides):
                raise self._error(f"{path}.{other}", f"is not supported next to {key}")

    def _require_types(self, values: list[Any], schema: dict[str, Any], path: str, key: str) -> None:
        if "type" not in schema:
            return
        types = self._types(schema, path)
        if not all(any(_is(value, type_) for type_ in types) for value in values):
            raise self._error(f"{path}.{key}", "must have only values of its type")

    def _list(self, schema: dict[str, Any], key: str, path: str) -> list[Any]:
        values = schema[key]
        if not isinstance(values, list) or not values:
            raise self._error(f"{path}.{key}", "must be a list that is not empty")
        return values

    def _literal(self, value: Any, path: str) -> str:
        """Return a value as JSON in a GBNF string."""
        try:
            text = json.dumps(value, ensure_ascii=False, allow_nan=False)
            text.encode()
        except UnicodeEncodeError:
            raise self._error(path, "must be valid Unicode") from None
        except (ValueError, RecursionError):
            raise self._error(path, "has a number that JSON does not allow, or too many levels") from None
        escaped = text.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'

    def _rule(self, expression: str) -> str:
        """Add a rule for an expression; return its name."""
        name = f"r{len(self._rules)}"
        self._rules[name] = expression
        return name

    def _error(self, path: str, reason: str) -> InvalidRequest:
        field = f"{self._param}{path if path.startswith('.') or not path else '.' + path}"[:300]
        return InvalidRequest(f"The field '{field}' {reason}.", param=field)


def _is(value: Any, type_: str) -> bool:
    """Return whether ``value`` has a type of JSON Schema."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return {
        "object": isinstance(value, dict),
        "array": isinstance(value, list),
        "string": isinstance(value, str),
        "number": is_number,
        "integer": is_number and float(value).is_integer(),
        "boolean": isinstance(value, bool),
        "null": value is None,
    }[type_]


def _either(expressions: Sequence[str]) -> str:
    return expressions[0] if len(expressions) == 1 else f"({' | '.join(expressions)})"


def _array(item: str, low: int, high: int | None) -> str:
    """Return an array of ``low`` to ``high`` items."""
    if high == 0:
        return '"[]"'
    more = f'(", " {item}){{{max(low - 1, 0)},{"" if high is None else high - 1}}}'
    return f'"[" {item} {more} "]"' if low else f'"[" ({item} {more})? "]"'
