"""Batches for the joint training: rows of packed conversations, and rows of one picture with its conversation.

Each worker generates them without end from its own seed. Targets are the next ids; `weight` is 1 where the target is
part of an answer of the assistant and OTHER_WEIGHT elsewhere.
"""

import random
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from pocket.llm.conversation import Conversation
from pocket.llm.dialogues import Message, dialogue, labelled_dialogue, long_dialogue
from pocket.llm.persona import Persona
from pocket.llm.phrasing import SimulatedUser
from pocket.llm.skills import SKILLS
from pocket.llm.tokenizer import BOS, END, PAD, ROLES, encode
from pocket.vision import scenes
from pocket.vision.preprocess import N_TOKENS, patch_labels, preprocess

LLAVA_SYSTEM = (
    "A chat between a curious human and an artificial intelligence assistant. The assistant gives helpful, detailed, "
    "and polite answers to the human's questions."
)
"""The default system message of llama-cpp-python's LLaVA 1.5 handler."""

PICTURE_LENGTHS = (160, 288)
"""Row lengths of picture batches, in ids; most conversations fit the first."""
LATE_ABILITIES, LATE_SHARE = ("spelling", "spelling", "echo", "say_again", "arithmetic", "okay"), 0.15
"""Abilities that the model learns late, and the share of conversations that are made to end in one of them."""

OTHER_WEIGHT = 0.03
"""The weight of targets outside the answers of the assistant."""


class TextBatch(NamedTuple):
    """`ids`, `targets`, `documents` int64 (B, T) and `weight` float32 (B, T)."""

    ids: Tensor
    targets: Tensor
    weight: Tensor
    documents: Tensor


class PictureBatch(NamedTuple):
    """Like TextBatch, with pixels uint8 (B, SIZE, SIZE, 3), the position of the picture (B,) and its patch labels."""

    ids: Tensor
    targets: Tensor
    weight: Tensor
    pixels: Tensor
    starts: Tensor
    labels: Tensor


class Row(NamedTuple):
    """The ids of one conversation, and whether each belongs to an answer of the assistant."""

    ids: list[int]
    is_answer: list[bool]


def conversation_row(messages: list[Message]) -> Row:
    """Return a conversation in the chat template; answers include their end token."""
    ids, is_answer = [BOS], [False]
    for message in messages:
        content = encode(message["content"])
        ids += [ROLES[message["role"]], *content, END]
        is_answer += [False] + [message["role"] == "assistant"] * (len(content) + 1)
    return Row(ids, is_answer)


def packed_batch(rng: random.Random, length: int, rows: int) -> TextBatch:
    """Return `rows` rows of `length` ids, filled with conversations; the last of a row is cut off."""
    ids = np.full((rows, length + 1), PAD, np.int64)
    is_answer = np.zeros((rows, length + 1), bool)
    documents = np.zeros((rows, length + 1), np.int64)
    for row in range(rows):
        filled = number = 0
        while filled < length + 1:
            number += 1
            packed = conversation_row(_conversation(rng, length))
            size = min(len(packed.ids), length + 1 - filled)
            ids[row, filled : filled + size] = packed.ids[:size]
            is_answer[row, filled : filled + size] = packed.is_answer[:size]
            documents[row, filled : filled + size] = number
            filled += size
    same = documents[:, 1:] == documents[:, :-1]
    weight = np.where(is_answer[:, 1:], 1.0, OTHER_WEIGHT) * same
    arrays = ids[:, :-1], ids[:, 1:], weight.astype(np.float32), documents[:, :-1]
    return TextBatch(*(torch.from_numpy(np.ascontiguousarray(array)) for array in arrays))


def _conversation(rng: random.Random, length: int) -> list[Message]:
    if length > 1024 and rng.random() < 0.6:
        return long_dialogue(rng, rng.randrange(100, 1100))
    if rng.random() < LATE_SHARE:
        return labelled_dialogue(rng, ability=rng.choice(LATE_ABILITIES))[0]
    return dialogue(rng)


# ---- pictures ----


def picture_row(messages: list[Message], picture_turn: int, _rng: random.Random | None = None) -> tuple[Row, int]:
    """Return a conversation in the chat template and the position of its picture.

    The picture takes N_TOKENS positions at the start of its message.
    """
    ids, is_answer, start = [BOS], [False], 0
    for index, message in enumerate(messages):
        ids.append(ROLES[message["role"]])
        is_answer.append(False)
        if index == picture_turn:
            start = len(ids)
            ids += [PAD] * N_TOKENS
            is_answer += [False] * N_TOKENS
        content = [*encode(message["content"]), END]
        ids += content
        is_answer += [message["role"] == "assistant"] * len(content)
    return Row(ids, is_answer), start


def llava_row(messages: list[Message], picture_turn: int, rng: random.Random) -> tuple[Row, int]:
    """Return a conversation as llama-cpp-python's LLaVA 1.5 handler renders it, and the position of its picture.

    The handler's Jinja settings remove the newlines of its format. Only the last answer counts as an answer.
    """
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
            # The handler renders a message with a plain string a second time, as a list without parts.
            text = f"USER: {text}" + ("USER: " if plain_strings and index != picture_turn else "")
        if index < picture_turn:
            before += text
        elif index == picture_turn:
            before, after = before + "USER: ", message["content"]
        else:
            after += text
    prefix, suffix = [BOS, *encode(before)], encode(after + "ASSISTANT: ")
    answer = [*encode(messages[-1]["content"]), END]
    ids = prefix + [PAD] * N_TOKENS + suffix + answer
    return Row(ids, [False] * (len(ids) - len(answer)) + [True] * len(answer)), len(prefix)


def _example(rng: random.Random) -> tuple[scenes.Example, list[Message], int]:
    example = scenes.sample(rng)
    messages, turn = list(example.messages), example.image_turn
    if messages[0]["role"] == "system":
        return example, messages, turn
    if rng.random() < 0.08:
        messages, turn = [*_text_exchange(rng), *messages], turn + 2
    if rng.random() < 0.08:
        messages += _text_exchange(rng)
    return example, messages, turn


_TEXT_ABILITIES = ("capital", "arithmetic", "opposite", "calendar", "greeting", "thanks", "echo", "counting", "tell")


def _text_exchange(rng: random.Random) -> list[Message]:
    question, answer = SKILLS[rng.choice(_TEXT_ABILITIES)][0](Conversation(SimulatedUser(rng), Persona(None)))
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


class PictureSample(NamedTuple):
    """One row of a picture batch: the row, the position of its picture, its pixels and its patch labels."""

    row: Row
    start: int
    pixels: np.ndarray
    labels: np.ndarray


def picture_sample(example: scenes.Example, row: Row, start: int) -> PictureSample:
    """Return a row with the preprocessed picture and its labels."""
    return PictureSample(row, start, preprocess(example.image), patch_labels(example.image.size, example.things))


def picture_batches(rng: random.Random, rows: int) -> Iterator[PictureBatch]:
    """Yield batches of `rows` pictures without end, each with a conversation in one of the two formats.

    Short and long conversations are in separate batches, which reduces padding.
    """
    pending: dict[int, list[PictureSample]] = {length: [] for length in PICTURE_LENGTHS}
    while True:
        example, messages, turn = _example(rng)
        row, start = (llava_row if rng.random() < 0.3 else picture_row)(messages, turn, rng)
        fitting = [length for length in PICTURE_LENGTHS if len(row.ids) <= length + 1]
        if not fitting:
            continue
        batch = pending[fitting[0]]
        batch.append(picture_sample(example, row, start))
        if len(batch) == rows:
            yield stack(batch, fitting[0])
            batch.clear()


def stack(samples: list[PictureSample], length: int = PICTURE_LENGTHS[-1]) -> PictureBatch:
    """Return picture samples as one batch of `length` ids."""
    ids = np.full((len(samples), length + 1), PAD, np.int64)
    weight = np.zeros((len(samples), length + 1), np.float32)
    for index, sample in enumerate(samples):
        size = len(sample.row.ids)
        ids[index, :size] = sample.row.ids
        weight[index, :size] = np.where(sample.row.is_answer, 1.0, OTHER_WEIGHT)
        weight[index, sample.start : sample.start + N_TOKENS] = 0.0
    arrays = ids[:, :-1], ids[:, 1:], weight[:, 1:], np.stack([sample.pixels for sample in samples])
    ids_, targets, weights, pixels = (torch.from_numpy(np.ascontiguousarray(array)) for array in arrays)
    starts = torch.tensor([sample.start for sample in samples])
    return PictureBatch(
        ids_, targets, weights, pixels, starts, torch.from_numpy(np.stack([sample.labels for sample in samples]))
    )


# ---- streams ----


class Stream(IterableDataset):
    """Batches without end, with a different seed in each worker."""

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
                yield packed_batch(rng, 512, self.rows)
            else:
                yield packed_batch(rng, 2048, max(1, self.rows // 4))


def loader(stream: Stream, workers: int) -> DataLoader:
    """Return a loader that runs the stream in `workers` processes."""
    return DataLoader(
        stream,
        batch_size=None,
        num_workers=workers,
        prefetch_factor=4,
        multiprocessing_context="fork",
    )
