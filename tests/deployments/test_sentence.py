"""Preparation of a sentence for a voice: in words, and within a limit of length."""

from __future__ import annotations

import pytest

from deployments.sentence import Prepared, prepare


def prepared(text: str, language: str | None = "en", max_chars: int = 240) -> list[str]:
    return list(prepare(text, language, None, max_chars).pieces)


def test_english_text_is_read_in_words() -> None:
    assert prepared("5% of $20") == ["five percent of twenty dollars"]


def test_text_of_another_language_stays() -> None:
    assert prepared("5% + 3 = 8", "de") == ["5% + 3 = 8"]


def test_says_what_the_voice_has_no_characters_for() -> None:
    assert prepare("Hello Привет", "en", frozenset("helo"), 240) == Prepared(("Hello",), "Привет")


@pytest.mark.parametrize("text", ["", " ", "\n\t", "...", "?!", "—", "😀", "\u200b", "\x00"])
def test_text_without_letters_and_digits_gives_nothing(text: str) -> None:
    assert prepared(text) == []


def test_a_sentence_within_the_limit_stays_whole() -> None:
    sentence = "Mister Smith is here, and so is his dog."
    assert prepared(f" {sentence}\n", max_chars=len(sentence)) == [sentence]


def test_a_long_sentence_is_split_at_clauses() -> None:
    assert prepared("one two three four five, " * 5, max_chars=30) == ["one two three four five,"] * 5


def test_a_long_clause_is_split_between_words() -> None:
    assert prepared("word " * 20, max_chars=20) == ["word word word word"] * 5


def test_a_long_word_is_split_anywhere() -> None:
    assert prepared("a" * 50, max_chars=20) == ["a" * 20, "a" * 20, "a" * 10]


@pytest.mark.parametrize("text", ["a" * 50, "word " * 20, "some words, then some more; and (at last) the end", ""])
def test_splitting_keeps_every_character_within_the_limit(text: str) -> None:
    pieces = prepared(text, max_chars=20)
    assert "".join(pieces).replace(" ", "") == text.replace(" ", "")
    assert all(len(piece) <= 20 for piece in pieces)


def test_the_limit_holds_for_the_words() -> None:
    pieces = prepared("1 + 2 + 3 + 4 + 5 = 15", max_chars=20)
    assert " ".join(pieces) == "one plus two plus three plus four plus five equals fifteen"
    assert all(len(piece) <= 20 for piece in pieces)


def test_for_a_slow_voice_the_first_piece_is_short_and_the_others_grow() -> None:
    text = (
        "The sky looks blue to us, because the air scatters the light of the sun, while at sunset the light travels a "
        "longer way through the air, so that mostly red is left, which is why the evening sky is red."
    )
    assert prepare(text, "en", None, 240, first_chars=20).pieces == (
        "The sky looks blue to us,",
        "because the air scatters the light of the sun,",
        "while at sunset the light travels a longer way through the air,",
        "so that mostly red is left, which is why the evening sky is red.",
    )


def test_for_a_slow_voice_a_long_clause_is_split_between_phrases() -> None:
    text = "Photosynthesis is a process that allows plants to turn the light of the sun into sugar that they can store."
    assert prepare(text, "en", None, 240, first_chars=20).pieces == (
        "Photosynthesis is a process",
        "that allows plants to turn the light",
        "of the sun into sugar that they can store.",
    )


@pytest.mark.parametrize(
    "text", ["The capital of France is Paris, I think.", "Bread and butter and jam and tea.", "Yes."]
)
def test_for_a_slow_voice_a_short_sentence_stays_whole(text: str) -> None:
    assert prepare(text, "en", None, 240, first_chars=20).pieces == (text,)


LONG = (
    "The sky looks blue to us because the air scatters the short waves of sunlight more than the long ones, so that "
    "blue light reaches our eyes from all directions.",
    "Photosynthesis is a vital biological process that allows plants to convert light energy from the sun into "
    "chemical energy stored in glucose and oxygen.",
    "Of course, to be or not to be is the question of the day, and that is that.",
)


@pytest.mark.parametrize("text", LONG)
def test_a_voice_of_0_8_of_real_time_is_silent_for_less_than_a_second_between_pieces(text: str) -> None:
    ready_s = end_s = 0.0
    for piece in prepare(text, "en", None, 240, first_chars=20).pieces:
        spoken_s = len(piece) / 15  # characters per second
        ready_s += 0.8 * spoken_s
        assert ready_s == 0.8 * spoken_s or ready_s - end_s < 1
        end_s = max(ready_s, end_s) + spoken_s
