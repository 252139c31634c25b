"""Properties of the generated conversations."""

import random
import re

import pytest

from pocket.llm import facts, phrasing
from pocket.llm.dialogues import dialogue, labelled_dialogue, long_dialogue, speech_lines, user_line
from pocket.llm.out_of_scope import REFUSAL, pasted
from pocket.llm.skills import SKILLS
from pocket.llm.stories import story
from pocket.llm.words import WORDS


def test_a_seed_determines_the_conversation():
    assert dialogue(random.Random(7)) == dialogue(random.Random(7))
    assert len({str(dialogue(random.Random(seed))) for seed in range(50)}) == 50


@pytest.mark.parametrize("held_out", [False, True])
def test_roles_alternate_and_no_message_is_empty(held_out):
    for seed in range(300):
        messages = dialogue(random.Random(seed), held_out)
        if messages[0]["role"] == "system":
            messages = messages[1:]
        assert [m["role"] for m in messages] == ["user", "assistant"] * (len(messages) // 2)
        assert all(m["content"].strip() for m in messages)


@pytest.mark.parametrize("ability", SKILLS)
def test_every_ability_has_held_out_phrasings(ability):
    messages, label = labelled_dialogue(random.Random(3), held_out=True, ability=ability)
    assert label == ability
    assert messages[-1]["role"] == "assistant"


def test_training_uses_no_held_out_phrasing(monkeypatch):
    phrasings = {True: set(), False: set()}
    write = phrasing.SimulatedUser._write

    def spy(self, template, before, after, *rest):
        phrasings[self.held_out].add(re.sub(r"{\w}", "{}", phrasing.lowered(before + template + after)))
        return write(self, template, before, after, *rest)

    monkeypatch.setattr(phrasing.SimulatedUser, "_write", spy)
    for seed in range(1200):
        labelled_dialogue(random.Random(seed), held_out=seed % 2 == 0)
    assert min(len(texts) for texts in phrasings.values()) > 500
    assert not phrasings[True] & phrasings[False]


def test_recall_gives_the_last_statement():
    checked = 0
    for seed in range(400):
        messages, _ = labelled_dialogue(random.Random(seed), ability="recall")
        answer = messages[-1]["content"]
        statements = [m["content"] for m in messages[:-1] if "your favourite colour is" in m["content"]]
        if statements and answer.startswith("Your favourite colour is"):
            checked += 1
            last = re.findall(r"your favourite colour is (\w+)", statements[-1], re.IGNORECASE)[-1]
            assert answer == f"Your favourite colour is {last}."
    assert checked > 5


def test_sums_are_correct():
    signs = {"plus": int.__add__, "minus": int.__sub__, "times": int.__mul__}
    values = {facts.words_of(n): n for n in range(-20, 401)}
    for seed in range(300):
        messages, _ = labelled_dialogue(random.Random(seed), ability="arithmetic")
        for checked in re.finditer(
            r"^([a-z-]+) (plus|minus|times) ([a-z-]+) is ([a-z -]+)\.$", messages[-1]["content"].lower()
        ):
            a, sign, b, result = checked.groups()
            assert values[result] == signs[sign](values[a], values[b])


def test_spells_numbers_as_words():
    assert [facts.words_of(n) for n in (0, 12, 20, 21, -5, 100, 101, 380, 1000)] == [
        "zero", "twelve", "twenty", "twenty-one", "minus five", "one hundred", "one hundred and one",
        "three hundred and eighty", "one thousand",
    ]  # fmt: skip


def test_stories_have_three_to_six_sentences_about_their_animal():
    for seed in range(200):
        text = story(random.Random(seed), "tiger")
        assert 3 <= len(re.findall(r"[.!?](?: |$)", text)) <= 6
        assert text.count("tiger") >= 2
        assert not re.search(r"\ba [aeiou]", text)


def test_one_word_prompts_get_answers_of_one_word():
    for seed in range(600):
        messages = dialogue(random.Random(seed))
        if messages[0]["role"] == "system" and "in one word" in messages[0]["content"].lower():
            answers = [m["content"] for m in messages if m["role"] == "assistant"]
            names = (*facts.CAPITALS, *facts.CAPITALS.values(), *facts.FOODS, *facts.PLACES)
            for answer in answers:
                named = any(name.lower().removeprefix("the ") in answer.lower() for name in names if " " in name)
                assert named or len(answer.split()) <= 2, answer


def test_tables_have_a_minimum_size():
    assert len(facts.CAPITALS) >= 60
    assert len(WORDS) >= 5000
    assert all(re.fullmatch(r"[a-z]{3,10}", word) for word in WORDS)
    assert "capitals" in REFUSAL


def test_long_dialogues_have_the_requested_length():
    assert len(pasted(random.Random(0), 500).split()) >= 500
    assert sum(len(m["content"].split()) for m in long_dialogue(random.Random(1), 600)) >= 600


def test_speech_lines_are_plain_sentences():
    lines = speech_lines(random.Random(0), 200) + [user_line(random.Random(seed)) for seed in range(100)]
    assert all(line[0].isupper() or not line[0].isalpha() for line in lines)
    assert sum(line[-1] in ".?!" for line in lines) == len(lines)
    assert not any(mark in line for line in lines for mark in "<>[]{}|\n")
