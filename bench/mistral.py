"""Write a GGUF file in the shape of Mistral-7B (Q4_0) with random weights, as the model of ``bench.gpu``.

    python -m bench.mistral FILE.gguf [--layers 32] [--width 4096] [--feed 14336] [--heads 32] [--seed 0]

It is as fast as the real model and generates random text. Each weight is a random nibble times one scale per matrix,
chosen so that activations keep their magnitude through the layers. The output row of the end token is zero, so that
every answer has its full length. 3.8 GiB are written in a few seconds, matrix by matrix; there is no JSON line.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, islice, product
from pathlib import Path
from string import ascii_lowercase

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter, LlamaFileType, TokenType
from numpy.typing import NDArray

from bench.command import argument_parser

BLOCK = np.dtype([("scale", "<f2"), ("nibbles", "u1", 16)])  # Q4_0: 32 weights of -8 to 7 times the scale
BLOCK_WEIGHTS = 32
NIBBLE_SIZE = 4.64  # root mean square of the integers -8 to 7

CONTROL = ("<unk>", "<s>", "</s>", "[INST]", "[/INST]")
END = CONTROL.index("</s>")
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}{{ message['content'] + eos_token }}"
    "{% else %}{{ '[INST]' + message['content'] + '[/INST]' }}{% endif %}"
    "{% endfor %}"
)


@dataclass(frozen=True, slots=True)
class Shape:
    """The dimensions of the model; the defaults are Mistral-7B's."""

    layers: int = 32
    width: int = 4096
    feed: int = 14336
    heads: int = 32
    heads_kv: int = 8
    vocabulary: int = 32_000
    context: int = 32_768

    def matrices(self) -> Iterator[tuple[str, int, int]]:
        """Yield the name, rows and columns of every matrix."""
        kv_rows = self.width // self.heads * self.heads_kv
        yield "token_embd", self.vocabulary, self.width
        for layer in range(self.layers):
            block = f"blk.{layer}"
            yield f"{block}.attn_q", self.width, self.width
            yield f"{block}.attn_k", kv_rows, self.width
            yield f"{block}.attn_v", kv_rows, self.width
            yield f"{block}.attn_output", self.width, self.width
            yield f"{block}.ffn_gate", self.feed, self.width
            yield f"{block}.ffn_up", self.feed, self.width
            yield f"{block}.ffn_down", self.width, self.feed
        yield "output", self.vocabulary, self.width

    def norms(self) -> Iterator[str]:
        """Yield the names of the norms, all of ones."""
        for layer in range(self.layers):
            yield f"blk.{layer}.attn_norm"
            yield f"blk.{layer}.ffn_norm"
        yield "output_norm"


def write(path: Path, shape: Shape, seed: int = 0) -> None:
    """Write the complete file."""
    writer = GGUFWriter(path, "llama")
    _describe(writer, shape)
    for name in shape.norms():
        writer.add_tensor_info(f"{name}.weight", [shape.width], np.dtype(np.float32), 4 * shape.width)
    for name, rows, columns in shape.matrices():
        row_bytes = columns // BLOCK_WEIGHTS * BLOCK.itemsize
        kind = GGMLQuantizationType.Q4_0
        writer.add_tensor_info(f"{name}.weight", [rows, row_bytes], np.dtype(np.uint8), rows * row_bytes, kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for _ in shape.norms():
        writer.write_tensor_data(np.ones(shape.width, np.float32))
    rng = np.random.default_rng(seed)
    for name, rows, columns in shape.matrices():
        blocks = random_blocks(rng, rows, columns)
        if name == "output":
            blocks[END]["scale"] = 0
        writer.write_tensor_data(blocks.view(np.uint8))
    writer.close()


def random_blocks(rng: np.random.Generator, rows: int, columns: int) -> NDArray[np.void]:
    """Return a matrix of ``BLOCK`` whose products have about the magnitude of its input.

    The signs of the scales are random, as the mean of the nibbles is below zero: with equal signs all activations would
    approach the same direction, layer by layer.
    """
    blocks = np.frombuffer(rng.bytes(rows * columns // BLOCK_WEIGHTS * BLOCK.itemsize), BLOCK).copy()
    size = 1 / (NIBBLE_SIZE * columns**0.5)
    blocks["scale"] = np.where(rng.random(len(blocks), np.float32) < 0.5, -size, size)
    return blocks.reshape(rows, -1)


def vocabulary(size: int) -> list[str]:
    """Return control tokens, all bytes, then the shortest lower-case strings, each with and without a leading space."""
    strings = ("".join(word) for length in count(1) for word in product(ascii_lowercase, repeat=length))
    words = (space + word for word in strings for space in ("▁", ""))
    tokens = [*CONTROL, *(f"<0x{byte:02X}>" for byte in range(256)), "▁"]
    return tokens + list(islice(words, size - len(tokens)))


def _describe(writer: GGUFWriter, shape: Shape) -> None:
    writer.add_file_type(LlamaFileType.MOSTLY_Q4_0)
    writer.add_vocab_size(shape.vocabulary)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.feed)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.heads_kv)
    writer.add_rope_dimension_count(shape.width // shape.heads)
    writer.add_layer_norm_rms_eps(1e-5)
    tokens = vocabulary(shape.vocabulary)
    types = [TokenType.UNKNOWN] + [TokenType.CONTROL] * (len(CONTROL) - 1) + [TokenType.BYTE] * 256
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_types(types + [TokenType.NORMAL] * (len(tokens) - len(types)))
    writer.add_token_scores([-float(rank) for rank in range(len(tokens))])
    writer.add_bos_token_id(CONTROL.index("<s>"))
    writer.add_eos_token_id(END)
    writer.add_unk_token_id(CONTROL.index("<unk>"))
    writer.add_add_bos_token(True)
    writer.add_chat_template(TEMPLATE)


def main() -> None:
    shape = Shape()
    parser = argument_parser(__doc__)
    parser.add_argument("file", type=Path)
    for name in ("layers", "width", "feed", "heads"):
        parser.add_argument(f"--{name}", type=int, default=getattr(shape, name))
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    heads_kv = min(shape.heads_kv, args.heads)
    write(args.file, Shape(args.layers, args.width, args.feed, args.heads, heads_kv), args.seed)
    print(f"{args.file}: {args.file.stat().st_size / 2**30:.2f} GiB")


if __name__ == "__main__":
    main()
