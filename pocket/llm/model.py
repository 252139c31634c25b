"""A Llama model in PyTorch, equal to the GGUF architecture that `export.py` writes and llama.cpp runs."""

from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pocket.llm.tokenizer import VOCABULARY


@dataclass(frozen=True)
class LlamaConfig:
    """Sizes of the model. Widths are multiples of 32, as Q8_0 and Q4_0 require."""

    vocabulary: int = VOCABULARY
    width: int = 384
    layers: int = 8
    heads: int = 6
    kv_heads: int = 2
    hidden: int = 1024
    context: int = 2048
    rope_base: float = 10_000.0
    epsilon: float = 1e-5

    @property
    def head_width(self) -> int:
        """Return the width of one head."""
        return self.width // self.heads

    def to_dict(self) -> dict[str, float]:
        """Return the values for a checkpoint."""
        return asdict(self)


TINY = LlamaConfig(width=128, layers=2, heads=4, kv_heads=2, hidden=256)
"""A model for tests."""


class Attention(nn.Module):
    """Grouped-query attention with rotary positions."""

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.head_width = config.heads, config.kv_heads, config.head_width
        self.q = nn.Linear(config.width, config.heads * config.head_width, bias=False)
        self.k = nn.Linear(config.width, config.kv_heads * config.head_width, bias=False)
        self.v = nn.Linear(config.width, config.kv_heads * config.head_width, bias=False)
        self.out = nn.Linear(config.heads * config.head_width, config.width, bias=False)

    def forward(self, x: Tensor, rotation: tuple[Tensor, Tensor], mask: Tensor | None) -> Tensor:
        batch, length, _ = x.shape
        q = _rotated(self.q(x).view(batch, length, self.heads, -1).transpose(1, 2), rotation)
        k = _rotated(self.k(x).view(batch, length, self.kv_heads, -1).transpose(1, 2), rotation)
        v = self.v(x).view(batch, length, self.kv_heads, -1).transpose(1, 2)
        groups = self.heads // self.kv_heads
        k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None)
        return self.out(attended.transpose(1, 2).reshape(batch, length, -1))


def _rotated(x: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    """Apply rotary positions to pairs from the two halves; `export` permutes rows to llama.cpp's adjacent pairs."""
    cos, sin = rotation
    left, right = x.chunk(2, -1)
    return (x * cos + torch.cat((-right, left), -1) * sin).to(x.dtype)


class Block(nn.Module):
    """Attention and a gated MLP, each after an RMS norm."""

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__()
        self.attention_norm = nn.RMSNorm(config.width, config.epsilon)
        self.attention = Attention(config)
        self.mlp_norm = nn.RMSNorm(config.width, config.epsilon)
        self.gate = nn.Linear(config.width, config.hidden, bias=False)
        self.up = nn.Linear(config.width, config.hidden, bias=False)
        self.down = nn.Linear(config.hidden, config.width, bias=False)

    def forward(self, x: Tensor, rotation: tuple[Tensor, Tensor], mask: Tensor | None) -> Tensor:
        x = x + self.attention(self.attention_norm(x), rotation, mask)
        y = self.mlp_norm(x)
        return x + self.down(F.silu(self.gate(y)) * self.up(y))


class Llama(nn.Module):
    """Token ids or embeddings to logits; input and output embeddings are the same matrix."""

    def __init__(self, config: LlamaConfig = LlamaConfig()) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocabulary, config.width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.RMSNorm(config.width, config.epsilon)
        frequencies = config.rope_base ** (-torch.arange(0, config.head_width, 2) / config.head_width)
        angles = torch.outer(torch.arange(config.context), torch.cat((frequencies, frequencies)))
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)
        self._initialise()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=0.02)
        for block in self.blocks:
            for layer in (block.attention.out, block.down):
                nn.init.normal_(layer.weight, std=0.02 / (2 * self.config.layers) ** 0.5)

    def hidden(self, x: Tensor, documents: Tensor | None = None) -> Tensor:
        """Return the last hidden states of embeddings (B, T, width).

        `documents` (B, T) numbers the texts in a packed row; attention stays within a text.
        """
        length = x.shape[1]
        rotation = self.cos[:length].to(x.dtype), self.sin[:length].to(x.dtype)
        mask = None if documents is None else _mask(documents, x)
        for block in self.blocks:
            x = block(x, rotation, mask)
        return self.norm(x)

    def logits(self, hidden: Tensor) -> Tensor:
        """Return the logits of the next token for hidden states (..., width)."""
        return F.linear(hidden, self.embedding.weight)

    def forward(self, ids: Tensor, documents: Tensor | None = None) -> Tensor:
        """Return logits (B, T, vocabulary) of ids (B, T)."""
        return self.logits(self.hidden(self.embedding(ids), documents))


def _mask(documents: Tensor, like: Tensor) -> Tensor:
    """Return an additive mask (B, 1, T, T): causal, and within a document."""
    length = documents.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool, device=documents.device).tril()
    allowed = (documents[:, :, None] == documents[:, None, :]) & causal
    kind = torch.get_autocast_dtype(like.device.type) if torch.is_autocast_enabled(like.device.type) else like.dtype
    return torch.zeros(allowed.shape, dtype=kind, device=like.device).masked_fill_(~allowed, float("-inf"))[:, None]
