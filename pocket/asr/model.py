"""The network: Whisper's encoder and decoder, with a CTC head on the encoder for training only."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from transformers import WhisperConfig, WhisperForConditionalGeneration

from pocket.asr.features import FRAMES, N_MELS
from pocket.asr.tokens import IGNORED, Tokens

ALPHABET = " abcdefghijklmnopqrstuvwxyz'"
"""The characters that the CTC head predicts, with class numbers from 1; class 0 is the blank."""

POSITIONS = 448


def ctc_target(text: str) -> list[int]:
    """Return the CTC classes of normalised words joined by single spaces."""
    return [ALPHABET.index(character) + 1 for character in text]


SPACE = ctc_target(" ")


def config(tokens: Tokens, tiny: bool = False) -> WhisperConfig:
    """Return the architecture of the model; `tiny` is for tests of the training code."""
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
    """A Whisper model and its CTC head."""

    def __init__(self, architecture: WhisperConfig) -> None:
        super().__init__()
        self.whisper = WhisperForConditionalGeneration(architecture)
        self.ctc = nn.Linear(architecture.d_model, len(ALPHABET) + 1)

    def encode(self, features: Tensor) -> Tensor:
        """Run Whisper's encoder on (batch, mels, frames) and return (batch, frames // 2, width).

        Unlike the encoder's own `forward`, this accepts fewer than FRAMES frames.
        """
        encoder = self.whisper.model.encoder
        hidden = nn.functional.gelu(encoder.conv1(features))
        hidden = nn.functional.gelu(encoder.conv2(hidden)).transpose(1, 2)
        hidden = hidden + encoder.embed_positions.weight[: hidden.shape[1]]
        hidden = nn.functional.dropout(hidden, encoder.dropout, self.training)
        for layer in encoder.layers:
            hidden = layer(hidden, None)
        return encoder.layer_norm(hidden)

    def forward(
        self, features: Tensor, inputs: Tensor, labels: Tensor, frames: Tensor, targets: Tensor, target_lengths: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the mean losses of the decoder and of the CTC head.

        `features` (batch, mels, frames); `inputs`, `labels` (batch, length); `targets` (total,) all CTC targets
        concatenated; `frames` and `target_lengths` (batch,) on the CPU, which avoids a synchronization with the device.
        """
        encoded = self.encode(features)
        hidden = self.whisper.model.decoder(input_ids=inputs, encoder_hidden_states=encoded, use_cache=False)
        learned = labels != IGNORED
        logits = self.whisper.proj_out(hidden.last_hidden_state)
        decoder_losses = nn.functional.cross_entropy(
            logits.float().flatten(0, 1), labels.flatten(), ignore_index=IGNORED, reduction="sum", label_smoothing=0.02
        )
        scores = self.ctc(encoded).float().log_softmax(-1).transpose(0, 1)
        ctc_losses = nn.functional.ctc_loss(
            scores, targets, (frames + 1) // 2, target_lengths, reduction="sum", zero_infinity=True
        )
        return decoder_losses / learned.sum(), ctc_losses / target_lengths.sum().clamp(min=1)

    @torch.no_grad()
    def transcribe(self, features: Tensor, tokens: Tokens, max_tokens: int = 64) -> list[str]:
        """Return greedy transcripts without timestamps, to follow the training; faster-whisper decodes at run time."""
        encoded = self.encode(features)
        prompt: Sequence[int] = (tokens.start, tokens.no_timestamps)
        ids = torch.tensor([prompt] * len(features), device=features.device)
        for _ in range(max_tokens):
            hidden = self.whisper.model.decoder(input_ids=ids, encoder_hidden_states=encoded, use_cache=False)
            next_ids = self.whisper.proj_out(hidden.last_hidden_state[:, -1]).argmax(-1)
            ids = torch.cat([ids, next_ids[:, None]], 1)
            if bool((ids == tokens.end).any(1).all()):
                break
        return [tokens.decode(_before(row, tokens.end)) for row in ids[:, len(prompt) :].tolist()]


def _before(ids: list[int], end: int) -> list[int]:
    return ids[: ids.index(end)] if end in ids else ids
