"""The evaluation during training: the share of held-out answers that greedy decoding would reproduce exactly."""

import random

import torch

from pocket.llm.batches import PictureBatch, conversation_row, llava_row, picture_row, picture_sample, stack
from pocket.llm.dialogues import labelled_dialogue
from pocket.llm.joint import Joint
from pocket.llm.tokenizer import PAD
from pocket.vision import scenes


class HeldOut:
    """Held-out conversations and pictures.

    If each id of an answer has the highest logit given the ids before it, greedy decoding generates that answer, so
    one forward pass evaluates it.
    """

    def __init__(self, device: torch.device, count: int, text_only: bool, seed: int = 9) -> None:
        rng = random.Random(f"held out {seed}")
        self.rows = []
        while len(self.rows) < count:
            messages, ability = labelled_dialogue(rng, held_out=True)
            row = conversation_row(messages)
            if ability != "tale" and len(row.ids) < 400:
                answer = conversation_row(messages[:-1])
                self.rows.append((row.ids, len(answer.ids)))
        width = max(len(ids) for ids, _ in self.rows)
        self.ids = torch.tensor([ids + [PAD] * (width - len(ids)) for ids, _ in self.rows], device=device)
        self.pictures = None
        if not text_only:
            samples = []
            for index, example in enumerate(scenes.held_out(seed, count)):
                write = llava_row if index % 4 == 0 else picture_row
                row, start = write(list(example.messages), example.image_turn, rng)
                samples.append(picture_sample(example, row, start))
            self.pictures = PictureBatch(*(tensor.to(device) for tensor in stack(samples)))

    @torch.no_grad()
    def measure(self, model: Joint) -> dict[str, float]:
        """Return the share of exact answers for texts and for pictures."""
        predicted = model.llm(self.ids).argmax(-1)
        right = 0
        for index, (ids, start) in enumerate(self.rows):
            # The role token is at `start`; the answer follows it.
            answer = slice(start + 1, len(ids))
            right += bool((predicted[index, start : len(ids) - 1] == self.ids[index, answer]).all())
        figures = {"texts": right / len(self.rows)}
        if self.pictures:
            predicted = model.picture_logits(self.pictures)[0].argmax(-1)
            wrong = ((predicted != self.pictures.targets) & (self.pictures.weight == 1)).any(1)
            figures["pictures"] = 1 - wrong.float().mean().item()
        return figures
