"""Whether a person has said all: Smart Turn, where its weights are in the cache."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from deployments.messages import Audio
from deployments.settings import model_path
from graphs.http.openai.realtime.semantic import HEARD, PATIENCE, RATE_HZ, Eagerness, EndOfTurn
from models.cache import NotPulled
from tests.graphs.http.openai.realtime.recordings import recording, silence

PAUSE_S = 0.2


@pytest.fixture(scope="module")
def model() -> EndOfTurn:
    try:
        return EndOfTurn(model_path("smart-turn-v3"))
    except (FileNotFoundError, NotPulled) as error:
        pytest.skip(str(error))


def said(name: str, seconds: float | None = None) -> Audio:
    """The first seconds of a recording, and a pause."""
    samples = recording(name)[: None if seconds is None else round(seconds * RATE_HZ)]
    return Audio(np.concatenate([samples, silence(PAUSE_S)]), RATE_HZ)


@pytest.mark.parametrize("name", ["reader2_2", "jfk"])
def test_a_whole_sentence_is_over(model: EndOfTurn, name: str) -> None:
    assert model.probability(said(name)) > PATIENCE["medium"].threshold


@pytest.mark.parametrize(("name", "seconds"), [("reader1_1", 1.6), ("jfk", 4.4), ("jfk", 9.3)])
def test_half_a_sentence_is_not_over(model: EndOfTurn, name: str, seconds: float) -> None:
    assert model.probability(said(name, seconds)) < PATIENCE["medium"].threshold


def test_only_the_last_seconds_are_heard(model: EndOfTurn) -> None:
    turn = said("jfk")
    last = Audio(turn.samples[-HEARD:], RATE_HZ)
    assert model.probability(turn) == model.probability(last)


def test_the_more_eager_answers_sooner() -> None:
    low, medium, high = (PATIENCE[eagerness] for eagerness in ("low", "medium", "high"))
    assert low.threshold > medium.threshold > high.threshold
    assert low.max_wait_ms > medium.max_wait_ms > high.max_wait_ms
    assert PATIENCE["auto"] == medium
    assert set(PATIENCE) == set(get_args(Eagerness))
