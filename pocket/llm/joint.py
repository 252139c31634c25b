"""The language model and the vision tower as one trainable module: its losses and checkpoints."""

import os
import random
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pocket.llm.batches import PictureBatch, TextBatch
from pocket.llm.export import BUNDLED, read_gguf
from pocket.llm.model import Llama, LlamaConfig
from pocket.vision.export import BUNDLED as BUNDLED_TOWER
from pocket.vision.export import read_mmproj
from pocket.vision.tower import PatchProbe, VisionTower, mirrored


class Joint(nn.Module):
    """The language model, the vision tower, and a probe for training only."""

    def __init__(self, config: LlamaConfig, text_only: bool = False) -> None:
        super().__init__()
        self.llm = Llama(config)
        self.tower = None if text_only else VisionTower(config.width)
        self.probe = None if text_only else PatchProbe(config.width)

    def parts(self) -> dict[str, nn.Module]:
        """Return the existing ones of `llm`, `tower` and `probe`."""
        parts = {"llm": self.llm, "tower": self.tower, "probe": self.probe}
        return {name: part for name, part in parts.items() if part}

    def blocks(self) -> list[nn.Module]:
        """Return the transformer blocks of both models."""
        return [*self.llm.blocks, *(self.tower.blocks if self.tower else ())]

    def text_loss(self, batch: TextBatch) -> Tensor:
        """Return the weighted mean cross-entropy of packed conversations."""
        hidden = self.llm.hidden(self.llm.embedding(batch.ids), batch.documents)
        return _weighted(self.llm.logits(hidden), batch.targets, batch.weight)

    def freeze_tower(self) -> None:
        """Freeze the tower, so that only the language model learns from pictures."""
        self.tower.requires_grad_(False)
        self.probe = None

    def picture_logits(self, batch: PictureBatch) -> tuple[Tensor, Tensor]:
        """Return logits (B, T, vocabulary) and the embeddings of the pictures (B, N_TOKENS, width)."""
        embeddings = self.tower(batch.pixels)
        x = self.llm.embedding(batch.ids)
        positions = batch.starts[:, None] + torch.arange(embeddings.shape[1], device=embeddings.device)
        x = x.scatter(1, positions[..., None].expand_as(embeddings), embeddings.to(x.dtype))
        return self.llm.logits(self.llm.hidden(x)), embeddings

    def picture_loss(self, batch: PictureBatch) -> tuple[Tensor, Tensor]:
        """Return the weighted mean cross-entropy of answers about pictures, and the probe's loss (0 without one)."""
        logits, embeddings = self.picture_logits(batch)
        answer_loss = _weighted(logits, batch.targets, batch.weight)
        return answer_loss, self.probe.loss(embeddings, batch.labels) if self.probe else torch.zeros_like(answer_loss)

    def probe_loss(self, batch: PictureBatch) -> Tensor:
        """Return the probe's loss without the cost of the language model.

        Pictures are mirrored at random, which would make answers wrong, but not the labels of the probe.
        """
        pixels, labels = mirrored(batch.pixels, batch.labels, random.random() < 0.5, random.random() < 0.5)
        return self.probe.loss(self.tower(pixels), labels)


def _weighted(logits: Tensor, targets: Tensor, weight: Tensor) -> Tensor:
    losses = F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten(), reduction="none")
    weight = weight.flatten()
    return (losses * weight).sum() / weight.sum()


def save(path: Path, model: Joint) -> None:
    """Write the weights in float16 and their configuration atomically."""
    half = {name: {k: v.half().cpu() for k, v in part.state_dict().items()} for name, part in model.parts().items()}
    towers = {"tower": model.tower.config.to_dict()} if model.tower else {}
    whole = {**half, "config": {"llm": model.llm.config.to_dict(), **towers}}
    partial = path.with_suffix(".part")
    torch.save(whole, partial)
    os.replace(partial, path)


def load(path: Path, model: Joint) -> None:
    """Load the weights of a checkpoint."""
    checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    for name, part in model.parts().items():
        if name in checkpoint:
            part.load_state_dict(checkpoint[name])


def load_bundled(model: Joint) -> None:
    """Load the weights of the bundled files.

    They contain no probe, and a probe with random weights would damage the tower, so freeze the tower after it.
    """
    model.llm.load_state_dict(read_gguf(BUNDLED, model.llm.config))
    if model.tower:
        model.tower.load_state_dict(read_mmproj(BUNDLED_TOWER, model.tower.state_dict()))
