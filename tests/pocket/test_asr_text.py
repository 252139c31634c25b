import itertools
import random

import pytest

from pocket.asr import score, text


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "zero"),
        (13, "thirteen"),
        (40, "forty"),
        (21, "twenty one"),
        (-3, "minus three"),
        (110, "one hundred ten"),
        (2026, "two thousand twenty six"),
        (300_000, "three hundred thousand"),
        (1_000_001, "one zero zero zero zero zero one"),
    ],
)
def test_spells_numbers_as_words(number: int, words: str) -> None:
    assert text.spell_number(number) == words


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("What is 12 + 5?", "What is twelve plus five?"),
        ("21-3=18.", "twenty one minus three equals eighteen."),
        ("C-A-T", "C A T"),
        ("It’s “fine” — really!", "It's fine really!"),
    ],
)
def test_transcript_has_no_digits_and_signs(written: str, expected: str) -> None:
    assert text.transcript(written) == expected


def test_words_ignore_case_punctuation_and_number_format() -> None:
    assert text.words("I've 21 dogs!") == text.words("i've twenty-one, DOGS")


def test_training_sentences_are_not_held_out() -> None:
    rng = random.Random(1)
    assert not any(text.held_out(text.sentence(rng)) for _ in range(2_000))
    kept = list(itertools.islice(text.held_out_sentences(rng), 50))
    assert len(set(kept)) == 50
    assert all(text.held_out(sentence.lower().rstrip(".?!")) for sentence in kept)


def test_training_sentences_are_in_the_form_of_a_transcript() -> None:
    rng = random.Random(2)
    for _ in range(2_000):
        sentence = text.sentence(rng)
        assert text.transcript(sentence) == sentence
        assert text.words(sentence)


@pytest.mark.parametrize(
    ("reference", "hypothesis", "errors"),
    [("a b c", "a b c", 0), ("a b c", "a x c", 1), ("a b c", "b c d", 2), ("a b", "", 2), ("", "a", 1)],
)
def test_counts_word_errors(reference: str, hypothesis: str, errors: int) -> None:
    assert score.errors(reference.split(), hypothesis.split()) == errors


def test_accepts_british_and_american_spelling() -> None:
    assert score.word_error_rate([("My favourite colour is grey.", "my favorite color is gray")]) == 0


def test_word_error_rate_is_per_reference_word() -> None:
    assert score.word_error_rate([("One two.", "one two"), ("three four", "three")]) == 0.25
