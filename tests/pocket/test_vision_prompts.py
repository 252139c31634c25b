"""What llama-cpp-python's picture handlers feed to the model is, id by id, what the training rows hold."""

import random
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image

from pocket.llm.batches import llava_row, picture_row
from pocket.vision.evaluate import LLM, MMPROJ, Viewer
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
def viewer(request: pytest.FixtureRequest) -> Iterator[tuple[str, Viewer]]:
    viewer = Viewer(LLM, MMPROJ, request.param)
    yield request.param, viewer
    viewer.close()


@pytest.mark.parametrize("chat", CHATS)
def test_the_handler_feeds_what_was_trained(viewer: tuple[str, Viewer], chat: str, monkeypatch: pytest.MonkeyPatch):
    name, seeing = viewer
    messages = CHATS[chat]
    image_turn = next(index for index, message in enumerate(messages) if message["role"] == "user")
    fed: list[list[int]] = []
    real = seeing.model.eval

    def spy(ids: Any) -> None:
        fed.append(list(ids))
        real(ids)

    monkeypatch.setattr(seeing.model, "eval", spy)
    seeing.answer(Image.new("RGB", (40, 30), "red"), messages, image_turn)
    whole = [*messages, {"role": "assistant", "content": "Red."}]
    # A follow-up of plain text is written in one of two ways in training; the handler has the first.
    write = picture_row if name == "mtmd" else llava_row
    rows = [write(whole, image_turn, random.Random(seed)) for seed in range(8)]
    trained = [(row.ids[:start], row.ids[start + N_TOKENS : _answer_start(row.said)]) for row, start in rows]
    assert (fed[0], fed[1]) in trained


def _answer_start(said: list[bool]) -> int:
    """Where the last run of ids that the assistant says begins."""
    start = len(said)
    while start and said[start - 1]:
        start -= 1
    return start
