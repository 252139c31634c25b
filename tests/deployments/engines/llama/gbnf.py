"""Says anything that a grammar in GBNF allows, as a model with random weights would. For the subset Parley writes."""

from __future__ import annotations

import random
import re
from typing import Any

_TOKEN = re.compile(r'\s*("(?:\\.|[^"\\])*"|\[(?:\\.|[^\]\\])*\]|[a-z][a-z0-9]*|\{\d+,\d*\}|[()|*?])')
_SAMPLES = 'aZ 09é漢.,-\n\t\x00\x7f\\"/bfnrt'
DEEP = 40

Node = tuple[str, Any]


def sample(grammar: str, seed: int) -> str:
    """One text of the language of ``grammar``; the deeper it gets, the shorter."""
    rules = {name: _parsed(rule) for name, rule in (line.split(" ::= ", 1) for line in grammar.split("\n"))}
    return _said(("rule", "root"), rules, random.Random(seed), 0)


def _parsed(rule: str) -> Node:
    assert not _TOKEN.sub("", rule).strip(), f"not read: {rule}"
    tokens = _TOKEN.findall(rule)
    node, rest = _either(tokens)
    assert not rest, rest
    return node


def _either(tokens: list[str]) -> tuple[Node, list[str]]:
    choices = []
    while True:
        sequence: list[Node] = []
        while tokens and tokens[0] not in ("|", ")"):
            node, tokens = _item(tokens)
            sequence.append(node)
        choices.append(("all", sequence))
        if not tokens or tokens[0] == ")":
            return ("any", choices), tokens
        tokens = tokens[1:]


def _item(tokens: list[str]) -> tuple[Node, list[str]]:
    token, tokens = tokens[0], tokens[1:]
    node: Node
    if token == "(":
        node, tokens = _either(tokens)
        tokens = tokens[1:]
    elif token[0] == '"':
        node = ("text", _unescaped(token[1:-1]))
    elif token[0] == "[":
        node = ("set", re.compile(token))
    else:
        node = ("rule", token)
    while tokens and (tokens[0] in "*?" or tokens[0][0] == "{"):
        low, high = {"*": (0, None), "?": (0, 1)}.get(tokens[0]) or _bounds(tokens[0])
        node, tokens = ("times", (node, low, high)), tokens[1:]
    return node, tokens


def _bounds(token: str) -> tuple[int, int | None]:
    low, high = token[1:-1].split(",")
    return int(low), int(high) if high else None


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", lambda match: {"n": "\n", "t": "\t", "r": "\r"}.get(match[1], match[1]), text)


def _said(node: Node, rules: dict[str, Node], chance: random.Random, depth: int) -> str:
    kind, value = node
    match kind:
        case "text":
            return str(value)
        case "set":
            return chance.choice([letter for letter in _SAMPLES if value.fullmatch(letter)])
        case "rule":
            return _said(rules[value], rules, chance, depth + 1)
        case "all":
            return "".join(_said(part, rules, chance, depth) for part in value)
        case "any":
            return _said(value[-1] if depth > DEEP else chance.choice(value), rules, chance, depth)
        case _:
            part, low, high = value
            most = low + 3 if high is None else min(high, low + 3)
            times = low if depth > DEEP / 2 else chance.randint(low, most)
            return "".join(_said(part, rules, chance, depth) for _ in range(times))
