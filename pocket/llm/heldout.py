"""The cheap figure that a training shows: held-out answers that would come out word for word."""

import random

import torch

from pocket.llm.batches import PictureBatch, conversation_row, llava_row, picture_row, shown, stacked
from pocket.llm.joint import Joint
from pocket.llm.talk import labelled
from pocket.llm.tokenizer import PAD
from pocket.vision import scenes


class HeldOut:
    """How many held-out answers the model gets word for word: an answer that is the most likely one at each of its
    ids is the one that greedy decoding gives."""

    def __init__(self, device: torch.device, count: int, text_only: bool, seed: int = 9) -> None:
        rng = random.Random(f"held out {seed}")
        self.rows = []
        while len(self.rows) < count:
            messages, ability = labelled(rng, held_out=True)
            row = conversation_row(messages)
            if ability != "tale" and len(row.ids) < 400:
                answer = conversation_row(messages[:-1])
                self.rows.append((row.ids, len(answer.ids)))
        width = max(len(ids) for ids, _ in self.rows)
        self.ids = torch.tensor([ids + [PAD] * (width - len(ids)) for ids, _ in self.rows], device=device)
        self.pictures = None
        if not text_only:
            made = []
            for index, example in enumerate(scenes.held_out(seed, count)):
                write = llava_row if index % 4 == 0 else picture_row
                row, start = write(list(example.messages), example.image_turn, rng)
                made.append(shown(example, row, start))
            self.pictures = PictureBatch(*(tensor.to(device) for tensor in stacked(made)))

    @torch.no_grad()
    def measure(self, model: Joint) -> dict[str, float]:
        """Share of answers right, of texts and of pictures."""
        guesses = model.llm(self.ids).argmax(-1)
        right = 0
        for index, (ids, start) in enumerate(self.rows):
            # The role token stands at `start`; what follows it is the answer.
            said = slice(start + 1, len(ids))
            right += bool((guesses[index, start : len(ids) - 1] == self.ids[index, said]).all())
        figures = {"texts": right / len(self.rows)}
        if self.pictures:
            guesses = model.picture_logits(self.pictures)[0].argmax(-1)
            wrong = ((guesses != self.pictures.targets) & (self.pictures.weight == 1)).any(1)
            figures["pictures"] = 1 - wrong.float().mean().item()
        return figures
