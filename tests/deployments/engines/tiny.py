"""Language models and projectors with random weights in GGUF, a few hundred kilobytes each, and random pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter, TokenType

from deployments.engines.llama.settings import LlamaArgs
from deployments.messages import Image

CONTROL = ("<s>", "</s>", "[INST]", "[/INST]", "<|user|>", "<|assistant|>", "<|system|>")
MERGES = ("Ġ t", "h e", "Ġt he", "i n", "r e", "o n", "Ġ a", "Ġ s", "e r", "Ġ w", "o u", "Ġ [", "I N", "S T")
WIDTH, LAYERS, HEADS, FEED, CONTEXT = 64, 2, 4, 128, 512

TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' }}{{ message['content'] }}{{ eos_token }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)

# The template of Mistral's own files, which refuses system messages.
MISTRAL = (
    "{{ bos_token }}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
    "{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}"
    "{% elif message['role'] == 'assistant' %}{{ message['content'] + eos_token + ' ' }}"
    "{% else %}{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}{% endfor %}"
)


def chat_model(
    path: Path, kind: str = "Q8_0", template: str | None = TEMPLATE, spm: bool = False, control: Sequence[str] = CONTROL
) -> Path:
    """Write a Llama with matrices of type ``kind`` and a byte-level BPE vocabulary, or (``spm``) SentencePiece's."""
    tokens, types = _spm_vocabulary() if spm else _bpe_vocabulary(control)
    writer = GGUFWriter(path, "llama")
    writer.add_vocab_size(len(tokens))
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FEED)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model("llama" if spm else "gpt2")
    writer.add_tokenizer_pre("default" if spm else "gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    if spm:
        writer.add_token_scores([-float(i) for i in range(len(tokens))])
        writer.add_add_space_prefix(True)
    else:
        writer.add_token_merges(list(MERGES))
    writer.add_bos_token_id(tokens.index("<s>"))
    writer.add_eos_token_id(tokens.index("</s>"))
    writer.add_add_bos_token(False)
    if template is not None:
        writer.add_chat_template(template)
    rng = np.random.default_rng(0)
    type_ = GGMLQuantizationType[kind]

    def matrix(name: str, rows: int, columns: int) -> None:
        values = rng.normal(0, 0.3, (rows, columns)).astype(np.float32)
        writer.add_tensor(name, gguf.quants.quantize(values, type_), raw_dtype=type_)

    def ones(name: str) -> None:
        writer.add_tensor(name, np.ones(WIDTH, np.float32))

    matrix("token_embd.weight", len(tokens), WIDTH)
    ones("output_norm.weight")
    for layer in range(LAYERS):
        block = f"blk.{layer}."
        ones(block + "attn_norm.weight")
        ones(block + "ffn_norm.weight")
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            matrix(f"{block}{name}.weight", WIDTH, WIDTH)
        matrix(block + "ffn_gate.weight", FEED, WIDTH)
        matrix(block + "ffn_up.weight", FEED, WIDTH)
        matrix(block + "ffn_down.weight", WIDTH, FEED)
    _finish(writer)
    return path


def projector(path: Path, image: int = 28, patch: int = 14, width: int = 32, seed: int = 0) -> Path:
    """Write a LLaVA 1.5 projector with a ViT of one layer; a picture becomes ``(image / patch) ** 2`` tokens."""
    rng = np.random.default_rng(seed)
    feed = 2 * width
    writer = GGUFWriter(path, "clip")
    writer.add_bool("clip.has_vision_encoder", True)
    writer.add_string("clip.projector_type", "mlp")
    writer.add_bool("clip.use_gelu", False)
    for name, value in {
        "block_count": 1,
        "image_size": image,
        "patch_size": patch,
        "embedding_length": width,
        "feed_forward_length": feed,
        "projection_dim": WIDTH,
        "attention.head_count": 2,
    }.items():
        writer.add_uint32(f"clip.vision.{name}", value)
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-5)
    writer.add_array("clip.vision.image_mean", [0.5, 0.5, 0.5])
    writer.add_array("clip.vision.image_std", [0.25, 0.25, 0.25])
    writer.add_array("clip.vision.feature_layer", [1])

    def weights(name: str, *shape: int) -> None:
        writer.add_tensor(name, rng.normal(0, 0.3, shape).astype(np.float32))

    weights("v.patch_embd.weight", width, 3, patch, patch)
    weights("v.position_embd.weight", (image // patch) ** 2, width)
    norms = ["v.pre_ln", "v.blk.0.ln1", "v.blk.0.ln2"]
    linears = [("v.blk.0.ffn_up", feed, width), ("v.blk.0.ffn_down", width, feed)]
    linears += [(f"v.blk.0.{name}", width, width) for name in ("attn_q", "attn_k", "attn_v", "attn_out")]
    linears += [("mm.0", WIDTH, width), ("mm.2", WIDTH, WIDTH)]
    for name in norms:
        writer.add_tensor(f"{name}.weight", np.ones(width, np.float32))
        writer.add_tensor(f"{name}.bias", np.zeros(width, np.float32))
    for name, rows, columns in linears:
        weights(f"{name}.weight", rows, columns)
        weights(f"{name}.bias", rows)
    _finish(writer)
    return path


def llava(folder: Path, chat_handler: str = "mtmd") -> LlamaArgs:
    """Write a chat model and a projector for it."""
    model, mmproj = chat_model(folder / "llm.gguf"), projector(folder / "mmproj.gguf")
    return LlamaArgs(model=str(model), mmproj=str(mmproj), chat_handler=chat_handler, context_length=CONTEXT)


def picture(seed: int = 0, height: int = 60, width: int = 90) -> Image:
    """Return coloured noise."""
    return Image(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def _bpe_vocabulary(control: Sequence[str]) -> tuple[list[str], list[TokenType]]:
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    characters = [chr(byte) for byte in printable] + [chr(256 + i) for i in range(len(others))]
    tokens = [*control, *characters, *(merge.replace(" ", "") for merge in MERGES)]
    return tokens, [TokenType.CONTROL if token in control else TokenType.NORMAL for token in tokens]


def _spm_vocabulary() -> tuple[list[str], list[TokenType]]:
    bytes_ = [f"<0x{byte:02X}>" for byte in range(256)]
    words = [
        "▁",
        *map(chr, range(33, 127)),
        "▁the",
        "he",
        "▁t",
        "▁hello",
        "hello",
        "▁h",
        "el",
        "ell",
        "ello",
        "[/",
        "[I",
    ]
    tokens = ["<unk>", *CONTROL, *bytes_, *words]
    kinds = [TokenType.UNKNOWN, *[TokenType.CONTROL] * len(CONTROL), *[TokenType.BYTE] * 256]
    return tokens, kinds + [TokenType.NORMAL] * len(words)


def _finish(writer: GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
