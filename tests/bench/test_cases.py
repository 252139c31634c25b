"""The judge of answers: by meaning, and never by another question's answer."""

from __future__ import annotations

import pytest

from bench.cases import Case, judge, key_words, questions, sights

SUM = Case("What is 20 plus 19?", key_words("39"))
TIGER = Case("Repeat after me: yellow tiger.", key_words("yellow tiger"))
ROME = Case("What is the capital of Italy?", key_words("Rome"))
CIRCLES = Case("What do you see?", key_words("two red circle"), (("red", "circle"),) * 2)
CROSSES = Case("What do you see?", key_words("three blue cross"), (("blue", "cross"),) * 3)
OTHERS = (SUM, TIGER, ROME, CIRCLES, CROSSES)


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
def test_right_in_any_wording(answer: str, case: Case) -> None:
    assert judge(answer, case, OTHERS) == "right"


@pytest.mark.parametrize(
    ("answer", "case", "verdict"),
    [
        ("Twenty plus nineteen is thirty eight.", SUM, "wrong"),
        ("Twenty plus nineteen is thirty nine.", ROME, "crossed"),
        ("I see one red circle.", CIRCLES, "wrong"),
        ("I see three blue crosses.", CIRCLES, "crossed"),
        ("The capital of Italy is Rome.", TIGER, "crossed"),
        ("A romance about a tiger.", ROME, "wrong"),
        ("", ROME, "wrong"),
    ],
)
def test_not_right(answer: str, case: Case, verdict: str) -> None:
    assert judge(answer, case, OTHERS) == verdict


@pytest.mark.parametrize("cases", [questions(1), sights(1)])
def test_a_right_answer_fits_one_question_only(cases: list[Case]) -> None:
    assert len(cases) >= 300
    for case in cases:
        asked = key_words(case.question) | case.keys  # an answer that repeats its question
        assert [other for other in cases if other.keys <= asked] == [case]


def test_the_same_seed_asks_the_same() -> None:
    assert questions(7) == questions(7) != questions(8)
