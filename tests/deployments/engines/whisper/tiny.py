"""A Whisper model with random weights in CTranslate2's format, and noise to transcribe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from deployments.messages import Audio

SPECIAL_TOKENS = ("endoftext", "startoftranscript", "translate", "transcribe", "startoflm", "startofprev", "nospeech")
SPECIAL_TOKENS += ("notimestamps",)


def recognizer(folder: Path, width: int = 32, seed: int = 0) -> Path:
    """Write an English-only model with one encoder layer and one decoder layer; it transcribes noise as gibberish."""
    from ctranslate2.specs.whisper_spec import WhisperSpec
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    folder.mkdir(parents=True, exist_ok=True)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({character: i for i, character in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(f"<|{name}|>", special=True, normalized=False) for name in SPECIAL_TOKENS])
    tokenizer.add_tokens([AddedToken(f"<|{i * 0.02:.2f}|>", special=False, normalized=False) for i in range(1501)])
    tokenizer.save(str(folder / "tokenizer.json"))
    size = tokenizer.get_vocab_size()

    rng = np.random.default_rng(seed)

    def weights(*shape: int) -> np.ndarray:
        return rng.normal(0, 0.1, shape).astype(np.float32)

    def dense(spec: Any, rows: int, columns: int) -> None:
        spec.weight, spec.bias = weights(rows, columns), weights(rows)

    def norm(spec: Any) -> None:
        spec.gamma, spec.beta = np.ones(width, np.float32), np.zeros(width, np.float32)

    def attention(spec: Any, sizes: tuple[int, ...]) -> None:
        norm(spec.layer_norm)
        for linear, rows in zip(spec.linear, sizes, strict=True):
            dense(linear, rows * width, width)

    def feed_forward(spec: Any) -> None:
        norm(spec.layer_norm)
        dense(spec.linear_0, 2 * width, width)
        dense(spec.linear_1, width, 2 * width)

    spec = WhisperSpec(1, 2, 1, 2)
    spec.encoder.conv1.weight, spec.encoder.conv1.bias = weights(width, 80, 3), weights(width)
    spec.encoder.conv2.weight, spec.encoder.conv2.bias = weights(width, width, 3), weights(width)
    spec.encoder.position_encodings.encodings = weights(1500, width)
    spec.decoder.position_encodings.encodings = weights(448, width)
    spec.decoder.embeddings.weight = weights(size, width)
    spec.decoder.projection.weight = spec.decoder.embeddings.weight
    norm(spec.encoder.layer_norm)
    norm(spec.decoder.layer_norm)
    attention(spec.encoder.layer[0].self_attention, (3, 1))
    feed_forward(spec.encoder.layer[0].ffn)
    attention(spec.decoder.layer[0].self_attention, (3, 1))
    attention(spec.decoder.layer[0].attention, (1, 2, 1))
    feed_forward(spec.decoder.layer[0].ffn)
    end = tokenizer.token_to_id("<|endoftext|>")
    spec.config.suppress_ids, spec.config.suppress_ids_begin = [], [end]
    spec.config.lang_ids, spec.config.alignment_heads = [], [(0, 0)]
    spec.register_vocabulary([tokenizer.id_to_token(i) for i in range(size)])
    spec.validate()
    spec.optimize(quantization="int8")
    spec.save(str(folder))
    return folder


def noise(seed: int = 0, seconds: float = 2.0) -> Audio:
    """Return loud noise at 16 kHz."""
    samples = np.random.default_rng(seed).normal(0, 0.3, int(seconds * 16_000))
    return Audio(samples.clip(-1, 1).astype(np.float32), 16_000)
