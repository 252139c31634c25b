"""The check of answers: by key words, and against the answers of other cases."""

from __future__ import annotations

import pytest

from bench.cases import Case, key_words, picture_questions, questions, verdict

SUM = Case("What is 20 plus 19?", key_words("39"))
TIGER = Case("Repeat after me: yellow tiger.", key_words("yellow tiger"))
ROME = Case("What is the capital of Italy?", key_words("Rome"))
CIRCLES = Case("What do you see?", key_words("two red circle"), (("red", "circle"),) * 2)
CROSSES = Case("What do you see?", key_words("three blue cross"), (("blue", "cross"),) * 3)
CASES = (SUM, TIGER, ROME, CIRCLES, CROSSES)


@pytest.mark.parametrize(
    ("answer", "case"),
    [
        ("Twenty plus nineteen is thirty nine.", SUM),
        ("thirty-nine", SUM),
        ("It is 39!", SUM),
        ("YELLOW TIGER", TIGER),
        ("The capital of Italy is Rome.", ROME),
        ("I see 2 red circles.", CIRCLES),
        ("There are three crosses, they are blue.", CROSSES),
    ],
)
def test_accepts_any_wording_with_the_key_words(answer: str, case: Case) -> None:
    assert verdict(answer, case, CASES) == "correct"


@pytest.mark.parametrize(
    ("answer", "case", "expected"),
    [
        ("Twenty plus nineteen is thirty eight.", SUM, "wrong"),
        ("Twenty plus nineteen is thirty nine.", ROME, "swapped"),
        ("I see one red circle.", CIRCLES, "wrong"),
        ("I see three blue crosses.", CIRCLES, "swapped"),
        ("The capital of Italy is Rome.", TIGER, "swapped"),
        ("A romance about a tiger.", ROME, "wrong"),
        ("", ROME, "wrong"),
    ],
)
def test_tells_swapped_from_wrong_answers(answer: str, case: Case, expected: str) -> None:
    assert verdict(answer, case, CASES) == expected


@pytest.mark.parametrize("cases", [questions(1), picture_questions(1)])
def test_a_correct_answer_is_correct_for_one_question_only(cases: list[Case]) -> None:
    assert len(cases) >= 300
    for case in cases:
        answer = key_words(case.question) | case.keys  # an answer that repeats its question
        assert [other for other in cases if other.keys <= answer] == [case]


def test_a_seed_determines_the_questions() -> None:
    assert questions(7) == questions(7) != questions(8)
