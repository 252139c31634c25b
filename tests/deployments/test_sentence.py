"""Preparation of a sentence for a voice: words for symbols, and a limit of length."""

from __future__ import annotations

import pytest

from deployments.sentence import prepare


def prepared(text: str, language: str | None = "en", max_chars: int = 240) -> list[str]:
    return list(prepare(text, language, max_chars))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7 + 5 = 12", "7 plus 5 equals 12"),
        ("9-5, or 9 - 5?", "9-5, or 9 minus 5?"),
        ("3*4 and 3 × 4", "3 times 4 and 3 times 4"),
        ("8 ÷ 2", "8 divided by 2"),
        ("5% of 20°", "5 percent of 20 degrees"),
        ("€3.50, please", "3.50 euros, please"),
        ("yes/no on 3/4", "yes or no on 3/4"),
        ("a well-known *word*", "a well-known *word*"),
    ],
)
@pytest.mark.parametrize("language", ["en", "en-us"])
def test_english_symbols_become_words(text: str, expected: str, language: str) -> None:
    assert prepared(text, language) == [expected]


@pytest.mark.parametrize("language", ["de", None])
def test_symbols_of_other_languages_stay(language: str | None) -> None:
    assert prepared("5% + 3 = 8", language) == ["5% + 3 = 8"]


@pytest.mark.parametrize("text", ["", " ", "\n\t", "...", "?!", "—", "😀", "\u200b", "\x00"])
def test_text_without_letters_and_digits_gives_nothing(text: str) -> None:
    assert prepared(text) == []


def test_a_sentence_within_the_limit_stays_whole() -> None:
    sentence = "Mr. Smith is here, and so is his dog."
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


def test_the_limit_holds_after_symbols_became_words() -> None:
    pieces = prepared("1 + 2 + 3 + 4 + 5 = 15", max_chars=20)
    assert " ".join(pieces) == "1 plus 2 plus 3 plus 4 plus 5 equals 15"
    assert all(len(piece) <= 20 for piece in pieces)
