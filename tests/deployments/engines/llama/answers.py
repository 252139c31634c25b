"""Random answers that conform to a JSON schema, as from a model with random weights."""

from __future__ import annotations

import random
from typing import Any

from deployments.engines.llama.matcher import Matcher, tokenizer
from deployments.engines.llama.schema import converted
from deployments.messages import JsonSchema

# Single bytes, parts of a character, a control token without text, and the token that ends an answer.
TEXTS = ['{"', '": ', ", ", '", "', "}}", "[[", "[[[[", "]]", "12", "true", "null", "é", "漢", "xx", "p1", "value"]
PIECES = [
    *(bytes([byte]) for byte in range(256)),
    *(one.encode() for one in TEXTS),
    "漢".encode()[:2],
    b"a\xc3",
    b"",
    b"",
]
CONTROL, END = len(PIECES) - 2, len(PIECES) - 1
TOKENS = tokenizer(PIECES, [END], lambda text: [*text.encode()])


def matcher(schema: Any) -> Matcher:
    return Matcher(converted(JsonSchema(schema, "p")), "p", TOKENS)


def random_answer(schema: Any, seed: int = 0, max_tokens: int = 400) -> str | None:
    """Return one answer, or ``None`` if it is not complete after ``max_tokens``. It soon ends texts and lists."""
    rng, state, answer = random.Random(seed), matcher(schema), b""
    for position in range(max_tokens):
        allowed = state.allowed().tolist()
        ends = [token for token in allowed if token == END or PIECES[token] in (b'"', b"]", b"}")]
        token = rng.choice(ends if ends and rng.random() < 0.1 + position / 200 else allowed)
        assert state.accept(token)
        if token == END:
            return answer.decode()
        answer += PIECES[token]
    return None
