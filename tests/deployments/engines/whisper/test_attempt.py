from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.engines.whisper.attempt import LOOP, Attempt, Doubt, best, repetitions
from deployments.engines.whisper.settings import WhisperConfig

CONFIG = WhisperConfig()
GOOD = Attempt(
    audio_s=2.0,
    text="What is the capital of France?",
    tokens=(1, 2, 3),
    log_prob=-0.2,
    compression_ratio=1.1,
    no_speech_prob=0.1,
    temperature=0.0,
    finished=True,
    whole=False,
    language="en",
)
WORDS = st.lists(st.sampled_from(["yes", "no", "well", "go"]), min_size=1, max_size=4)


@pytest.mark.parametrize(
    ("text", "times"),
    [
        ("", 1),
        ("Yes.", 1),
        ("Yes, yes!", 2),
        ("Turn it on. turn it ON", 2),
        ("Yes, yes, no.", 1),
        ("Testing, testing, one. Testing, testing, one. Testing", 2),
        ("ja ja ja ja ja", 5),
        ("да, да, да", 3),
    ],
)
def test_counts_how_often_a_text_says_the_same(text: str, times: int) -> None:
    assert repetitions(text) == times


@given(WORDS, st.integers(2, 9))
def test_words_said_several_times_are_counted_at_least_so_often(words: list[str], times: int) -> None:
    assert repetitions(" ".join(words * times)) >= times


@given(WORDS)
def test_a_word_that_was_not_said_before_ends_the_repetition(words: list[str]) -> None:
    assert repetitions(" ".join([*words * 3, "other"])) == 1


@pytest.mark.parametrize(
    ("changes", "doubt"),
    [
        ({}, None),
        ({"log_prob": -1.1}, Doubt.UNCERTAIN),
        ({"log_prob": -1.1, "no_speech_prob": 0.7}, Doubt.NO_SPEECH),
        ({"no_speech_prob": 0.9}, None),
        ({"compression_ratio": 2.5}, Doubt.REPETITIVE),
        ({"text": "Yes, " * LOOP}, Doubt.REPETITIVE),
        ({"finished": False}, Doubt.UNFINISHED),
        ({"text": "Yes. Yes."}, None),
    ],
)
def test_doubts_an_attempt_for_a_reason(changes: dict[str, Any], doubt: Doubt | None) -> None:
    assert replace(GOOD, **changes).doubt(CONFIG) is doubt


def test_the_likeliest_attempt_is_the_best() -> None:
    worse = replace(GOOD, log_prob=-2.0)
    assert best([worse, GOOD, worse], CONFIG) is GOOD


def test_an_attempt_that_is_not_repetitive_is_better_than_a_likelier_loop() -> None:
    loop, unlikely = replace(GOOD, compression_ratio=9.0), replace(GOOD, log_prob=-2.0)
    assert best([loop, unlikely], CONFIG) is unlikely
    assert best([loop, replace(loop, log_prob=-2.0)], CONFIG) is loop


@pytest.mark.parametrize("impossible", [{"finished": False}, {"audio_s": 0.1}])
def test_an_attempt_that_can_have_been_said_is_better_than_one_that_cannot(impossible: dict[str, Any]) -> None:
    repeated = replace(GOOD, text="Yes, yes, yes.", compression_ratio=9.0, log_prob=-2.0)
    assert best([replace(GOOD, **impossible), repeated], CONFIG) is repeated


def test_an_attempt_with_speech_is_better_than_one_without() -> None:
    silent = replace(GOOD, log_prob=-1.1, no_speech_prob=0.9)
    improbable = replace(GOOD, log_prob=-2.0)
    assert best([silent, improbable], CONFIG) is improbable
