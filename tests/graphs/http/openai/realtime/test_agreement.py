"""Which words of a growing transcript are confirmed, and how a transcript is divided into words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.messages import Segment, Word
from graphs.http.openai.realtime.agreement import Agreement, Unit, joined, units


def words(text: str) -> list[Unit]:
    return units([Segment(text, 0, 1)])


def text(found: list[Unit]) -> str:
    return "".join(unit.text for unit in found)


def confirmed(*transcripts: str) -> list[str]:
    """What each transcript confirms, in turn."""
    agreement = Agreement()
    return [text(agreement.insert(words(transcript))) for transcript in transcripts]


def test_one_transcript_confirms_nothing() -> None:
    assert confirmed("ask not what") == [""]


def test_two_transcripts_confirm_the_words_in_which_they_agree() -> None:
    assert confirmed("and so my", "and so my fellow", "and so my fellow Americans") == ["", "and so my", " fellow"]


def test_nothing_after_the_first_difference_is_confirmed() -> None:
    assert confirmed("we can hear you", "we could hear you", "we could hear you now") == ["", "we", " could hear you"]


def test_punctuation_that_changes_keeps_a_word_open() -> None:
    assert confirmed("Hello.", "Hello, my", "Hello, my dear") == ["", "", "Hello, my"]


def test_punctuation_of_a_confirmed_word_may_change_later() -> None:
    assert confirmed("Hello, my", "Hello, my dear", "hello my dear friend", "hello my dear friend Ann") == [
        "",
        "Hello, my",
        " dear",
        " friend",
    ]


def test_the_last_word_is_not_confirmed_as_it_may_be_the_beginning_of_a_longer_one() -> None:
    assert confirmed("my fellow America", "my fellow America", "my fellow Americans, ask") == ["", "my fellow", ""]


def test_nothing_is_confirmed_while_a_confirmed_word_is_heard_differently() -> None:
    assert confirmed("my fellow", "my fellow men", "buy fellow men so", "buy fellow men so", "my fellow men so on") == [
        "",
        "my fellow",
        "",
        "",
        " men so",
    ]


def test_words_that_were_cut_are_not_expected_again() -> None:
    agreement = Agreement()
    agreement.insert(words("one two three"))
    agreement.insert(words("one two three four"))
    assert text(agreement.cut(2)) == "one two"
    assert text(agreement.insert(words(" three four five"))) == " four"


@given(st.lists(st.text("ab .,", max_size=12), max_size=8))
def test_what_is_confirmed_is_never_taken_back_and_comes_from_transcripts(transcripts: list[str]) -> None:
    agreement = Agreement()
    reported = ""
    for transcript in transcripts:
        found = words(transcript)
        new = agreement.insert(found)
        reported += text(new)
        assert text(agreement.confirmed) == reported
        assert new == [] or text(found).endswith(text(found[len(agreement.confirmed) - len(new) :]))


@given(st.lists(st.text("a。é你 \n", max_size=20), max_size=4), st.text("a。 ", max_size=10))
def test_the_words_add_up_to_the_transcript(texts: list[str], before: str) -> None:
    whole = before
    for each in texts:
        whole = joined(whole, each)
    found = units([Segment(each, 0, 1) for each in texts], before)
    assert (before + text(found)).split() == whole.split()


@pytest.mark.parametrize(
    ("transcript", "expected"),
    [("ask not what", ["ask", " not", " what"]), ("你好吗", ["你", "好", "吗"]), ("お茶 tea", ["お", "茶", " tea"])],
)
def test_a_script_without_spaces_is_divided_into_characters(transcript: str, expected: list[str]) -> None:
    assert [unit.text for unit in words(transcript)] == expected


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [("", "so", "so"), ("And", " so ", "And so"), ("你好", "吗", "你好吗"), ("你好", "ok", "你好 ok")],
)
def test_texts_are_joined_as_their_script_does(before: str, after: str, expected: str) -> None:
    assert joined(before, after) == expected


def test_a_word_has_the_time_at_which_it_ends() -> None:
    first = Segment("And so,", 0, 1, (Word("And", 0.1, 0.3), Word("so,", 0.3, 0.8)))
    second = Segment("你好", 1, 2, (Word("你好", 1.0, 1.9),))
    assert [unit.end_s for unit in units([first, second], "Before")] == [0.3, 0.8, 1.9, 1.9]


def test_words_that_are_not_in_the_text_have_no_times() -> None:
    segment = Segment("And so", 0, 1, (Word("Or", 0.1, 0.3), Word("so", 0.3, 0.8)))
    assert [unit.end_s for unit in units([segment])] == [None, None]
