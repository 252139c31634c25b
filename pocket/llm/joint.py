"""The language model and the vision tower as one thing to train, its losses, and its checkpoints."""

import os
import random
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pocket.llm.batches import PictureBatch, TextBatch
from pocket.llm.export import SHIPPED, read_gguf
from pocket.llm.model import Llama, LlamaConfig
from pocket.vision.export import SHIPPED as SHIPPED_TOWER
from pocket.vision.export import read_mmproj
from pocket.vision.tower import PatchProbe, VisionTower, mirrored


class Joint(nn.Module):
    """The language model with the tower; the probe only teaches."""

    def __init__(self, config: LlamaConfig, text_only: bool = False) -> None:
        super().__init__()
        self.llm = Llama(config)
        self.tower = None if text_only else VisionTower(config.width)
        self.probe = None if text_only else PatchProbe(config.width)

    def parts(self) -> dict[str, nn.Module]:
        """What there is of `llm`, `tower` and `probe`."""
        every = {"llm": self.llm, "tower": self.tower, "probe": self.probe}
        return {name: part for name, part in every.items() if part}

    def blocks(self) -> list[nn.Module]:
        """The repeated parts of both models."""
        return [*self.llm.blocks, *(self.tower.blocks if self.tower else ())]

    def text_loss(self, batch: TextBatch) -> Tensor:
        """Mean weighted cross-entropy of packed conversations."""
        hidden = self.llm.hidden(self.llm.embedding(batch.ids), batch.documents)
        return _weighted(self.llm.logits(hidden), batch.targets, batch.weight)

    def keep_tower(self) -> None:
        """Leave the tower as it is: only the language model learns from pictures."""
        self.tower.requires_grad_(False)
        self.probe = None

    def picture_logits(self, batch: PictureBatch) -> tuple[Tensor, Tensor]:
        """Logits (B, T, vocabulary) and the pictures' embeddings (B, N_TOKENS, width)."""
        seen = self.tower(batch.pixels)
        x = self.llm.embedding(batch.ids)
        places = batch.starts[:, None] + torch.arange(seen.shape[1], device=seen.device)
        x = x.scatter(1, places[..., None].expand_as(seen), seen.to(x.dtype))
        return self.llm.logits(self.llm.hidden(x)), seen

    def picture_loss(self, batch: PictureBatch) -> tuple[Tensor, Tensor]:
        """Mean weighted cross-entropy of what is said about pictures, and the probe's loss (0 without one)."""
        logits, seen = self.picture_logits(batch)
        said = _weighted(logits, batch.targets, batch.weight)
        return said, self.probe.loss(seen, batch.labels) if self.probe else torch.zeros_like(said)

    def probe_loss(self, batch: PictureBatch) -> Tensor:
        """The probe's loss alone, without the language model: a fraction of the cost. Pictures are mirrored at random:
        there is nothing said about them that would be wrong then."""
        pixels, labels = mirrored(batch.pixels, batch.labels, random.random() < 0.5, random.random() < 0.5)
        return self.probe.loss(self.tower(pixels), labels)


def _weighted(logits: Tensor, targets: Tensor, weight: Tensor) -> Tensor:
    losses = F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten(), reduction="none")
    weight = weight.flatten()
    return (losses * weight).sum() / weight.sum()


def save(path: Path, model: Joint) -> None:
    """Writes the weights in fp16 with their configuration, all or nothing."""
    half = {name: {k: v.half().cpu() for k, v in part.state_dict().items()} for name, part in model.parts().items()}
    towers = {"tower": model.tower.config.to_dict()} if model.tower else {}
    whole = {**half, "config": {"llm": model.llm.config.to_dict(), **towers}}
    partial = path.with_suffix(".part")
    torch.save(whole, partial)
    os.replace(partial, path)


def load(path: Path, model: Joint) -> None:
    """Takes up the weights of a checkpoint."""
    kept = torch.load(path, map_location="cpu", weights_only=True)
    for name, part in model.parts().items():
        if name in kept:
            part.load_state_dict(kept[name])


def load_shipped(model: Joint) -> None:
    """Takes up the weights of the bundled files. They have no probe: one that comes fresh would spoil the tower."""
    model.llm.load_state_dict(read_gguf(SHIPPED, model.llm.config))
    if model.tower:
        model.tower.load_state_dict(read_mmproj(SHIPPED_TOWER, model.tower.state_dict()))
