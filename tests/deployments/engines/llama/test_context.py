"""Which slots speak along so that a pass costs less, and that nothing of it stays."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.engines.llama.context import Context, Model, Shape, fillers, lacking
from deployments.engines.llama.scheduler import Run, Sampling
from tests.deployments.engines import tiny

SLOTS = 16


@pytest.mark.parametrize(
    ("slots", "gap", "blocks", "along"),
    [
        ((0, 1, 2, 3), 2, True, set()),
        ((0, 1, 2), 2, True, {3}),
        ((13, 14, 15), 2, True, {12}),
        (tuple(range(14)), 2, True, {14, 15}),
        (tuple(range(1, 15)), 2, True, {15, 0}),
        ((0, 2), 2, True, {1, 3}),
        ((0, 2), 2, False, {1}),
        ((0, 4), 2, True, set()),
        ((0, 1, 2), 0, False, set()),
    ],
)
def test_who_speaks_along(slots: tuple[int, ...], gap: int, blocks: bool, along: set[int]) -> None:
    assert set(fillers(slots, SLOTS, gap, blocks)) == along


@given(st.sets(st.integers(0, SLOTS - 1), min_size=1), st.integers(0, 16), st.booleans())
def test_nobody_speaks_twice_or_from_a_slot_that_is_not_there(slots: set[int], gap: int, blocks: bool) -> None:
    along = fillers(tuple(slots), SLOTS, gap, blocks)
    assert len({*along}) == len(along)
    assert {*along}.isdisjoint(slots)
    assert {*along} <= {*range(SLOTS)}


@pytest.mark.parametrize(("tokens", "more"), [(1, 0), (2, 0), (3, 1), (13, 0), (14, 2), (15, 1), (16, 0), (30, 2)])
def test_what_a_block_lacks(tokens: int, more: int) -> None:
    assert lacking(tokens) == more


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    model = Model(tiny.chat_model(tmp_path_factory.mktemp("context") / "llm.gguf"), 0)
    yield model
    model.close()


@pytest.fixture
def contexts(model: Model) -> Iterator[tuple[Context, Context]]:
    """One that fills its blocks up, and one that does not."""
    pair = Context(model, Shape(4, 64, 64, 1, 1)), Context(model, Shape(4, 64, 64, 1, 1, gap=0, blocks=False))
    yield pair
    for context in pair:
        context.close()


@pytest.mark.parametrize("length", [3, 14, 15, 16, 62, 63, 64])
def test_what_is_read_along_is_forgotten(contexts: tuple[Context, Context], length: int) -> None:
    said = []
    for context in contexts:
        sampler = context.sampler(Sampling())
        tokens = context.decode([Run(0, np.arange(5, 5 + length), sampler)])
        if length < 62:
            tokens += context.decode([Run(0, np.array([tokens[0][1]]), sampler)])
        said.append((tokens, context.trim(0, 64)))
        context.release(sampler)
    assert said[0] == said[1]


def test_who_speaks_along_keeps_what_he_has_read(contexts: tuple[Context, Context]) -> None:
    said = []
    for context in contexts:
        samplers = [context.sampler(Sampling()) for _ in range(4)]
        for slot in range(4):
            context.decode([Run(slot, np.arange(5 + slot, 15 + slot))])
        tokens = context.decode([Run(slot, np.array([7]), samplers[slot]) for slot in range(3)])
        tokens += context.decode([Run(3, np.array([8]), samplers[3])])
        said.append((tokens, [context.trim(slot, 64) for slot in range(4)]))
        for sampler in samplers:
            context.release(sampler)
    assert said[0] == said[1]


def test_a_model_that_cannot_forget_a_token_is_given_none(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "forgets", False)
    context = Context(model, Shape(4, 64, 64, 1, 1))
    sampler = context.sampler(Sampling())
    monkeypatch.setattr(context, "trim", None)
    assert [slot for slot, _ in context.decode([Run(slot, np.array([7]), sampler) for slot in range(3)])] == [0, 1, 2]
    context.release(sampler)
    context.close()


@pytest.mark.parametrize(("elsewhere", "order"), [(False, "told pass pass"), (True, "pass told pass")])
def test_what_can_be_done_meanwhile_is_done_once_and_while_a_gpu_is_at_work(
    model: Model, monkeypatch: pytest.MonkeyPatch, elsewhere: bool, order: str
) -> None:
    from llama_cpp import llama_cpp as lib

    done: list[str] = []
    decode = lib.llama_decode
    monkeypatch.setattr(lib, "llama_decode", lambda *batch: done.append("pass") or decode(*batch))
    monkeypatch.setattr(model, "elsewhere", elsewhere)
    context = Context(model, Shape(4, 64, 64, 1, 1))
    context.decode([Run(0, np.array([7])), Run(1, np.arange(5, 10))], lambda: done.append("told"))
    assert done == order.split()
    context.decode([Run(0, np.array([7]))])
    assert done.count("told") == 1
    context.close()
