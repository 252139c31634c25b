"""What the made-up conversations promise."""

import random
import re

import pytest

from pocket.llm import facts, phrasing
from pocket.llm.elsewhere import REFUSAL, pasted
from pocket.llm.skills import SKILLS
from pocket.llm.stories import story
from pocket.llm.talk import dialogue, labelled, long_dialogue, spoken_lines, user_line
from pocket.llm.words import WORDS


def asked(messages):
    return [message["content"] for message in messages if message["role"] == "user"]


def test_a_seed_gives_the_same_conversation():
    assert dialogue(random.Random(7)) == dialogue(random.Random(7))
    assert len({str(dialogue(random.Random(seed))) for seed in range(50)}) == 50


@pytest.mark.parametrize("held_out", [False, True])
def test_roles_alternate_and_nothing_is_empty(held_out):
    for seed in range(300):
        messages = dialogue(random.Random(seed), held_out)
        if messages[0]["role"] == "system":
            messages = messages[1:]
        assert [m["role"] for m in messages] == ["user", "assistant"] * (len(messages) // 2)
        assert all(m["content"].strip() for m in messages)


@pytest.mark.parametrize("ability", SKILLS)
def test_every_ability_can_be_asked_for_held_out(ability):
    messages, shown = labelled(random.Random(3), held_out=True, ability=ability)
    assert shown == ability
    assert messages[-1]["role"] == "assistant"


def test_no_held_out_wording_is_trained_on(monkeypatch):
    drawn = {True: set(), False: set()}
    write = phrasing.Speaker._write

    def spy(self, template, before, after, *rest):
        drawn[self.held_out].add(re.sub(r"{\w}", "{}", phrasing.lowered(before + template + after)))
        return write(self, template, before, after, *rest)

    monkeypatch.setattr(phrasing.Speaker, "_write", spy)
    for seed in range(1200):
        labelled(random.Random(seed), held_out=seed % 2 == 0)
    assert min(len(wordings) for wordings in drawn.values()) > 500
    assert not drawn[True] & drawn[False]


def test_the_last_thing_told_is_remembered():
    found = 0
    for seed in range(400):
        messages, _ = labelled(random.Random(seed), ability="recall")
        answer = messages[-1]["content"]
        told = [m["content"] for m in messages[:-1] if "your favourite colour is" in m["content"]]
        if told and answer.startswith("Your favourite colour is"):
            found += 1
            last = re.findall(r"your favourite colour is (\w+)", told[-1], re.IGNORECASE)[-1]
            assert answer == f"Your favourite colour is {last}."
    assert found > 5


def test_sums_are_right():
    signs = {"plus": int.__add__, "minus": int.__sub__, "times": int.__mul__}
    values = {facts.words_of(n): n for n in range(-20, 401)}
    for seed in range(300):
        messages, _ = labelled(random.Random(seed), ability="arithmetic")
        for found in re.finditer(
            r"^([a-z-]+) (plus|minus|times) ([a-z-]+) is ([a-z -]+)\.$", messages[-1]["content"].lower()
        ):
            a, sign, b, result = found.groups()
            assert values[result] == signs[sign](values[a], values[b])


def test_numbers_in_words():
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


def test_one_word_prompts_get_one_word():
    for seed in range(600):
        messages = dialogue(random.Random(seed))
        if messages[0]["role"] == "system" and "in one word" in messages[0]["content"].lower():
            answers = [m["content"] for m in messages if m["role"] == "assistant"]
            names = (*facts.CAPITALS, *facts.CAPITALS.values(), *facts.FOODS, *facts.PLACES)
            for answer in answers:
                named = any(name.lower().removeprefix("the ") in answer.lower() for name in names if " " in name)
                assert named or len(answer.split()) <= 2, answer


def test_the_tables_are_large_enough():
    assert len(facts.CAPITALS) >= 60
    assert len(WORDS) >= 5000
    assert all(re.fullmatch(r"[a-z]{3,10}", word) for word in WORDS)
    assert "capitals" in REFUSAL


def test_long_conversations_are_long():
    assert len(pasted(random.Random(0), 500).split()) >= 500
    assert sum(len(m["content"].split()) for m in long_dialogue(random.Random(1), 600)) >= 600


def test_spoken_lines_are_plain_sentences():
    lines = spoken_lines(random.Random(0), 200) + [user_line(random.Random(seed)) for seed in range(100)]
    assert all(line[0].isupper() or not line[0].isalpha() for line in lines)
    assert sum(line[-1] in ".?!" for line in lines) == len(lines)
    assert not any(mark in line for line in lines for mark in "<>[]{}|\n")
