"""Evaluate the bundled model in llama-cpp-python on held-out questions. Print one JSON line.

`python -m pocket.llm.evaluate` requires no GPU. All questions, also of earlier exchanges, have held-out phrasings.
Decoding is greedy. `--wrong` prints wrong answers.
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

from pocket.llm.dialogues import Message, labelled_dialogue
from pocket.llm.export import BUNDLED
from pocket.llm.skills import SKILLS
from pocket.llm.tables import names
from pocket.llm.tokenizer import CONTROL, render

COUNTS = {
    "capital": 60, "arithmetic": 60, "calendar": 60, "spelling": 50, "echo": 45, "recall": 50, "counting": 35,
    "opposite": 35,
    "colour": 30, "sound": 30, "tale": 30, "anything_else": 45, "who_are_you": 35, "tell": 25,
}  # fmt: skip
DEFAULT_COUNT = 12
"""Questions of an ability that is not in COUNTS."""

_IGNORED_WORDS = frozenset(
    names(
        "the a an is are of it its your you i am that will be and has have says say my to in comes me for what "
        "would word "
        "spelled not yet okay backwards"
    )
)
_COURTESY_WORDS = {
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
    """A conversation up to a question, its expected answer, and the ability that it tests."""

    messages: list[Message]
    expected: str
    ability: str

    @property
    def one_word(self) -> bool:
        """Return whether the expected answer is one word, as the system prompt requires."""
        return " " not in self.expected.strip()


def questions(seed: int = 2026) -> list[Question]:
    """Return the held-out questions, which depend on the seed only."""
    rng = random.Random(f"evaluation {seed}")
    result = []
    for ability in SKILLS:
        for _ in range(COUNTS.get(ability, DEFAULT_COUNT)):
            messages, label = labelled_dialogue(rng, held_out=True, ability=ability)
            result.append(Question(messages[:-1], messages[-1]["content"], label))
    return result


def is_correct(question: Question, answer: str) -> bool:
    """Return whether the facts of the answer are right; its other words may differ."""
    answer_words = words(answer)
    if question.one_word and len(answer.split()) > 1:
        return False
    if question.ability in _COURTESY_WORDS and not question.one_word:
        return any(word in answer_words for word in _COURTESY_WORDS[question.ability])
    if question.ability in _REFUSALS and question.expected.startswith("Sorry"):
        return _refuses(question, answer)
    if question.ability == "tale" and not question.one_word:
        return _is_story(question.expected, answer)
    compared_parts = _COMPARED_PARTS.get(question.ability, facts)
    return compared_parts(answer) == compared_parts(question.expected)


def words(text: str) -> list[str]:
    """Return the words and numbers of a text in lower case."""
    return re.findall(r"[\w'-]+", text.lower())


def facts(text: str) -> list[str]:
    """Return the words that express facts, in order."""
    return [word for word in words(text) if word not in _IGNORED_WORDS]


def characters(text: str) -> list[str]:
    """Return the characters of a spelled word, in order, or joined by hyphens."""
    return [word for word in words(text) if len(word) == 1 or word[1] == "-"]


_COMPARED_PARTS = {"spelling": characters, "echo": words, "say_again": words}


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
    """Return the animal of a story of `stories.py`, which is in its first sentence."""
    opening = re.search(r"\ban? [\w'-]+ ([\w'-]+) (?:who lived|lived|had) ", story, re.IGNORECASE)
    if not opening:
        raise ValueError(f"not a story of stories.py: {story!r}")
    return opening[1].lower()


def generate_answer(model: llama_cpp.Llama, messages: list[Message]) -> str:
    """Return the greedy answer with the chat template of the file."""
    options = {"max_tokens": 256, "temperature": 0.0, "repeat_penalty": 1.0}
    if any(token in message["content"] for message in messages for token in CONTROL):
        # Rendered as one string, a marker in user text would become a control token.
        return model.create_completion(render(messages, answer=True), **options)["choices"][0]["text"]
    return model.create_chat_completion(messages, **options)["choices"][0]["message"]["content"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, nargs="?", default=BUNDLED)
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--ability", action="append", choices=SKILLS, help="evaluate only this ability; repeatable")
    parser.add_argument("--wrong", action="store_true", help="print wrong answers to standard error")
    args = parser.parse_args()
    model = llama_cpp.Llama(str(args.file), n_ctx=2048, n_threads=args.threads, verbose=False)
    counts, right = Counter(), Counter()
    for question in questions(args.seed):
        if args.ability and question.ability not in args.ability:
            continue
        answer = generate_answer(model, question.messages)
        correct = is_correct(question, answer)
        counts[question.ability] += 1
        right[question.ability] += correct
        if args.wrong and not correct:
            context = question.messages[-3:]
            print(f"{question.ability}: {context}\n   {answer!r}\n   {question.expected!r}", file=sys.stderr)
    print(
        json.dumps(
            {
                "evaluation": "pocket-llm",
                "prompts": counts.total(),
                "right_percent": round(100 * right.total() / counts.total(), 2),
                "by_ability": {name: f"{right[name]}/{counts[name]}" for name in counts},
            }
        )
    )


if __name__ == "__main__":
    main()
