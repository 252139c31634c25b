"""Asks the shipped file held-out questions through llama-cpp-python and prints one JSON line.

`python -m pocket.llm.evaluate` needs no GPU. Every question, and every earlier turn, is worded by a combination of
template and fillers that training never draws. Answers are greedy. `--wrong` shows the wrong ones.
"""

import argparse
import json
import random
import re
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import llama_cpp

from pocket.llm.export import SHIPPED
from pocket.llm.skills import SKILLS
from pocket.llm.tables import names
from pocket.llm.talk import Message, labelled
from pocket.llm.tokenizer import CONTROL, render

COUNTS = {
    "capital": 60, "arithmetic": 60, "calendar": 60, "spelling": 50, "echo": 45, "recall": 50, "counting": 35,
    "opposite": 35,
    "colour": 30, "sound": 30, "tale": 30, "anything_else": 45, "who_are_you": 35, "tell": 25,
}  # fmt: skip
DEFAULT_COUNT = 12
"""Questions of an ability that COUNTS does not name."""

_FILLING = frozenset(
    names(
        "the a an is are of it its your you i am that will be and has have says say my to in comes me for what "
        "would word "
        "spelled not yet okay backwards"
    )
)
_COURTESY = {
    "greeting": ("hello", "hi"),
    "thanks": ("welcome",),
    "goodbye": ("goodbye", "bye"),
    "how_are_you": ("fine",),
    "okay": ("okay",),
    "abilities": ("capitals",),
}
_REFUSALS = ("anything_else", "unknown_capital", "unknown_thing", "big_sum", "too_far")


@dataclass(frozen=True)
class Question:
    """A conversation up to a question, the answer that it should have, and the ability that it asks for."""

    messages: list[Message]
    expected: str
    ability: str

    @property
    def one_word(self) -> bool:
        """Whether the system prompt wants one word."""
        return " " not in self.expected.strip()


def questions(seed: int = 2026) -> list[Question]:
    """The held-out set; always the same for a seed."""
    rng = random.Random(f"evaluation {seed}")
    made = []
    for ability in SKILLS:
        wanted = COUNTS.get(ability, DEFAULT_COUNT)
        while wanted:
            messages, shown = labelled(rng, held_out=True, ability=ability)
            made.append(Question(messages[:-1], messages[-1]["content"], shown))
            wanted -= 1
    return made


def judge(question: Question, answer: str) -> bool:
    """Whether the facts of the answer are right; the phrase around them may differ."""
    said = words(answer)
    if question.one_word and len(answer.split()) > 1:
        return False
    if question.ability in _COURTESY and not question.one_word:
        return any(word in said for word in _COURTESY[question.ability])
    if question.ability in _REFUSALS and question.expected.startswith("Sorry"):
        return _refuses(question, answer)
    if question.ability == "tale" and not question.one_word:
        return _is_story(question.expected, answer)
    bearing = _BEARING.get(question.ability, facts)
    return bearing(answer) == bearing(question.expected)


def words(text: str) -> list[str]:
    """The words and numbers of a text in lower case."""
    return re.findall(r"[\w'-]+", text.lower())


def facts(text: str) -> list[str]:
    """The words that carry the facts, in order."""
    return [word for word in words(text) if word not in _FILLING]


def letters(text: str) -> list[str]:
    """The letters of a spelled word, in order; hyphens may join them."""
    return [word for word in words(text) if len(word) == 1 or word[1] == "-"]


_BEARING = {"spelling": letters, "echo": words, "say_again": words}


def _refuses(question: Question, answer: str) -> bool:
    if question.one_word:
        return words(answer) == ["sorry"]
    declines = words(answer)[0] == "sorry"
    return declines and (question.ability != "anything_else" or "capitals" in answer)


def _is_story(expected: str, answer: str) -> bool:
    sentences = re.findall(r"[^.!?]+[.!?]", answer)
    hero = _hero(expected)
    whole = answer.strip().endswith((".", "!", "?"))
    return whole and 3 <= len(sentences) <= 6 and len(set(sentences)) == len(sentences) and hero in words(answer)


def _hero(story: str) -> str:
    """The animal of a story that `stories.py` wrote: all of them open with it."""
    opening = re.search(r"\ban? [\w'-]+ ([\w'-]+) (?:who lived|lived|had) ", story, re.IGNORECASE)
    if not opening:
        raise ValueError(f"no story of ours: {story!r}")
    return opening[1].lower()


def ask(model: llama_cpp.Llama, messages: list[Message]) -> str:
    """The greedy answer, by the file's chat template."""
    options = {"max_tokens": 256, "temperature": 0.0, "repeat_penalty": 1.0}
    if any(mark in message["content"] for message in messages for mark in CONTROL):
        # The template would turn a marker that somebody typed into a control token; a service has to keep them apart.
        return model.create_completion(render(messages, answer=True), **options)["choices"][0]["text"]
    return model.create_chat_completion(messages, **options)["choices"][0]["message"]["content"]


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, nargs="?", default=SHIPPED)
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--ability", action="append", choices=SKILLS, help="only this one; may be given again")
    parser.add_argument("--wrong", action="store_true", help="show wrong answers on stderr")
    args = parser.parse_args()
    model = llama_cpp.Llama(str(args.file), n_ctx=2048, n_threads=args.threads, verbose=False)
    asked, right = Counter(), Counter()
    for question in questions(args.seed):
        if args.ability and question.ability not in args.ability:
            continue
        answer = ask(model, question.messages)
        good = judge(question, answer)
        asked[question.ability] += 1
        right[question.ability] += good
        if args.wrong and not good:
            shown = question.messages[-3:]
            print(f"{question.ability}: {shown}\n   {answer!r}\n   {question.expected!r}", file=sys.stderr)
    print(
        json.dumps(
            {
                "evaluation": "pocket-llm",
                "prompts": asked.total(),
                "right_percent": round(100 * right.total() / asked.total(), 2),
                "by_ability": {name: f"{right[name]}/{asked[name]}" for name in asked},
            }
        )
    )


if __name__ == "__main__":
    main()
