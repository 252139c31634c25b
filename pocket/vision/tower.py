"""The vision tower: a CLIP-style ViT and a two-layer projector, equal to llama.cpp's graph for LLaVA 1.5.

There is no class token, as llama.cpp would keep the wrong rows, and no last layer norm, as it uses the output before
it. The activation of the projector is the tanh form of GELU, as in llama.cpp.
"""

from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from pocket.vision.preprocess import GRID, PATCH, SIZE
from pocket.vision.things import COLOURS, KINDS, SHAPES

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
EPS = 1e-5


@dataclass(frozen=True)
class TowerConfig:
    """Sizes of a tower. `hidden` must differ from `width`: llama.cpp distinguishes the two MLP matrices by it."""

    width: int = 192
    heads: int = 3
    hidden: int = 768
    layers: int = 6

    def to_dict(self) -> dict[str, int]:
        return asdict(self)


class Block(nn.Module):
    """A pre-norm transformer block over (batch, tokens, width)."""

    def __init__(self, config: TowerConfig) -> None:
        super().__init__()
        width = config.width
        self.heads = config.heads
        self.ln1, self.ln2 = nn.LayerNorm(width, eps=EPS), nn.LayerNorm(width, eps=EPS)
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
        self.up, self.down = nn.Linear(width, config.hidden), nn.Linear(config.hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, width = x.shape
        normed = self.ln1(x)
        query, key, value = (
            layer(normed).view(batch, tokens, self.heads, -1).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        attended = functional.scaled_dot_product_attention(query, key, value)
        x = x + self.out(attended.transpose(1, 2).reshape(batch, tokens, width))
        return x + self.down(functional.gelu(self.up(self.ln2(x)), approximate="tanh"))


def sinusoids(grid: int, width: int) -> Tensor:
    """Return (grid * grid, width): sines and cosines of row and column, which initialize the learned positions."""
    frequencies = 10000.0 ** -(torch.arange(width // 4) / (width // 4))
    angles = torch.arange(grid)[:, None] * frequencies
    line = torch.cat([angles.sin(), angles.cos()], 1)
    return torch.cat([line.repeat_interleave(grid, 0), line.repeat(grid, 1)], 1)


class VisionTower(nn.Module):
    """uint8 pictures (batch, SIZE, SIZE, 3) -> embeddings (batch, N_TOKENS, d_llm) for the positions of the picture."""

    def __init__(self, d_llm: int, config: TowerConfig = TowerConfig()) -> None:
        super().__init__()
        self.config = config
        self.patch = nn.Conv2d(3, config.width, PATCH, PATCH, bias=False)
        self.position = nn.Parameter(sinusoids(GRID, config.width) / 2)
        self.pre_ln = nn.LayerNorm(config.width, eps=EPS)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.project_in, self.project_out = nn.Linear(config.width, d_llm), nn.Linear(d_llm, d_llm)
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1), persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        x = (pixels.permute(0, 3, 1, 2).float() / 255 - self.mean) / self.std
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = self.pre_ln(x + self.position)
        for block in self.blocks:
            x = block(x)
        return self.project_out(functional.gelu(self.project_in(x), approximate="tanh"))


class PatchProbe(nn.Module):
    """Linear predictions of the patch labels from the embeddings, for training only.

    Their loss makes the tower learn earlier, and separates similar things.
    """

    def __init__(self, d_llm: int) -> None:
        super().__init__()
        self.kind, self.colour = nn.Linear(d_llm, 1 + len(KINDS)), nn.Linear(d_llm, 1 + len(COLOURS))
        self.centre, self.extent = nn.Linear(d_llm, 1), nn.Linear(d_llm, 4)

    def loss(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Return the sum of the mean losses.

        `embeddings` (batch, N_TOKENS, d_llm); `labels` (batch, len(LABELS), GRID, GRID).
        """
        kinds, colours, centres = labels.flatten(2)[:, :3].long().unbind(1)
        kind_loss = functional.cross_entropy(self.kind(embeddings).transpose(1, 2).float(), kinds)
        colour_loss = functional.cross_entropy(self.colour(embeddings).transpose(1, 2).float(), colours)
        centre_loss = functional.binary_cross_entropy_with_logits(
            self.centre(embeddings)[..., 0].float(), centres.float(), pos_weight=_CENTRE_WEIGHT.to(labels.device)
        )
        extents = labels.flatten(2)[:, 3:].transpose(1, 2).float() / SIZE
        extent_error = (self.extent(embeddings).float() - extents).abs().sum(-1) * centres
        return kind_loss + colour_loss + centre_loss + 2 * extent_error.sum() / centres.sum().clamp(min=1)


_CENTRE_WEIGHT = torch.tensor(10.0)
"""The weight of patches with a centre, which are rare."""


def mirrored(pixels: Tensor, labels: Tensor, horizontally: bool, vertically: bool) -> tuple[Tensor, Tensor]:
    """Return pictures (batch, SIZE, SIZE, 3) and labels mirrored, except those with a digit."""
    kept = (labels[:, 0] > len(SHAPES)).flatten(1).any(1)[:, None, None, None]
    sides = [dim for dim, enabled in ((-1, horizontally), (-2, vertically)) if enabled]
    mirrored_labels = labels.flip(sides)
    centres = mirrored_labels[:, 2:3] > 0
    for channel, enabled in ((3, horizontally), (4, vertically)):
        if enabled:
            coordinate = mirrored_labels[:, channel : channel + 1]
            coordinate.copy_(torch.where(centres, SIZE - 1 - coordinate, coordinate))
    mirrored_pixels = pixels.flip([dim - 1 for dim in sides])
    return torch.where(kept, pixels, mirrored_pixels), torch.where(kept, labels, mirrored_labels)
