"""The padding of batches, which changes no result, and the overlap with a GPU's work."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.engines.llama.context import Context, ContextParams, Model, block_padding, padding_slots
from deployments.engines.llama.request import Sampling
from deployments.engines.llama.scheduler import SlotInput
from tests.deployments.engines import tiny

SLOTS = 16


@pytest.mark.parametrize(
    ("slots", "max_gap", "fill_blocks", "padding"),
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
def test_padding_slots_close_gaps_and_fill_blocks(
    slots: tuple[int, ...], max_gap: int, fill_blocks: bool, padding: set[int]
) -> None:
    assert set(padding_slots(slots, SLOTS, max_gap, fill_blocks)) == padding


@given(st.sets(st.integers(0, SLOTS - 1), min_size=1), st.integers(0, 16), st.booleans())
def test_padding_slots_exist_and_are_not_used(slots: set[int], max_gap: int, fill_blocks: bool) -> None:
    padding = padding_slots(tuple(slots), SLOTS, max_gap, fill_blocks)
    assert len({*padding}) == len(padding)
    assert {*padding}.isdisjoint(slots)
    assert {*padding} <= {*range(SLOTS)}


@pytest.mark.parametrize(("tokens", "padding"), [(1, 0), (2, 0), (3, 1), (13, 0), (14, 2), (15, 1), (16, 0), (30, 2)])
def test_block_padding(tokens: int, padding: int) -> None:
    assert block_padding(tokens) == padding


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    model = Model(tiny.chat_model(tmp_path_factory.mktemp("context") / "llm.gguf"), 0)
    yield model
    model.close()


@pytest.fixture
def contexts(model: Model) -> Iterator[tuple[Context, Context]]:
    """A context with padding and one without."""
    pair = (
        Context(model, ContextParams(4, 64, 64, 1, 1)),
        Context(model, ContextParams(4, 64, 64, 1, 1, max_gap=0, fill_blocks=False)),
    )
    yield pair
    for context in pair:
        context.close()


@pytest.mark.parametrize("length", [3, 14, 15, 16, 62, 63, 64])
def test_padding_of_a_prompt_does_not_stay_in_the_cache(contexts: tuple[Context, Context], length: int) -> None:
    results = []
    for context in contexts:
        sampler = context.sampler(Sampling())
        tokens = context.decode([SlotInput(0, np.arange(5, 5 + length), sampler)])
        if length < 62:
            tokens += context.decode([SlotInput(0, np.array([tokens[0][1]]), sampler)])
        results.append((tokens, context.trim(0, 64)))
        context.release(sampler)
    assert results[0] == results[1]


def test_a_padding_slot_keeps_its_content(contexts: tuple[Context, Context]) -> None:
    results = []
    for context in contexts:
        samplers = [context.sampler(Sampling()) for _ in range(4)]
        for slot in range(4):
            context.decode([SlotInput(slot, np.arange(5 + slot, 15 + slot))])
        tokens = context.decode([SlotInput(slot, np.array([7]), samplers[slot]) for slot in range(3)])
        tokens += context.decode([SlotInput(3, np.array([8]), samplers[3])])
        results.append((tokens, [context.trim(slot, 64) for slot in range(4)]))
        for sampler in samplers:
            context.release(sampler)
    assert results[0] == results[1]


def test_a_recurrent_model_gets_no_padding(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "can_remove_tokens", False)
    context = Context(model, ContextParams(4, 64, 64, 1, 1))
    sampler = context.sampler(Sampling())
    monkeypatch.setattr(context, "trim", None)
    chosen = context.decode([SlotInput(slot, np.array([7]), sampler) for slot in range(3)])
    assert [slot for slot, _ in chosen] == [0, 1, 2]
    context.release(sampler)
    context.close()


@pytest.mark.parametrize(("asynchronous", "order"), [(False, "overlap decode decode"), (True, "decode overlap decode")])
def test_overlap_is_called_once_and_during_the_work_of_a_gpu(
    model: Model, monkeypatch: pytest.MonkeyPatch, asynchronous: bool, order: str
) -> None:
    from llama_cpp import llama_cpp as lib

    calls: list[str] = []
    decode = lib.llama_decode
    monkeypatch.setattr(lib, "llama_decode", lambda *batch: calls.append("decode") or decode(*batch))
    monkeypatch.setattr(model, "asynchronous", asynchronous)
    context = Context(model, ContextParams(4, 64, 64, 1, 1))
    context.decode([SlotInput(0, np.array([7])), SlotInput(1, np.arange(5, 10))], lambda: calls.append("overlap"))
    assert calls == order.split()
    context.decode([SlotInput(0, np.array([7]))])
    assert calls.count("overlap") == 1
    context.close()
