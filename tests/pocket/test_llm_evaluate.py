"""The evaluation compares facts, not phrases."""

import pytest

pytest.importorskip("llama_cpp")
pytest.importorskip("torch")

from pocket.llm.evaluate import Question, is_correct, questions


def question(expected, ability):
    return Question([], expected, ability)


@pytest.mark.parametrize(
    ("ability", "expected", "answer", "right"),
    [
        ("capital", "The capital of France is Paris.", "Paris is the capital of France.", False),
        ("capital", "The capital of France is Paris.", "the capital of France is Paris", True),
        ("capital", "The capital of France is Paris.", "The capital of France is Rome.", False),
        ("capital", "Paris.", "The capital of France is Paris.", False),
        ("arithmetic", "Two plus two is four.", "Two plus two is five.", False),
        ("spelling", "The word cat is spelled C, A, T.", "cat: C, A, T.", True),
        ("spelling", "The word cat is spelled C, A, T.", "The word cat is spelled C, T, A.", False),
        ("counting", "One, two, three.", "One, two, three, four.", False),
        ("recall", "Your name is Anna.", "You have not told me your name yet.", False),
        ("recall", "You have not told me your name yet.", "You have not told me your favourite food yet.", False),
        ("anything_else", "Sorry, I cannot help with that.", "Sorry, no. I can tell capitals.", True),
        ("anything_else", "Sorry, I cannot help with that.", "The capital of France is Paris.", False),
        ("thanks", "You are welcome.", "Welcome!", True),
        ("tale", "A sly fox lived here. The fox hid. The fox slept.", "A fox sat. The fox ate. The end came.", True),
        ("tale", "A sly fox lived here. The fox hid. The fox slept.", "A dog sat. The dog ate. The end came.", False),
        ("tale", "A sly fox lived here. The fox hid. The fox slept.", "A fox sat.", False),
    ],
)
def test_is_correct_compares_facts(ability, expected, answer, right):
    assert is_correct(question(expected, ability), answer) is right


def test_held_out_questions_are_reproducible_and_accept_their_own_answers():
    held_out = questions()
    assert len(held_out) >= 500
    assert held_out == questions()
    assert all(is_correct(item, item.expected) for item in held_out)
