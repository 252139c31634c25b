"""The network: Whisper's encoder and decoder, with a CTC head on the encoder that only training uses."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from transformers import WhisperConfig, WhisperForConditionalGeneration

from pocket.asr.features import FRAMES, N_MELS
from pocket.asr.tokens import IGNORED, Tokens

LETTERS = " abcdefghijklmnopqrstuvwxyz'"
"""The symbols of the CTC head; 0 is its blank."""

POSITIONS = 448


def letters(text: str) -> list[int]:
    """The CTC target of normalised words joined by spaces."""
    return [LETTERS.index(letter) + 1 for letter in text]


SPACE = letters(" ")


def config(tokens: Tokens, tiny: bool = False) -> WhisperConfig:
    """The shape of the model; `tiny` is for tests of the training code."""
    width, layers = (32, 1) if tiny else (256, 4)
    return WhisperConfig(
        vocab_size=tokens.size,
        num_mel_bins=N_MELS,
        d_model=width,
        encoder_layers=layers,
        decoder_layers=layers,
        encoder_attention_heads=width // 64 or 1,
        decoder_attention_heads=width // 64 or 1,
        encoder_ffn_dim=4 * width,
        decoder_ffn_dim=4 * width,
        max_source_positions=FRAMES // 2,
        max_target_positions=POSITIONS,
        dropout=0.0 if tiny else 0.05,
        decoder_start_token_id=tokens.start,
        bos_token_id=tokens.end,
        eos_token_id=tokens.end,
        pad_token_id=tokens.end,
        suppress_tokens=[],
        begin_suppress_tokens=[],
    )


class Recognizer(nn.Module):
    """Whisper and its CTC head."""

    def __init__(self, shape: WhisperConfig) -> None:
        super().__init__()
        self.whisper = WhisperForConditionalGeneration(shape)
        self.ctc = nn.Linear(shape.d_model, len(LETTERS) + 1)

    def encode(self, features: Tensor) -> Tensor:
        """What Whisper's encoder makes of (batch, mels, frames): (batch, frames // 2, width). Windows may be short."""
        encoder = self.whisper.model.encoder
        hidden = nn.functional.gelu(encoder.conv1(features))
        hidden = nn.functional.gelu(encoder.conv2(hidden)).transpose(1, 2)
        hidden = hidden + encoder.embed_positions.weight[: hidden.shape[1]]
        hidden = nn.functional.dropout(hidden, encoder.dropout, self.training)
        for layer in encoder.layers:
            hidden = layer(hidden, None)
        return encoder.layer_norm(hidden)

    def forward(
        self, features: Tensor, inputs: Tensor, labels: Tensor, frames: Tensor, letters: Tensor, letter_counts: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Mean losses of decoder and CTC head.

        `features` (batch, mels, frames); `inputs`, `labels` (batch, length); `letters` (total,) all CTC targets in a
        row; `frames` and `letter_counts` (batch,) on the CPU, so that no one waits for the device.
        """
        heard = self.encode(features)
        hidden = self.whisper.model.decoder(input_ids=inputs, encoder_hidden_states=heard, use_cache=False)
        learned = labels != IGNORED
        logits = self.whisper.proj_out(hidden.last_hidden_state)
        losses = nn.functional.cross_entropy(
            logits.float().flatten(0, 1), labels.flatten(), ignore_index=IGNORED, reduction="sum", label_smoothing=0.02
        )
        scores = self.ctc(heard).float().log_softmax(-1).transpose(0, 1)
        spelled = nn.functional.ctc_loss(
            scores, letters, (frames + 1) // 2, letter_counts, reduction="sum", zero_infinity=True
        )
        return losses / learned.sum(), spelled / letter_counts.sum().clamp(min=1)

    @torch.no_grad()
    def transcribe(self, features: Tensor, tokens: Tokens, longest: int = 64) -> list[str]:
        """Greedy transcripts without timestamps: a quick look during training, not the real decoder."""
        heard = self.encode(features)
        prompt: Sequence[int] = (tokens.start, tokens.no_timestamps)
        ids = torch.tensor([prompt] * len(features), device=features.device)
        for _ in range(longest):
            hidden = self.whisper.model.decoder(input_ids=ids, encoder_hidden_states=heard, use_cache=False)
            following = self.whisper.proj_out(hidden.last_hidden_state[:, -1]).argmax(-1)
            ids = torch.cat([ids, following[:, None]], 1)
            if bool((ids == tokens.end).any(1).all()):
                break
        return [tokens.decode(_until(row, tokens.end)) for row in ids[:, len(prompt) :].tolist()]


def _until(ids: list[int], end: int) -> list[int]:
    return ids[: ids.index(end)] if end in ids else ids
