import itertools

import pytest

from pocket.tts import model, text

needs_dictionary = pytest.mark.skipif(not text.DICTIONARY.exists(), reason="needs Debian's wamerican")


@needs_dictionary
def test_sentences_are_reproducible_varied_and_short() -> None:
    first = list(itertools.islice(text.sentences(5), 3000))
    assert first == list(itertools.islice(text.sentences(5), 3000))
    assert len(set(first)) > 2000
    assert max(map(len, first)) <= text.MAX_CHARACTERS
    assert 20 < sum(map(text.held_out, first)) < 120


@needs_dictionary
def test_sentences_include_single_words_and_numbers() -> None:
    lines = list(itertools.islice(text.sentences(5), 3000))
    assert sum(len(line.split()) == 1 for line in lines) > 100
    assert sum(any(character.isdigit() for character in line) for line in lines) > 100


@pytest.mark.parametrize(
    ("raw", "cleaned"),
    [
        ("Mr. Smith has 25 cats.", "mister smith has twenty five cats."),
        ("It costs $5 (or 3.5).", "it costs five dollars or three point five."),
        ("Dr. Ida was born in 1999!", "doctor ida was born in nineteen ninety nine!"),
        ("naïve café", "nave caf"),
    ],
)
def test_clean_expands_numbers_and_drops_unknown_characters(raw: str, cleaned: str) -> None:
    assert text.clean(raw) == cleaned


@pytest.mark.parametrize(
    "raw", ["Mr. Smith has 3.5 apples.", "a", "Hello, you! It's 9:05 pm.", "Spelled P, A, R; 21st?"]
)
def test_model_tokenizer_gives_the_symbols_of_training(raw: str) -> None:
    tokenizer = model.tokenizer()
    expected = [tokenizer.characters.char_to_id(symbol) for symbol in text.symbols(text.clean(raw))]
    assert tokenizer.text_to_ids(raw, language="en") == expected
