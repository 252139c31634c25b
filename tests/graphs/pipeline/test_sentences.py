"""The splitting of text into sentences: examples, and properties that hold for any text and any deltas."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphs.pipeline.sentences import Sentences

LIMIT = 80

# Text as a language model writes it, without the marks that are dropped on purpose.
words = st.text("abcXYZ019é", min_size=1, max_size=12)
marks = st.sampled_from(["", "", "", ".", "!", "?", ",", "...", '."', ")", ";", ":"])
spaces = st.sampled_from([" ", " ", " ", "\n", "  ", "\n\n"])
texts = st.lists(st.tuples(words, marks, spaces), max_size=60).map(lambda ts: "".join(w + m + g for w, m, g in ts))


def split(text: str, **bounds: int) -> list[str]:
    splitter = Sentences(**bounds)
    return splitter.feed(text) + splitter.finish()


def words_of(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text)


@given(texts)
def test_keeps_every_word_in_order(text: str) -> None:
    assert words_of(" ".join(split(text, limit=LIMIT))) == words_of(text)


@settings(max_examples=50)
@given(st.text(), st.data())
def test_the_division_into_deltas_makes_no_difference(text: str, data: st.DataObject) -> None:
    splitter, pieces, rest = Sentences(limit=LIMIT), [], text
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        pieces += splitter.feed(rest[:size])
        rest = rest[size:]
    assert pieces + splitter.finish() == split(text, limit=LIMIT)


@given(st.text())
def test_sentences_are_within_the_limit_speakable_and_stripped(text: str) -> None:
    for sentence in split(text, limit=LIMIT):
        assert 0 < len(sentence) <= LIMIT
        assert sentence == sentence.strip()
        assert any(character.isalnum() or unicodedata.category(character)[0] in "SP" for character in sentence)


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Hello there. How are you? Fine!", ["Hello there.", "How are you?", "Fine!"]),
        ("Mr. Smith met Dr. Jones at 5 p.m. Then they left.", ["Mr. Smith met Dr. Jones at 5 p.m.", "Then they left."]),
        ("It is 5 p.m. in Rome.", ["It is 5 p.m. in Rome."]),
        ("Birds, e.g. Parrots, i.e. talkers.", ["Birds, e.g. Parrots, i.e. talkers."]),
        ("The U.S. Army, and J. Smith.", ["The U.S. Army, and J. Smith."]),
        ("It costs 3.5 dollars. I have 3. You have 4.", ["It costs 3.5 dollars.", "I have 3.", "You have 4."]),
        ("See No. 5 now. No. I will not.", ["See No. 5 now.", "No.", "I will not."]),
        ("Well... maybe. Wait... What?", ["Well... maybe.", "Wait...", "What?"]),
        (
            '"Really?" she asked. "Stop." Then (he left.) So.',
            ['"Really?" she asked.', '"Stop."', "Then (he left.)", "So."],
        ),
        ("Paris is spelled P, A, R, I, S. What else?", ["Paris is spelled P, A, R, I, S.", "What else?"]),
        ("So am I. You too.", ["So am I.", "You too."]),
        ("yes. it is all small. really", ["yes.", "it is all small.", "really"]),
        ("Title\nFirst line\n\nSecond", ["Title", "First line", "Second"]),
        ("1. Go home. 2. Sleep.", ["1. Go home.", "2. Sleep."]),
        ("你好。今天天气很好！是吗？", ["你好。", "今天天气很好！", "是吗？"]),
    ],
)
def test_splits_text_into_sentences(text: str, sentences: list[str]) -> None:
    assert split(text) == sentences


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("We met on Jan. 5 in St. Louis. Then we left.", ["We met on Jan. 5 in St. Louis.", "Then we left."]),
        ("He lives on Baker St. She does too.", ["He lives on Baker St.", "She does too."]),
        ("Ask Dr. Lee. It is on Elm Dr. Go left.", ["Ask Dr. Lee.", "It is on Elm Dr.", "Go left."]),
        ("She has a Ph.D. in physics.", ["She has a Ph.D. in physics."]),
        ("See pp. 5 and 6, vol. 2, approx. 3. Yes.", ["See pp. 5 and 6, vol. 2, approx. 3.", "Yes."]),
        ("See [the docs. Really](https://a.b/c) now.", ["See the docs. Really now."]),
        (
            "It is 6 ft. 2 in. tall. It is 10 ft. Add 1 tsp. salt.",
            ["It is 6 ft. 2 in. tall.", "It is 10 ft.", "Add 1 tsp. salt."],
        ),
        ("It has 500 sq. ft. of space. Come in. We do.", ["It has 500 sq. ft. of space.", "Come in.", "We do."]),
        ("In Ch. 3, Apt. 5, Sec. 4. Yes.", ["In Ch. 3, Apt. 5, Sec. 4.", "Yes."]),
        ("Lee et al. (2020) and Smith, J. (2021) agree.", ["Lee et al. (2020) and Smith, J. (2021) agree."]),
        ("At 123 St. James St. She left.", ["At 123 St. James St.", "She left."]),
        ("Ask the Rev. Dr. King. He knows.", ["Ask the Rev. Dr. King.", "He knows."]),
        ("So 5! = 120. Great! Yes.", ["So 5! = 120.", "Great!", "Yes."]),
    ],
)
def test_abbreviations_and_links_do_not_end_a_sentence(text: str, sentences: list[str]) -> None:
    assert split(text) == sentences


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("## A title\n- one. Two\n- **three**\n> four", ["A title", "one.", "Two", "three", "four"]),
        ("Before\n```python\nprint('a. B')\n\nx = 1\n```\nAfter.", ["Before", "After."]),
        ("~~~\ncode\n~~~\nAfter.", ["After."]),
        ("```\ncode that never ends. Or", []),
        ("Use ```x``` here. Yes.", ["Use x here.", "Yes."]),
        ("| Name | Age |\n|---|--:|\n| Dr. A. Bo | 5. |\nEnd.", ["Name, Age", "Dr. A. Bo, 5.", "End."]),
        ("Title\n=====\nText\n\n---\nMore", ["Title", "Text", "More"]),
        ("5 > 3. > 2", ["5 > 3.", "> 2"]),
        ("&amp; &lt;", ["& <"]),
        ("😀 ... !!! ---", []),
        ("### 1. Heading\n**2. Bold**\n- 3. item", ["1. Heading", "2. Bold", "3. item"]),
    ],
)
def test_markdown_is_read_line_by_line(text: str, sentences: list[str]) -> None:
    assert split(text) == sentences


def test_code_of_any_length_is_left_out_in_bounded_memory() -> None:
    splitter = Sentences(limit=LIMIT)
    assert splitter.feed("```\n" + "word. " * 1000) == []
    assert len(splitter._buffer) <= LIMIT
    assert splitter.feed("\n```\nAfter.\n") == ["After."]


def test_returns_a_sentence_with_the_first_character_of_the_next() -> None:
    splitter = Sentences()
    assert splitter.feed("Hello there. ") == []
    assert splitter.feed("H") == ["Hello there."]


def test_splits_only_the_first_sentence_at_a_comma() -> None:
    long = "Once upon a time there lived an old fox in a small village, who sang, "
    assert split(long + "loudly. " + long + "loudly.", first_clause=50)[:2] == [
        "Once upon a time there lived an old fox in a small village,",
        "who sang, loudly.",
    ]
    assert len(split(long + "loudly. " + long + "loudly.", first_clause=50)) == 3


def test_does_not_split_a_spelled_word() -> None:
    spelled = ", ".join("ABCDEFGHIJKLMNOPQRSTUVWXYZ") + "."
    assert split(spelled, first_clause=20) == [spelled]


def test_splits_a_sentence_above_the_limit_after_a_clause_else_at_a_space() -> None:
    clauses = "one two three four five six, " * 10
    assert all(piece.endswith(",") for piece in split(clauses, limit=LIMIT, first_clause=LIMIT))
    assert all(piece.endswith("word") for piece in split("word " * 100, limit=LIMIT))


ADDRESS = "https://example.com/" + "b/" * 400


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        (f"See [the docs]({ADDRESS}) for more. Yes.", ["See the docs for more.", "Yes."]),
        (f"See {ADDRESS} for more. Yes.", [f"See {ADDRESS} for more.", "Yes."]),
        ("word " * 14 + f"[a, b and c]({ADDRESS}) end.", ["word " * 13 + "word", "a, b and c end."]),
    ],
)
def test_an_address_is_not_cut_and_does_not_count(text: str, sentences: list[str]) -> None:
    assert split(text, limit=LIMIT) == sentences


def test_an_address_that_never_ends_is_held_in_bounded_memory() -> None:
    splitter = Sentences()
    splitter.feed("https://" + "a" * 10_000)
    assert len(splitter._buffer) <= 2000
