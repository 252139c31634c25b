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


def test_knows_how_much_has_been_played() -> None:
    pacing = Pacing(max_ahead_s=2)
    pacing.begin()
    pacing.sent(1000, now_s=5)
    assert [pacing.played_ms(now_s) for now_s in (5, 5.25, 6, 9)] == [0, 250, 1000, 1000]


def test_audio_that_comes_late_is_played_from_its_arrival_on() -> None:
    pacing = Pacing(max_ahead_s=2)
    pacing.sent(1000, now_s=0)
    pacing.sent(1000, now_s=3)
    assert pacing.played_ms(now_s=3.5) == 1500
    assert pacing.is_playing(now_s=3.9)
    assert not pacing.is_playing(now_s=4.1)


def test_the_next_response_is_played_after_what_is_left_of_the_one_before() -> None:
    pacing = Pacing(max_ahead_s=2)
    pacing.sent(1000, now_s=0)
    pacing.begin()
    pacing.sent(1000, now_s=0.5)
    assert pacing.played_ms(now_s=0.9) == 0
    assert pacing.played_ms(now_s=1.4) == 400


def test_an_interruption_drops_what_was_not_played() -> None:
    pacing = Pacing(max_ahead_s=2)
    pacing.sent(2000, now_s=0)
    assert pacing.flush(now_s=0.7) == 700
    assert not pacing.is_playing(now_s=0.7)
    assert pacing.played_ms(now_s=5) == 700
    assert pacing.delay_s(now_s=0.7) == 0


def test_nothing_is_playing_before_anything_was_sent() -> None:
    pacing = Pacing(max_ahead_s=2)
    assert not pacing.is_playing(now_s=0)
    assert pacing.played_ms(now_s=0) == pacing.flush(now_s=0) == 0


@given(st.lists(st.tuples(st.sampled_from(["send", "wait", "flush", "begin"]), st.floats(0.001, 0.5)), max_size=60))
def test_played_never_decreases_or_exceeds_what_was_sent_and_the_lead_stays_within_the_limit(
    steps: list[tuple[str, float]],
) -> None:
    pacing = Pacing(max_ahead_s=1)
    now_s = sent_ms = played_ms = 0.0
    for step, seconds in steps:
        if step == "send" and pacing.delay_s(now_s) == 0:
            pacing.sent(seconds * 1000, now_s)
            sent_ms += seconds * 1000
        elif step == "wait":
            now_s += seconds
        elif step == "flush":
            sent_ms = played_ms = pacing.flush(now_s)
        elif step == "begin":
            pacing.begin()
            sent_ms = played_ms = 0
        assert played_ms - 1 <= pacing.played_ms(now_s) <= sent_ms + 1
        assert pacing.delay_s(now_s) <= 0.5 + 1e-6  # one piece beyond the limit
        played_ms = pacing.played_ms(now_s)
