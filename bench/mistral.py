"""A GGUF file of Mistral-7B's shape in Q4_0 with random weights: as fast as the real one, and it talks nonsense.

    python -m bench.mistral FILE.gguf [--layers 32] [--width 4096] [--feed 14336] [--heads 32] [--seed 0]

Written matrix by matrix: 3.8 GiB in a few seconds, in little memory. Every weight is a random nibble times one size for
the whole matrix, which keeps what goes through the layers at the same size. The row of the token that ends an answer
is zero, so that token is never among the likeliest and every answer has its full length.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, islice, product
from pathlib import Path
from string import ascii_lowercase

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter, LlamaFileType, TokenType
from numpy.typing import NDArray

BLOCK = np.dtype([("scale", "<f2"), ("nibbles", "u1", 16)])  # Q4_0: 32 weights of -8 to 7 times the scale
BLOCK_WEIGHTS = 32
NIBBLE_SIZE = 4.64  # root mean square of the integers from -8 to 7

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
    """Mistral-7B's; a smaller one is for trying things out."""

    layers: int = 32
    width: int = 4096
    feed: int = 14336
    heads: int = 32
    heads_kv: int = 8
    vocabulary: int = 32_000
    context: int = 32_768

    def matrices(self) -> Iterator[tuple[str, int, int]]:
        """Name, rows and columns of every matrix."""
        of_keys = self.width // self.heads * self.heads_kv
        yield "token_embd", self.vocabulary, self.width
        for layer in range(self.layers):
            block = f"blk.{layer}"
            yield f"{block}.attn_q", self.width, self.width
            yield f"{block}.attn_k", of_keys, self.width
            yield f"{block}.attn_v", of_keys, self.width
            yield f"{block}.attn_output", self.width, self.width
            yield f"{block}.ffn_gate", self.feed, self.width
            yield f"{block}.ffn_up", self.feed, self.width
            yield f"{block}.ffn_down", self.width, self.feed
        yield "output", self.vocabulary, self.width

    def norms(self) -> Iterator[str]:
        """Names of the vectors of ones."""
        for layer in range(self.layers):
            yield f"blk.{layer}.attn_norm"
            yield f"blk.{layer}.ffn_norm"
        yield "output_norm"


def write(path: Path, shape: Shape, seed: int = 0) -> None:
    """The whole file."""
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
    """A matrix of ``BLOCK`` whose products are about as large as what it is multiplied with.

    The signs of the scales are random, as nibbles are a little below zero on average: matrix by matrix, all that goes
    through them would come to point the same way.
    """
    blocks = np.frombuffer(rng.bytes(rows * columns // BLOCK_WEIGHTS * BLOCK.itemsize), BLOCK).copy()
    size = 1 / (NIBBLE_SIZE * columns**0.5)
    blocks["scale"] = np.where(rng.random(len(blocks), np.float32) < 0.5, -size, size)
    return blocks.reshape(rows, -1)


def vocabulary(size: int) -> list[str]:
    """Control tokens, all bytes, then the shortest strings of small letters, with a space before them and without."""
    letters = ("".join(word) for length in count(1) for word in product(ascii_lowercase, repeat=length))
    words = (space + word for word in letters for space in ("▁", ""))
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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
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
