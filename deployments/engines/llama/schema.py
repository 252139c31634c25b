"""Checks a client's JSON schema and converts it to one that llguidance supports completely. Pure.

``Matcher`` compiles the result. llguidance has limits for a step of a matcher, but not for all of its compilation: the
intersection of two patterns can take minutes. So only keywords that need no intersection are supported; another one
raises ``InvalidRequest`` with its location.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from deployments.errors import InvalidRequest
from deployments.messages import JsonSchema

MAX_DEPTH = 32
MAX_NODES = 1000  # subschemas, the members of enums and types included
MAX_LITERAL_CHARACTERS = 20_000  # of the names of properties, patterns, and the values of enum and const, as JSON
MAX_STRUCTURES = 64  # of all anyOf together: alternatives other than scalars; a step takes time for each pair
MAX_REPEATS = 500
MAX_PATTERN_CHARACTERS = 200
MAX_NUMBER = 2**53 - 1  # integers up to it are exact in any JSON parser
MAX_DIGITS, MIN_EXPONENT = 15, -22  # llguidance rounds numbers with more digits

KEYWORDS: dict[str, tuple[str, ...]] = {
    "object": ("properties", "required", "additionalProperties"),
    "array": ("items", "prefixItems", "minItems", "maxItems"),
    "string": ("minLength", "maxLength", "pattern", "format"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
}
SUPPORTED = ("type", *(key for keys in KEYWORDS.values() for key in keys), "enum", "const", "anyOf", "$ref", "$defs",
             "definitions")  # fmt: skip
ANNOTATIONS = ("title", "description", "default", "examples", "$schema", "$id", "$comment")  # ignored
TYPES = ("object", "array", "string", "number", "integer", "boolean", "null")
FORMATS = ("date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid", "uri")

_UNREPRESENTABLE = re.compile(r"(?<!\\)(\\\\)*\\u|\x7f")  # in JSON: answers have no escapes with \u
_INEXACT = f"has more than {MAX_DIGITS} digits, or is not from {-MAX_NUMBER} to {MAX_NUMBER}"
_ANY = {"$ref": "#/$defs/any"}
_NUMBER_BOUNDS = {"minimum": -MAX_NUMBER, "maximum": MAX_NUMBER}  # with bounds, numbers have no exponent
_DEFINITIONS: dict[str, Any] = {  # shared, as each bounded number takes a millisecond to compile
    "any": {
        "anyOf": [
            {"type": "object", "additionalProperties": _ANY},
            {"type": "array", "items": _ANY},
            {"type": "string"},
            {"type": "number", **_NUMBER_BOUNDS},
            {"type": "boolean"},
            {"type": "null"},
        ]
    },
    "number": {"type": "number", **_NUMBER_BOUNDS},
    "integer": {"type": "integer", **_NUMBER_BOUNDS},
}


def converted(schema: JsonSchema) -> dict[str, Any]:
    """Return a schema for ``Matcher``: a document that conforms to it conforms to ``schema``.

    Each subschema has a type, references are to ``$defs`` of the root, and objects with ``properties`` have no
    additional ones unless the schema has ``additionalProperties``.

    Raise ``InvalidRequest`` for an unsupported or invalid schema; ``param`` is that of ``schema`` and the path in it.
    """
    return _Converter(schema).document()


class _Converter:
    """Converts one schema. A ``path`` is the location of a subschema, such as ``.properties.name``."""

    def __init__(self, schema: JsonSchema) -> None:
        self._schema = schema.schema
        self._param = schema.param
        self._definitions: dict[str, Any] = {**_DEFINITIONS}
        self._references: dict[str, dict[str, str]] = {}  # the target of a ``$ref`` to the reference in the result
        self._nodes = 0
        self._structures = 0
        self._literal_characters = 0

    def document(self) -> dict[str, Any]:
        root = self._value(self._schema, "", (), 0)
        return {"$defs": self._definitions, **root}

    def _value(self, schema: Any, path: str, references: tuple[str, ...], depth: int) -> dict[str, Any]:
        """Convert a subschema. ``references`` are those that lead here without an object or array between them."""
        self._count(1, path)
        if depth > MAX_DEPTH:
            raise self._error(path, f"is deeper than {MAX_DEPTH} levels")
        if schema is True:
            return _ANY
        if not isinstance(schema, dict):
            raise self._error(path, "must be a schema, which is an object")
        self._require_supported(schema, path)
        if "$ref" in schema:
            self._require_alone("$ref", schema, path)
            return self._reference(schema, path, references, depth)
        if "anyOf" in schema:
            self._require_alone("anyOf", schema, path)
            members = self._list(schema, "anyOf", path)
            return self._either(
                [self._value(m, f"{path}.anyOf.{i}", references, depth + 1) for i, m in enumerate(members)], path
            )
        for key in ("const", "enum"):
            if key in schema:
                self._require_alone(key, schema, path, besides=("type",))
                return self._constants(schema, key, path)
        return self._typed(schema, path, depth)

    def _either(self, alternatives: list[dict[str, Any]], path: str) -> dict[str, Any]:
        """Return an ``anyOf`` without equal alternatives."""
        different = [*{json.dumps(value): value for value in alternatives}.values()]
        self._structures += sum(
            "enum" not in value and value.get("type", "object") in ("object", "array") for value in different
        )
        if self._structures > MAX_STRUCTURES:
            raise self._error(path, f"has more than {MAX_STRUCTURES} alternatives that are objects or arrays")
        return different[0] if len(different) == 1 else {"anyOf": different}

    def _constants(self, schema: dict[str, Any], key: str, path: str) -> dict[str, Any]:
        values = [schema["const"]] if key == "const" else self._list(schema, "enum", path)
        self._count(len(values) - 1, path)
        if "type" in schema:
            types = self._types(schema, path)
            if not all(any(_is(value, type_) for type_ in types) for value in values):
                raise self._error(f"{path}.{key}", "must have only values of its type")
        for value in values:
            self._require_constant(value, path)
        return {"enum": values}

    def _typed(self, schema: dict[str, Any], path: str, depth: int) -> dict[str, Any]:
        """Return an alternative for each type, with the keywords of that type."""
        convert = {"object": self._object, "array": self._array, "string": self._string}
        alternatives = []
        for type_ in self._types(schema, path):
            if type_ in ("number", "integer"):
                bounds = self._range(schema, path)
                alternatives.append(
                    {"type": type_, **_NUMBER_BOUNDS, **bounds} if bounds else {"$ref": f"#/$defs/{type_}"}
                )
            elif type_ in convert:
                alternatives.append({"type": type_, **convert[type_](schema, path, depth)})
            else:
                alternatives.append(_ANY if type_ == "any" else {"type": type_})
        return alternatives[0] if len(alternatives) == 1 else {"anyOf": alternatives}

    def _types(self, schema: dict[str, Any], path: str) -> Sequence[str]:
        """Return the types of a schema; without ``type``, the one that its keywords belong to, or ``any``."""
        if "type" not in schema:
            return [next((type_ for type_, keys in KEYWORDS.items() if schema.keys() & set(keys)), "any")]
        types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        self._count(len(types) - 1, path)
        if not types or any(type_ not in TYPES for type_ in types):
            raise self._error(f"{path}.type", f"must be one or several of {', '.join(TYPES)}")
        return list(dict.fromkeys(types))

    def _object(self, schema: dict[str, Any], path: str, depth: int) -> dict[str, Any]:
        properties = schema.get("properties", {})
        if not isinstance(properties, dict):
            raise self._error(f"{path}.properties", "must be an object")
        required = schema.get("required", [])
        if not isinstance(required, list) or any(not isinstance(n, str) or n not in properties for n in required):
            raise self._error(f"{path}.required", "must be a list of names in properties")
        for name in properties:
            self._require_constant(name, f"{path}.properties.{name}")
        others = schema.get("additionalProperties", "properties" not in schema)
        return {
            "properties": {
                name: self._value(value, f"{path}.properties.{name}", (), depth + 1)
                for name, value in properties.items()
            },
            "required": list(dict.fromkeys(required)),
            "additionalProperties": others is not False
            and self._value(others, f"{path}.additionalProperties", (), depth + 1),
        }

    def _array(self, schema: dict[str, Any], path: str, depth: int) -> dict[str, Any]:
        array = self._bounds(schema, "minItems", "maxItems", path)
        if "prefixItems" in schema:
            items = self._list(schema, "prefixItems", path)
            array["prefixItems"] = [
                self._value(item, f"{path}.prefixItems.{i}", (), depth + 1) for i, item in enumerate(items)
            ]
        others = schema.get("items", True)
        array["items"] = others is not False and self._value(others, f"{path}.items", (), depth + 1)
        return array

    def _string(self, schema: dict[str, Any], path: str, depth: int) -> dict[str, Any]:
        """Convert a string, which has a pattern, a format, or bounds."""
        if "pattern" in schema:
            for other in ("format", "minLength", "maxLength"):
                if other in schema:
                    raise self._error(f"{path}.{other}", "is not supported next to pattern")
            pattern = schema["pattern"]
            if not isinstance(pattern, str) or len(pattern) > MAX_PATTERN_CHARACTERS:
                raise self._error(f"{path}.pattern", f"must be text of at most {MAX_PATTERN_CHARACTERS} characters")
            self._require_constant(pattern, f"{path}.pattern")
            return {"pattern": pattern}
        if "format" in schema:
            for other in ("minLength", "maxLength"):
                if other in schema:
                    raise self._error(f"{path}.{other}", "is not supported next to format")
            if schema["format"] not in FORMATS:
                raise self._error(f"{path}.format", f"must be one of {', '.join(FORMATS)}")
            return {"format": schema["format"]}
        return self._bounds(schema, "minLength", "maxLength", path)

    def _range(self, schema: dict[str, Any], path: str) -> dict[str, Any]:
        bounds = {key: schema[key] for key in KEYWORDS["number"] if key in schema}
        for key, bound in bounds.items():
            if not _is(bound, "number"):
                raise self._error(f"{path}.{key}", "must be a number")
            if not _is_exact(bound):
                raise self._error(f"{path}.{key}", _INEXACT)
        if bounds.get("minimum", -math.inf) > bounds.get("maximum", math.inf):
            raise self._error(f"{path}.maximum", "must not be less than minimum")
        return bounds

    def _bounds(self, schema: dict[str, Any], minimum: str, maximum: str, path: str) -> dict[str, Any]:
        bounds = {key: schema[key] for key in (minimum, maximum) if schema.get(key) is not None}
        for name, bound in bounds.items():
            if type(bound) is not int or not 0 <= bound <= MAX_REPEATS:
                raise self._error(f"{path}.{name}", f"must be an integer from 0 to {MAX_REPEATS}")
        if bounds.get(minimum, 0) > bounds.get(maximum, MAX_REPEATS):
            raise self._error(f"{path}.{maximum}", f"must not be less than {minimum}")
        return bounds

    def _reference(self, schema: dict[str, Any], path: str, references: tuple[str, ...], depth: int) -> dict[str, Any]:
        target = schema["$ref"]
        if not isinstance(target, str) or not (target == "#" or target.startswith("#/")):
            raise self._error(f"{path}.$ref", "must refer to a part of this schema, such as #/$defs/name")
        if target in references:
            raise self._error(f"{path}.$ref", "is a circular reference")
        if target not in self._references:
            name = str(len(self._references))
            self._references[target] = {"$ref": f"#/$defs/{name}"}
            found = self._resolve(target, path)
            self._definitions[name] = self._value(found, target, (*references, target), depth + 1)
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

    def _require_supported(self, schema: dict[str, Any], path: str) -> None:
        for key in schema:
            if key not in SUPPORTED and key not in ANNOTATIONS:
                raise self._error(f"{path}.{key}", f"is not supported; supported keywords are {', '.join(SUPPORTED)}")

    def _require_alone(self, key: str, schema: dict[str, Any], path: str, besides: Sequence[str] = ()) -> None:
        """Raise for a keyword next to ``key`` that would have no effect."""
        for other in schema:
            if other not in (key, "$defs", "definitions", *ANNOTATIONS, *besides):
                raise self._error(f"{path}.{other}", f"is not supported next to {key}")

    def _list(self, schema: dict[str, Any], key: str, path: str) -> list[Any]:
        values = schema[key]
        if not isinstance(values, list) or not values:
            raise self._error(f"{path}.{key}", "must be a list that is not empty")
        return values

    def _require_constant(self, value: Any, path: str) -> None:
        """Count the characters of a value as JSON; raise if it cannot be in an answer."""
        try:
            text = json.dumps(value, ensure_ascii=False, allow_nan=False)
            text.encode()
        except UnicodeEncodeError:
            raise self._error(path, "must be valid Unicode") from None
        except (ValueError, RecursionError):
            raise self._error(path, "has a number that JSON does not allow, or too many levels") from None
        self._literal_characters += len(text)
        if self._literal_characters > MAX_LITERAL_CHARACTERS:
            raise self._error(path, f"has names and values of more than {MAX_LITERAL_CHARACTERS:,} characters")
        if _UNREPRESENTABLE.search(text):
            raise self._error(path, "must not have control characters other than \\b, \\f, \\n, \\r and \\t")
        if any(isinstance(leaf, int | float) and not _is_exact(leaf) for leaf in _leaves(value)):
            raise self._error(path, f"has a number that {_INEXACT}")

    def _count(self, nodes: int, path: str) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            raise self._error(path, f"has more than {MAX_NODES:,} subschemas and values")

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
        "integer": is_number and (isinstance(value, int) or value.is_integer()),
        "boolean": isinstance(value, bool),
        "null": value is None,
    }[type_]


def _is_exact(number: float) -> bool:
    """Return whether llguidance does not round a number."""
    if isinstance(number, int):
        return abs(number) <= MAX_NUMBER
    if not abs(number) <= MAX_NUMBER:
        return False
    _, digits, exponent = Decimal(repr(number)).as_tuple()
    return len(digits) <= MAX_DIGITS and int(exponent) >= MIN_EXPONENT


def _leaves(value: Any) -> Sequence[Any]:
    """Return the values in ``value`` that are neither an object nor an array."""
    if isinstance(value, dict | list):
        members = value.values() if isinstance(value, dict) else value
        return [leaf for member in members for leaf in _leaves(member)]
    return [value]
