"""llama-cpp-python's picture handlers give the model the same ids as the training rows."""

import random
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image

from pocket.llm.batches import llava_row, picture_row
from pocket.vision.evaluate import LLM, MMPROJ, VisionModel
from pocket.vision.preprocess import N_TOKENS

CHATS = {
    "question": [{"role": "user", "content": "What do you see?"}],
    "system": [{"role": "system", "content": "You are Ada."}, {"role": "user", "content": "what is it"}],
    "follow-up": [
        {"role": "user", "content": "What is it?"},
        {"role": "assistant", "content": "It is a circle."},
        {"role": "user", "content": "and what colour is it"},
    ],
}


@pytest.fixture(scope="module", params=["mtmd", "llava15"])
def model(request: pytest.FixtureRequest) -> Iterator[tuple[str, VisionModel]]:
    model = VisionModel(LLM, MMPROJ, request.param)
    yield request.param, model
    model.close()


@pytest.mark.parametrize("chat", CHATS)
def test_handler_gives_the_ids_of_training(model: tuple[str, VisionModel], chat: str, monkeypatch: pytest.MonkeyPatch):
    name, vision_model = model
    messages = CHATS[chat]
    image_turn = next(index for index, message in enumerate(messages) if message["role"] == "user")
    evaluated: list[list[int]] = []
    evaluate_ids = vision_model.model.eval

    def spy(ids: Any) -> None:
        evaluated.append(list(ids))
        evaluate_ids(ids)

    monkeypatch.setattr(vision_model.model, "eval", spy)
    vision_model.answer(Image.new("RGB", (40, 30), "red"), messages, image_turn)
    whole = [*messages, {"role": "assistant", "content": "Red."}]
    # Training renders a follow-up message in one of two forms at random; the handler uses the first.
    make_row = picture_row if name == "mtmd" else llava_row
    rows = [make_row(whole, image_turn, random.Random(seed)) for seed in range(8)]
    training_ids = [(row.ids[:start], row.ids[start + N_TOKENS : _answer_start(row.is_answer)]) for row, start in rows]
    assert (evaluated[0], evaluated[1]) in training_ids


def _answer_start(is_answer: list[bool]) -> int:
    """Return the start of the last answer of the assistant."""
    start = len(is_answer)
    while start and is_answer[start - 1]:
        start -= 1
    return start
