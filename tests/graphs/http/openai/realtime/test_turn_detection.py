"""When a turn begins, pauses, goes on and ends. A frame has 10 ms; ``#`` is speech, ``+`` unsure, ``.`` silence."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphs.http.openai.realtime.turn_detection import (
    SpeechPaused,
    SpeechResumed,
    SpeechStarted,
    SpeechStopped,
    TurnDetector,
    TurnEvent,
    TurnRules,
)

FRAME_MS = 10
PROBABILITY = {"#": 0.9, "+": 0.4, ".": 0.1}
RULES = TurnRules(threshold=0.5, prefix_ms=20, silence_ms=50, pause_ms=20, min_speech_ms=20, max_speech_ms=1000)


def events(frames: str, rules: TurnRules = RULES, min_speech_ms: int | None = None) -> list[TurnEvent]:
    return TurnDetector(rules, frame_ms=FRAME_MS).feed([PROBABILITY[f] for f in frames], min_speech_ms=min_speech_ms)


def test_a_turn_begins_with_enough_speech_and_ends_with_enough_silence() -> None:
    assert events("....####.....") == [
        SpeechStarted(start_ms=20, detected_ms=60),
        SpeechPaused(speech_end_ms=80, detected_ms=100),
        SpeechStopped(speech_end_ms=80, end_ms=130),
    ]


def test_silence_has_no_events() -> None:
    assert events("." * 100) == []


def test_a_turn_does_not_begin_before_the_first_sample() -> None:
    assert events(".##")[0] == SpeechStarted(start_ms=0, detected_ms=30)


def test_a_sound_shorter_than_the_minimum_is_no_turn() -> None:
    assert events("...#......#.......") == []


def test_a_gap_shorter_than_a_pause_does_not_restart_the_minimum() -> None:
    assert events("...#.#..")[0] == SpeechStarted(start_ms=10, detected_ms=60)


def test_the_minimum_may_be_longer_while_something_is_spoken() -> None:
    assert events("..####......", min_speech_ms=50) == []
    assert events("..#####.", min_speech_ms=50) == [SpeechStarted(start_ms=0, detected_ms=70)]


def test_unsure_frames_continue_speech_but_do_not_begin_it() -> None:
    assert events("++++") == []
    assert events("##++++..")[-1] == SpeechPaused(speech_end_ms=60, detected_ms=80)


def test_unsure_frames_after_silence_are_silence() -> None:
    assert events("##.++++")[-1] == SpeechStopped(speech_end_ms=20, end_ms=70)


def test_speech_after_a_pause_belongs_to_the_turn() -> None:
    assert events("####...##.....")[1:] == [
        SpeechPaused(speech_end_ms=40, detected_ms=60),
        SpeechResumed(detected_ms=80),
        SpeechPaused(speech_end_ms=90, detected_ms=110),
        SpeechStopped(speech_end_ms=90, end_ms=140),
    ]


def test_the_next_turn_does_not_overlap_the_one_before() -> None:
    started = [event for event in events("####.....###") if isinstance(event, SpeechStarted)]
    assert started[1] == SpeechStarted(start_ms=90, detected_ms=110)


def test_a_turn_may_be_ended_in_its_pause() -> None:
    detector = TurnDetector(RULES, frame_ms=FRAME_MS)
    detector.feed([0.9, 0.9, 0.9])
    assert detector.stop() == []  # in the middle of speech
    detector.feed([0.1, 0.1])
    assert detector.stop() == [SpeechStopped(speech_end_ms=30, end_ms=50)]
    assert detector.stop() == []
    assert not detector.in_speech


def test_a_turn_that_is_too_long_ends_and_the_next_one_begins() -> None:
    found = events("#" * 25, replace(RULES, max_speech_ms=100))
    assert found[:3] == [
        SpeechStarted(start_ms=0, detected_ms=20),
        SpeechStopped(speech_end_ms=100, end_ms=100),
        SpeechStarted(start_ms=100, detected_ms=120),
    ]


def test_after_a_reset_the_turn_is_forgotten() -> None:
    detector = TurnDetector(RULES, frame_ms=FRAME_MS)
    detector.feed([0.9] * 4)
    detector.reset()
    assert detector.feed([0.1] * 10) == []
    assert detector.feed([0.9] * 2) == [SpeechStarted(start_ms=120, detected_ms=160)]


def test_the_timeline_may_begin_later() -> None:
    detector = TurnDetector(RULES, frame_ms=FRAME_MS, at_ms=5000)
    assert detector.feed([0.1, 0.1, 0.1, 0.9, 0.9]) == [SpeechStarted(start_ms=5010, detected_ms=5050)]


@pytest.mark.parametrize(
    ("frames", "needed_from_ms"),
    [("", 0), ("....", 20), ("....#", 20), ("....####..", 20), ("....####" + "." * 8, 140)],
)
def test_tells_which_audio_is_still_needed(frames: str, needed_from_ms: int) -> None:
    detector = TurnDetector(RULES, frame_ms=FRAME_MS)
    detector.feed([PROBABILITY[frame] for frame in frames])
    assert detector.needed_from_ms == needed_from_ms


rules = st.builds(
    TurnRules,
    threshold=st.floats(0, 1),
    prefix_ms=st.integers(0, 100),
    silence_ms=st.integers(0, 100),
    pause_ms=st.integers(0, 100),
    min_speech_ms=st.integers(0, 100),
    max_speech_ms=st.integers(1, 500),
)
frames = st.lists(st.sampled_from([0.0, 0.1, 0.4, 0.5, 0.9, 1.0]), max_size=120)


@given(rules, frames, st.lists(st.integers(0, 120), max_size=10))
def test_how_the_frames_are_cut_into_calls_does_not_matter(
    rules: TurnRules, frames: list[float], cuts: list[int]
) -> None:
    detector = TurnDetector(rules, frame_ms=FRAME_MS)
    edges = [0, *sorted(cuts), len(frames)]
    found = [e for a, b in pairwise(edges) for e in detector.feed(frames[a:b])]
    assert found == TurnDetector(rules, frame_ms=FRAME_MS).feed(frames)


@given(rules, frames)
def test_events_alternate_and_their_times_ascend(rules: TurnRules, frames: list[float]) -> None:
    follows = {
        SpeechStarted: (SpeechPaused, SpeechStopped),
        SpeechPaused: (SpeechResumed, SpeechStopped),
        SpeechResumed: (SpeechPaused, SpeechStopped),
        SpeechStopped: (SpeechStarted,),
    }
    detector = TurnDetector(rules, frame_ms=FRAME_MS)
    last: TurnEvent | None = None
    start_ms = known_ms = end_ms = 0
    for index, frame in enumerate(frames, 1):
        needed_ms = detector.needed_from_ms
        for event in detector.feed([frame]):
            assert isinstance(event, SpeechStarted) if last is None else isinstance(event, follows[type(last)])
            detected_ms = event.end_ms if isinstance(event, SpeechStopped) else event.detected_ms
            assert known_ms <= detected_ms == index * FRAME_MS
            if isinstance(event, SpeechStarted):
                assert max(end_ms, needed_ms) <= event.start_ms < event.detected_ms
                start_ms = event.start_ms
            if isinstance(event, SpeechPaused | SpeechStopped):
                assert start_ms < event.speech_end_ms <= detected_ms
            if isinstance(event, SpeechStopped):
                end_ms = event.end_ms
            last, known_ms = event, detected_ms
        assert detector.in_speech is (last is not None and not isinstance(last, SpeechStopped))
        assert needed_ms <= detector.needed_from_ms <= index * FRAME_MS
