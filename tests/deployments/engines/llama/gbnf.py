"""Random texts of a GBNF grammar, as from a model with random weights; for the part of GBNF that Parley generates."""

from __future__ import annotations

import random
import re
from typing import Any

_TOKEN = re.compile(r'\s*("(?:\\.|[^"\\])*"|\[(?:\\.|[^\]\\])*\]|[a-z][a-z0-9]*|\{\d+,\d*\}|[()|*?])')
_CHARACTERS = 'aZ 09é漢.,-\n\t\x00\x7f\\"/bfnrt'
DEEP = 40  # nested rules, from which on the last alternative of each choice is used

Node = tuple[str, Any]


def sample(grammar: str, seed: int) -> str:
    """Return one text of the grammar's language."""
    rules = {name: _parse(rule) for name, rule in (line.split(" ::= ", 1) for line in grammar.split("\n"))}
    return _generate(("rule", "root"), rules, random.Random(seed), 0)


def _parse(rule: str) -> Node:
    assert not _TOKEN.sub("", rule).strip(), f"not GBNF: {rule}"
    tokens = _TOKEN.findall(rule)
    node, rest = _choice(tokens)
    assert not rest, rest
    return node


def _choice(tokens: list[str]) -> tuple[Node, list[str]]:
    choices = []
    while True:
        sequence: list[Node] = []
        while tokens and tokens[0] not in ("|", ")"):
            node, tokens = _item(tokens)
            sequence.append(node)
        choices.append(("sequence", sequence))
        if not tokens or tokens[0] == ")":
            return ("choice", choices), tokens
        tokens = tokens[1:]


def _item(tokens: list[str]) -> tuple[Node, list[str]]:
    token, tokens = tokens[0], tokens[1:]
    node: Node
    if token == "(":
        node, tokens = _choice(tokens)
        tokens = tokens[1:]
    elif token[0] == '"':
        node = ("text", _unescape(token[1:-1]))
    elif token[0] == "[":
        node = ("set", re.compile(token))
    else:
        node = ("rule", token)
    while tokens and (tokens[0] in "*?" or tokens[0][0] == "{"):
        low, high = {"*": (0, None), "?": (0, 1)}.get(tokens[0]) or _bounds(tokens[0])
        node, tokens = ("repeat", (node, low, high)), tokens[1:]
    return node, tokens


def _bounds(token: str) -> tuple[int, int | None]:
    low, high = token[1:-1].split(",")
    return int(low), int(high) if high else None


def _unescape(text: str) -> str:
    return re.sub(r"\\(.)", lambda match: {"n": "\n", "t": "\t", "r": "\r"}.get(match[1], match[1]), text)


def _generate(node: Node, rules: dict[str, Node], rng: random.Random, depth: int) -> str:
    kind, value = node
    match kind:
        case "text":
            return str(value)
        case "set":
            return rng.choice([character for character in _CHARACTERS if value.fullmatch(character)])
        case "rule":
            return _generate(rules[value], rules, rng, depth + 1)
        case "sequence":
            return "".join(_generate(part, rules, rng, depth) for part in value)
        case "choice":
            return _generate(value[-1] if depth > DEEP else rng.choice(value), rules, rng, depth)
        case _:
            part, low, high = value
            most = low + 3 if high is None else min(high, low + 3)
            times = low if depth > DEEP / 2 else rng.randint(low, most)
            return "".join(_generate(part, rules, rng, depth) for _ in range(times))
