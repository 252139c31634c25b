"""Write the language model as GGUF with architecture `llama`.

`python -m pocket.llm.export DIR/final.pt` writes the bundled file; `--type` selects its precision. The input can also
be a GGUF file of this module, with the precision of that file.
"""

import argparse
from pathlib import Path

import gguf
import numpy as np
import torch
from torch import Tensor

from pocket.llm.model import LlamaConfig
from pocket.llm.tokenizer import BOS, CHAT_TEMPLATE, CONTROL, END, PAD, UNKNOWN, tokenizer, vocabulary_json

BUNDLED = Path(__file__).parent / "weights" / "pocket-llm.gguf"
TYPES = {
    "F32": gguf.LlamaFileType.ALL_F32,
    "F16": gguf.LlamaFileType.MOSTLY_F16,
    "Q8_0": gguf.LlamaFileType.MOSTLY_Q8_0,
    "Q4_0": gguf.LlamaFileType.MOSTLY_Q4_0,
}

_BLOCK_NAMES = {
    "attention_norm": "attn_norm",
    "attention.q": "attn_q",
    "attention.k": "attn_k",
    "attention.v": "attn_v",
    "attention.out": "attn_output",
    "mlp_norm": "ffn_norm",
    "gate": "ffn_gate",
    "up": "ffn_up",
    "down": "ffn_down",
}


def write_gguf(path: Path, state: dict[str, Tensor], config: LlamaConfig, kind: str) -> None:
    """Write the weights with tokenizer and chat template; `kind` is one of TYPES."""
    writer = gguf.GGUFWriter(path, "llama")
    _describe(writer, config, kind)
    _add_tokenizer(writer)
    for name, weights in _tensors(state, config).items():
        embedding = name == "token_embd.weight"  # also the output matrix; llama.cpp keeps it more precise, too
        _add(writer, name, weights, "Q8_0" if kind == "Q4_0" and embedding else kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _describe(writer: gguf.GGUFWriter, config: LlamaConfig, kind: str) -> None:
    writer.add_name("Parley pocket LLM")
    writer.add_vocab_size(config.vocabulary)
    writer.add_context_length(config.context)
    writer.add_embedding_length(config.width)
    writer.add_block_count(config.layers)
    writer.add_feed_forward_length(config.hidden)
    writer.add_head_count(config.heads)
    writer.add_head_count_kv(config.kv_heads)
    writer.add_rope_dimension_count(config.head_width)
    writer.add_rope_freq_base(config.rope_base)
    writer.add_layer_norm_rms_eps(config.epsilon)
    writer.add_file_type(TYPES[kind])


def _add_tokenizer(writer: gguf.GGUFWriter) -> None:
    tokens = [tokenizer().id_to_token(index) for index in range(tokenizer().get_vocab_size())]
    kinds = [gguf.TokenType.CONTROL] * len(CONTROL) + [gguf.TokenType.NORMAL] * (len(tokens) - len(CONTROL))
    kinds[UNKNOWN] = gguf.TokenType.UNKNOWN
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges([" ".join(merge) for merge in vocabulary_json()["merges"]])
    writer.add_bos_token_id(BOS)
    writer.add_eos_token_id(END)
    writer.add_pad_token_id(PAD)
    writer.add_unk_token_id(UNKNOWN)
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)
    writer.add_chat_template(CHAT_TEMPLATE)


def _tensors(state: dict[str, Tensor], config: LlamaConfig) -> dict[str, np.ndarray]:
    """Return the weights by GGUF name. Without `output.weight`, llama.cpp uses the embedding as output matrix."""
    named = {"token_embd.weight": state["embedding.weight"], "output_norm.weight": state["norm.weight"]}
    for layer in range(config.layers):
        for ours, theirs in _BLOCK_NAMES.items():
            weights = state[f"blocks.{layer}.{ours}.weight"]
            if theirs in ("attn_q", "attn_k"):
                weights = interleaved(weights, config.head_width)
            named[f"blk.{layer}.{theirs}.weight"] = weights
    return {name: weights.float().numpy() for name, weights in named.items()}


def interleaved(weights: Tensor, head_width: int) -> Tensor:
    """Reorder the rows of q or k: the model rotates the halves of a head, llama.cpp adjacent pairs."""
    return weights.view(-1, 2, head_width // 2, weights.shape[1]).transpose(1, 2).reshape(weights.shape)


def _add(writer: gguf.GGUFWriter, name: str, weights: np.ndarray, kind: str) -> None:
    if weights.ndim == 1 or kind == "F32":
        writer.add_tensor(name, weights)
    elif kind == "F16":
        writer.add_tensor(name, weights.astype(np.float16))
    else:
        quantised = gguf.GGMLQuantizationType[kind]
        writer.add_tensor(name, gguf.quants.quantize(weights, quantised), raw_dtype=quantised)


def read_gguf(path: Path, config: LlamaConfig) -> dict[str, Tensor]:
    """Return the weights of a file of `write_gguf` by the model's names, as float32, to continue a training."""
    stored = {tensor.name: _values(tensor) for tensor in gguf.GGUFReader(path).tensors}
    state = {"embedding.weight": stored["token_embd.weight"], "norm.weight": stored["output_norm.weight"]}
    for layer in range(config.layers):
        for ours, theirs in _BLOCK_NAMES.items():
            weights = stored[f"blk.{layer}.{theirs}.weight"]
            if theirs in ("attn_q", "attn_k"):
                weights = deinterleaved(weights, config.head_width)
            state[f"blocks.{layer}.{ours}.weight"] = weights
    return state


def deinterleaved(weights: Tensor, head_width: int) -> Tensor:
    """Invert `interleaved`."""
    return weights.view(-1, head_width // 2, 2, weights.shape[1]).transpose(1, 2).reshape(weights.shape)


def _values(tensor: gguf.ReaderTensor) -> Tensor:
    return torch.from_numpy(gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32))


def _read(path: Path) -> tuple[dict[str, Tensor], LlamaConfig]:
    if path.suffix == ".gguf":
        return read_gguf(path, LlamaConfig()), LlamaConfig()
    checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    return checkpoint["llm"], LlamaConfig(**checkpoint["config"]["llm"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path, help="final.pt of pocket.llm.train, or a GGUF file of this module")
    parser.add_argument("file", type=Path, nargs="?", default=BUNDLED)
    parser.add_argument("--type", choices=TYPES, default="Q4_0")
    args = parser.parse_args()
    state, config = _read(args.checkpoint)
    args.file.parent.mkdir(parents=True, exist_ok=True)
    write_gguf(args.file, state, config, args.type)
    print(f"{args.file}: {args.file.stat().st_size / 1e6:.1f} MB, {args.type}")


if __name__ == "__main__":
    main()
