"""Batches for the joint training: rows of packed conversations, and rows of one picture with its conversation.

Each worker draws from its own seed for ever. Targets are the next ids; `weight` is 1 where the next id is the
assistant's own and a little elsewhere.
"""

import random
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from pocket.llm.conversation import Talk
from pocket.llm.persona import Persona
from pocket.llm.phrasing import Speaker
from pocket.llm.skills import SKILLS
from pocket.llm.talk import Message, dialogue, labelled, long_dialogue
from pocket.llm.tokenizer import BOS, END, PAD, ROLES, encode
from pocket.vision import scenes
from pocket.vision.preprocess import N_TOKENS, patch_labels, preprocess

LLAVA_SYSTEM = (
    "A chat between a curious human and an artificial intelligence assistant. The assistant gives helpful, detailed, "
    "and polite answers to the human's questions."
)
"""What llama-cpp-python's LLaVA 1.5 handler writes where there is no system message."""

PICTURE_LENGTHS = (160, 288)
"""Ids in a row of a picture batch: most conversations fit the first."""
HARD, HARD_SHARE = ("spelling", "spelling", "echo", "say_again", "arithmetic", "okay"), 0.15
"""Abilities that are learned last, and the share of conversations that end in one of them on purpose."""

OTHER_WEIGHT = 0.03
"""Weight of what the assistant does not say itself."""


class TextBatch(NamedTuple):
    """`ids`, `targets`, `documents` int64 (B, T) and `weight` float32 (B, T)."""

    ids: Tensor
    targets: Tensor
    weight: Tensor
    documents: Tensor


class PictureBatch(NamedTuple):
    """As TextBatch, with pixels uint8 (B, SIZE, SIZE, 3), where in the row the picture starts (B,) and patch labels."""

    ids: Tensor
    targets: Tensor
    weight: Tensor
    pixels: Tensor
    starts: Tensor
    labels: Tensor


class Row(NamedTuple):
    """Ids of one conversation, and which of them the assistant says."""

    ids: list[int]
    said: list[bool]


def conversation_row(messages: list[Message]) -> Row:
    """The ids of a conversation in the chat template; the assistant says its answers and their ends."""
    ids, said = [BOS], [False]
    for message in messages:
        content = encode(message["content"])
        ids += [ROLES[message["role"]], *content, END]
        said += [False] + [message["role"] == "assistant"] * (len(content) + 1)
    return Row(ids, said)


def packed(rng: random.Random, length: int, rows: int) -> TextBatch:
    """`rows` rows of `length` ids, filled with whole conversations; the last one of a row is cut."""
    ids = np.full((rows, length + 1), PAD, np.int64)
    said = np.zeros((rows, length + 1), bool)
    documents = np.zeros((rows, length + 1), np.int64)
    for row in range(rows):
        filled = number = 0
        while filled < length + 1:
            number += 1
            made = conversation_row(_conversation(rng, length))
            size = min(len(made.ids), length + 1 - filled)
            ids[row, filled : filled + size] = made.ids[:size]
            said[row, filled : filled + size] = made.said[:size]
            documents[row, filled : filled + size] = number
            filled += size
    same = documents[:, 1:] == documents[:, :-1]
    weight = np.where(said[:, 1:], 1.0, OTHER_WEIGHT) * same
    arrays = ids[:, :-1], ids[:, 1:], weight.astype(np.float32), documents[:, :-1]
    return TextBatch(*(torch.from_numpy(np.ascontiguousarray(array)) for array in arrays))


def _conversation(rng: random.Random, length: int) -> list[Message]:
    if length > 1024 and rng.random() < 0.6:
        return long_dialogue(rng, rng.randrange(100, 1100))
    if rng.random() < HARD_SHARE:
        return labelled(rng, ability=rng.choice(HARD))[0]
    return dialogue(rng)


# ---- pictures ----


def picture_row(messages: list[Message], picture_turn: int, _rng: random.Random | None = None) -> tuple[Row, int]:
    """A conversation in the chat template with N_TOKENS places for the picture at the start of its message, and where
    they start."""
    ids, said, start = [BOS], [False], 0
    for index, message in enumerate(messages):
        ids.append(ROLES[message["role"]])
        said.append(False)
        if index == picture_turn:
            start = len(ids)
            ids += [PAD] * N_TOKENS
            said += [False] * N_TOKENS
        content = [*encode(message["content"]), END]
        ids += content
        said += [message["role"] == "assistant"] * len(content)
    return Row(ids, said), start


def llava_row(messages: list[Message], picture_turn: int, rng: random.Random) -> tuple[Row, int]:
    """The same as llama-cpp-python's LLaVA 1.5 handler writes it (its Jinja settings eat the newlines of its format);
    the assistant says only its last answer."""
    messages = list(messages)
    if messages[0]["role"] != "system":
        messages, picture_turn = [{"role": "system", "content": LLAVA_SYSTEM}, *messages], picture_turn + 1
    before, after = "", ""
    plain_strings = rng.random() < 0.5
    for index, message in enumerate(messages[:-1]):
        text = message["content"]
        if message["role"] == "assistant":
            text = f"ASSISTANT: {text}"
        elif message["role"] == "user":
            # The handler writes a message of plain text a second time, as a list without parts.
            text = f"USER: {text}" + ("USER: " if plain_strings and index != picture_turn else "")
        if index < picture_turn:
            before += text
        elif index == picture_turn:
            before, after = before + "USER: ", message["content"]
        else:
            after += text
    head, tail = [BOS, *encode(before)], encode(after + "ASSISTANT: ")
    answer = [*encode(messages[-1]["content"]), END]
    ids = head + [PAD] * N_TOKENS + tail + answer
    return Row(ids, [False] * (len(ids) - len(answer)) + [True] * len(answer)), len(head)


def _example(rng: random.Random) -> tuple[scenes.Example, list[Message], int]:
    example = scenes.sample(rng)
    messages, turn = list(example.messages), example.image_turn
    if messages[0]["role"] == "system":
        return example, messages, turn
    if rng.random() < 0.08:
        messages, turn = [*_text_turn(rng), *messages], turn + 2
    if rng.random() < 0.08:
        messages += _text_turn(rng)
    return example, messages, turn


_BESIDE_PICTURES = ("capital", "arithmetic", "opposite", "calendar", "greeting", "thanks", "echo", "counting", "tell")


def _text_turn(rng: random.Random) -> list[Message]:
    asked, answer = SKILLS[rng.choice(_BESIDE_PICTURES)][0](Talk(Speaker(rng), Persona(None)))
    return [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]


class Shown(NamedTuple):
    """One row of a picture batch: the row, where the picture starts in it, its pixels and its patch labels."""

    row: Row
    start: int
    pixels: np.ndarray
    labels: np.ndarray


def shown(example: scenes.Example, row: Row, start: int) -> Shown:
    """A picture made ready for the tower, with the conversation about it."""
    return Shown(row, start, preprocess(example.image), patch_labels(example.image.size, example.things))


def picture_batches(rng: random.Random, rows: int) -> Iterator[PictureBatch]:
    """For ever batches of `rows` pictures, each with a conversation in one of the two formats. Short conversations and
    long ones go into batches of their own, so that little is padded."""
    filling: dict[int, list[Shown]] = {length: [] for length in PICTURE_LENGTHS}
    while True:
        example, messages, turn = _example(rng)
        row, start = (llava_row if rng.random() < 0.3 else picture_row)(messages, turn, rng)
        fitting = [length for length in PICTURE_LENGTHS if len(row.ids) <= length + 1]
        if not fitting:
            continue
        batch = filling[fitting[0]]
        batch.append(shown(example, row, start))
        if len(batch) == rows:
            yield stacked(batch, fitting[0])
            batch.clear()


def stacked(made: list[Shown], length: int = PICTURE_LENGTHS[-1]) -> PictureBatch:
    """Rows of pictures as one batch of `length` ids."""
    ids = np.full((len(made), length + 1), PAD, np.int64)
    weight = np.zeros((len(made), length + 1), np.float32)
    for index, one in enumerate(made):
        size = len(one.row.ids)
        ids[index, :size] = one.row.ids
        weight[index, :size] = np.where(one.row.said, 1.0, OTHER_WEIGHT)
        weight[index, one.start : one.start + N_TOKENS] = 0.0
    arrays = ids[:, :-1], ids[:, 1:], weight[:, 1:], np.stack([one.pixels for one in made])
    ids_, targets, weights, pixels = (torch.from_numpy(np.ascontiguousarray(array)) for array in arrays)
    starts = torch.tensor([one.start for one in made])
    return PictureBatch(
        ids_, targets, weights, pixels, starts, torch.from_numpy(np.stack([one.labels for one in made]))
    )


# ---- endless streams ----


class Stream(IterableDataset):
    """Endless batches, another seed in each worker."""

    def __init__(self, kind: str, rows: int, seed: int, long_every: int = 8) -> None:
        super().__init__()
        self.kind, self.rows, self.seed, self.long_every = kind, rows, seed, long_every

    def __iter__(self) -> Iterator[TextBatch | PictureBatch]:
        info = get_worker_info()
        rng = random.Random(f"{self.kind} {self.seed} {info.id if info else 0}")
        torch.set_num_threads(1)
        if self.kind == "pictures":
            yield from picture_batches(rng, self.rows)
        count = 0
        while True:
            count += 1
            if count % self.long_every:
                yield packed(rng, 512, self.rows)
            else:
                yield packed(rng, 2048, max(1, self.rows // 4))


def loader(stream: Stream, workers: int) -> DataLoader:
    """The stream, made by `workers` processes."""
    return DataLoader(
        stream,
        batch_size=None,
        num_workers=workers,
        prefetch_factor=4,
        multiprocessing_context="fork",
    )
