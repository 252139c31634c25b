"""Open questions get answers on their subject, which end by themselves and do not repeat themselves."""

from __future__ import annotations

import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.timeout(900)

QUESTIONS = {  # with words one of which an answer on the subject has
    "What is photosynthesis?": "light|sun|plant",
    "Why is the sky blue?": "scatter|light|atmosphere",
    "What is the largest ocean on Earth?": "pacific",
    "How do bees make honey?": "nectar|flower|pollen",
    "What is a black hole?": "gravit|star|space",
    "What causes earthquakes?": "plate|tectonic|crust",
    "How do vaccines work?": "immun|virus|antibod",
    "What is gravity?": "force|mass|attract",
    "Who wrote Romeo and Juliet?": "shakespeare",
    "Who was Albert Einstein?": "physic|relativ|scien",
    "What is climate change?": "temperature|warm|weather",
    "What is artificial intelligence?": "machine|computer|human",
    "Tell me about elephants.": "elephant",
    "How does a computer work?": "process|memory|data|hardware",
    "What are the benefits of exercise?": "health|mood|weight|fitness",
    "How can I sleep better at night?": "sleep|bed|relax",
    "How do I make a cup of tea?": "water|boil|leaves",
    "Tell me a short story about a dragon.": "dragon",
    "What is democracy?": "people|citizen|vote|government",
    "How do I save money?": "sav|spend|budget|money",
}
CONCURRENT = 4  # slots of the chat model
REPEATED_WORDS, MAX_REPETITIONS = 6, 2


@pytest.fixture(scope="module")
def answers(base_url: str) -> dict[str, dict[str, Any]]:
    """The choice of the completion for each question, with the sampling of the service and a seed."""

    def ask(client: httpx.Client, question: str) -> dict[str, Any]:
        messages = [{"role": "user", "content": question}]
        response = client.post("/v1/chat/completions", json={"model": "parley", "messages": messages, "seed": 1})
        assert response.status_code == 200, response.text
        choice: dict[str, Any] = response.json()["choices"][0]
        return choice

    with httpx.Client(base_url=base_url, timeout=120) as client, ThreadPoolExecutor(CONCURRENT) as executor:
        return dict(zip(QUESTIONS, executor.map(lambda question: ask(client, question), QUESTIONS), strict=True))


@pytest.mark.parametrize("question", QUESTIONS)
def test_an_answer_is_on_the_subject_of_its_question(answers: dict[str, dict[str, Any]], question: str) -> None:
    text = answers[question]["message"]["content"]
    assert re.search(QUESTIONS[question], text.lower()), text


def test_no_answer_repeats_itself(answers: dict[str, dict[str, Any]]) -> None:
    assert [text for text in map(content, answers.values()) if repetitions(text) > MAX_REPETITIONS] == []


def test_most_answers_end_before_the_limit(answers: dict[str, dict[str, Any]]) -> None:
    assert sum(choice["finish_reason"] == "stop" for choice in answers.values()) >= 0.75 * len(QUESTIONS)


def content(choice: dict[str, Any]) -> str:
    return str(choice["message"]["content"])


def repetitions(text: str) -> int:
    """Return how often a run of words occurs that occurs most often."""
    found = text.lower().split()
    runs = Counter(tuple(found[i : i + REPEATED_WORDS]) for i in range(len(found) - REPEATED_WORDS + 1))
    return max(runs.values(), default=0)
