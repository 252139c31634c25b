"""How far ahead audio is sent, and how much of it has been played."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphs.http.openai.realtime.pacing import Pacing


def test_audio_is_sent_at_once_up_to_the_limit() -> None:
    pacing = Pacing(max_ahead_s=2)
    for _ in range(20):
        assert pacing.delay_s(now_s=10) == 0
        pacing.sent(100, now_s=10)
    assert pacing.delay_s(now_s=10) == 0
    pacing.sent(100, now_s=10)
    assert pacing.delay_s(now_s=10) == pytest.approx(0.1)


def test_a_piece_may_be_sent_when_as_much_has_been_played() -> None:
    pacing = Pacing(max_ahead_s=1)
    pacing.sent(1500, now_s=0)
    assert pacing.delay_s(now_s=0) == pytest.approx(0.5)
    assert pacing.delay_s(now_s=0.5) == 0


def test_audio_that_comes_late_is_played_from_its_arrival_on() -> None:
    pacing = Pacing(max_ahead_s=2)
    pacing.sent(1000, now_s=0)
    pacing.sent(1000, now_s=3)
    assert pacing.is_playing(now_s=3.9)
    assert not pacing.is_playing(now_s=4.1)


def test_the_next_response_is_played_after_what_is_left_of_the_one_before() -> None:
    pacing = Pacing(max_ahead_s=2)
    pacing.sent(1000, now_s=0)
    pacing.sent(1000, now_s=0.5)
    assert pacing.is_playing(now_s=1.9)
    assert not pacing.is_playing(now_s=2.1)


def test_an_interruption_drops_what_was_not_played() -> None:
    pacing = Pacing(max_ahead_s=2)
    pacing.sent(2000, now_s=0)
    pacing.flush(now_s=0.7)
    assert not pacing.is_playing(now_s=0.7)
    assert pacing.delay_s(now_s=0.7) == 0


def test_nothing_is_playing_before_anything_was_sent() -> None:
    assert not Pacing(max_ahead_s=2).is_playing(now_s=0)


@given(st.lists(st.tuples(st.sampled_from(["send", "wait", "flush"]), st.floats(0.001, 0.5)), max_size=60))
def test_the_lead_stays_within_the_limit(steps: list[tuple[str, float]]) -> None:
    pacing = Pacing(max_ahead_s=1)
    now_s = 0.0
    for step, seconds in steps:
        if step == "send" and pacing.delay_s(now_s) == 0:
            pacing.sent(seconds * 1000, now_s)
        elif step == "wait":
            now_s += seconds
        elif step == "flush":
            pacing.flush(now_s)
        assert pacing.delay_s(now_s) <= 0.5 + 1e-6  # one piece beyond the limit
