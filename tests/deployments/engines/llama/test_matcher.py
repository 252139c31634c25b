"""The tokens that a JSON schema allows, and the processor time to find them."""

from __future__ import annotations

import random
import time
from typing import Any

import pytest

from deployments.engines.llama.engine import Model
from deployments.engines.llama.matcher import Matcher
from deployments.engines.llama.schema import converted
from deployments.engines.llama.settings import LlamaArgs
from deployments.engines.llama.vocabulary import Vocabulary
from deployments.errors import InvalidRequest
from deployments.messages import JsonSchema
from deployments.settings import resolve
from graphs.settings import POCKET_LLM
from tests.deployments.engines.llama.answers import CONTROL, END, PIECES, matcher
from tests.deployments.engines.llama.schemas import COSTLY, ORDINARY
from tests.deployments.engines.llama.test_limits import in_a_process

MAX_STEP_S = 0.05
MAX_COMPILE_S = 0.5
MODEL = resolve(LlamaArgs.model_validate(POCKET_LLM).model)


def accept(state: Matcher, text: bytes) -> bool:
    return all(state.accept(byte) for byte in text)


def test_only_tokens_that_continue_the_answer_are_accepted() -> None:
    state = matcher({"properties": {"a": {"enum": ["é", "xxx"]}}, "required": ["a"]})
    assert accept(state, b'{"a": "')
    assert not any(state.accept(token) for token in (ord("y"), ord('"'), CONTROL, END))
    assert {PIECES[token] for token in state.allowed()} == {b"x", b"xx", b"\xc3", "é".encode()}
    assert accept(state, b'xxx"}')
    assert state.allowed().tolist() == [END]
    assert state.accept(END)


def test_a_control_token_is_never_allowed() -> None:
    state = matcher({"type": "string"})
    assert accept(state, b'"a')
    assert CONTROL not in state.allowed()
    assert not state.accept(CONTROL)


@pytest.mark.parametrize("start", [b"\xed\xa0", b"\xc0", b"\xff", b"\x80", b"\xf4\x90", b"\n", b"\x7f", b"\\u", b"\\/"])
def test_bytes_that_start_no_character_are_not_allowed(start: bytes) -> None:
    state = matcher({"type": "string"})
    assert accept(state, b'"' + start[:-1])
    assert start[-1] not in state.allowed()
    assert not state.accept(start[-1])


def walk(vocabulary: Vocabulary, schema: Any, seed: int, times: list[float]) -> InvalidRequest | None:
    """Choose 300 tokens at random, brackets more often; append the time of the compilation and of each step."""

    def timed(body: Any, *args: Any) -> Any:
        start_s = time.thread_time()
        try:
            return body(*args)
        finally:
            times.append(time.thread_time() - start_s)

    rng, document = random.Random(seed), converted(JsonSchema(schema, "p"))
    try:
        state = timed(Matcher, document, "p", vocabulary.matcher_tokens)
        for _ in range(300):
            allowed = timed(state.allowed).tolist()
            brackets = [token for token in allowed if vocabulary.piece(token)[:1] in (b"[", b"{", b'"')]
            token = rng.choice(brackets if brackets and rng.random() < 0.8 else allowed)
            timed(state.accept, token)
            if vocabulary.is_end(token):
                break
    except InvalidRequest as error:
        return error
    return None


def costly_steps(name: str) -> None:
    """Check the time of each step, which is the least of three equal runs: other processes slow down single ones."""
    model = Model(MODEL, 0)
    vocabulary = Vocabulary(model.handle)
    assert vocabulary.matcher_tokens
    for seed in range(3):
        runs: list[list[float]] = [[], [], []]
        for times in runs:
            error = walk(vocabulary, COSTLY[name], seed, times)
            assert error is None or error.param == "p"
        compilation, *steps = map(min, zip(*runs, strict=True))
        assert compilation < MAX_COMPILE_S
        assert max(steps, default=0) < MAX_STEP_S


@pytest.mark.skipif(not MODEL.is_file(), reason="the bundled model is missing")
@pytest.mark.parametrize("name", COSTLY)
def test_no_step_of_a_costly_schema_takes_long(name: str) -> None:
    in_a_process(costly_steps, name, cpu_s=60)


@pytest.mark.parametrize("name", ORDINARY)
def test_an_ordinary_schema_stays_below_the_limits(name: str) -> None:
    for seed in range(5):
        rng, state = random.Random(seed), matcher(ORDINARY[name])
        for _ in range(300):
            token = rng.choice(state.allowed().tolist())
            assert state.accept(token)
            if token == END:
                break


def test_an_answer_that_is_too_complex_is_an_invalid_request() -> None:
    state = matcher(COSTLY["texts of 400 lengths"])
    with pytest.raises(InvalidRequest, match="too complex for this answer") as caught:
        [state.accept(byte) and state.allowed() for byte in b'["aaaaaaaaaaaaaaaa']
    assert caught.value.param == "p"
