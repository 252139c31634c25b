"""Load the bundled CTranslate2 weights into PyTorch, to continue a training.

The library has no reader for its file. The format is that of `ctranslate2.specs.ModelSpec._serialize`, version 6.
"""

import struct
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from pocket.asr.model import Recognizer, config
from pocket.asr.tokens import Tokens

WEIGHTS = Path(__file__).with_name("weights")
_VERSION = 6
_DTYPES = ("<f4", "<i1", "<i2", "<i4", "<f2")


def load_bundled(folder: Path = WEIGHTS) -> tuple[Recognizer, Tokens]:
    """Return the network and its tokenizer. The CTC head is not in the file; it has random weights."""
    tokens = Tokens(Tokenizer.from_file(str(folder / "tokenizer.json")))
    model = Recognizer(config(tokens))
    stored = read_variables(folder / "model.bin")
    model.whisper.load_state_dict({name: _tensor(stored, name) for name in model.whisper.state_dict()})
    return model, tokens


def read_variables(path: Path) -> dict[str, np.ndarray]:
    """Return all variables of a CTranslate2 file by name. Raise ValueError unless its version is 6."""
    with path.open("rb") as file:
        (version,) = _read(file, "I")
        if version != _VERSION:
            raise ValueError(f"{path} is of version {version}, not {_VERSION}")
        _string(file)
        _, count = _read(file, "II")
        return dict(_variable(file) for _ in range(count))


def _variable(file: BinaryIO) -> tuple[str, np.ndarray]:
    name = _string(file)
    (rank,) = _read(file, "B")
    shape = _read(file, "I" * rank)
    kind, size = _read(file, "=BI")
    return name, np.frombuffer(file.read(size), _DTYPES[kind]).reshape(shape)


def _string(file: BinaryIO) -> str:
    (size,) = _read(file, "H")
    return file.read(size)[:-1].decode()


def _read(file: BinaryIO, form: str) -> tuple[int, ...]:
    return struct.unpack(form, file.read(struct.calcsize(form)))


_LAYER = {
    "self_attn_layer_norm": "self_attention/layer_norm",
    "encoder_attn_layer_norm": "attention/layer_norm",
    "final_layer_norm": "ffn/layer_norm",
    "fc1": "ffn/linear_0",
    "fc2": "ffn/linear_1",
    "self_attn.out_proj": "self_attention/linear_1",
    "encoder_attn.out_proj": "attention/linear_2",
}
_FUSED = {
    "self_attn.q_proj": ("self_attention/linear_0", 0, 3),
    "self_attn.k_proj": ("self_attention/linear_0", 1, 3),
    "self_attn.v_proj": ("self_attention/linear_0", 2, 3),
    "encoder_attn.q_proj": ("attention/linear_0", 0, 1),
    "encoder_attn.k_proj": ("attention/linear_1", 0, 2),
    "encoder_attn.v_proj": ("attention/linear_1", 1, 2),
}
"""A projection of Transformers -> (variable, index of its part, number of equal parts)."""
_KINDS = {"weight": ("weight", "gamma"), "bias": ("bias", "beta")}


def _tensor(stored: dict[str, np.ndarray], name: str) -> Tensor:
    """Return the float32 tensor with this name in Transformers."""
    if name == "proj_out.weight":
        name = "model.decoder.embed_tokens.weight"
    _, side, *path, kind = name.split(".")
    if path == ["embed_positions"]:
        return torch.from_numpy(stored[f"{side}/position_encodings/encodings"].copy())
    if path == ["embed_tokens"]:
        return torch.from_numpy(_values(stored, f"{side}/embeddings/weight"))
    if path[0] != "layers":
        return torch.from_numpy(_layer_values(stored, f"{side}/{path[0]}", kind))
    layer, part = f"{side}/layer_{path[1]}", ".".join(path[2:])
    if part in _LAYER:
        return torch.from_numpy(_layer_values(stored, f"{layer}/{_LAYER[part]}", kind))
    fused, index, parts = _FUSED[part]
    whole = _layer_values(stored, f"{layer}/{fused}", kind)
    return torch.from_numpy(np.split(whole, parts)[index])


def _layer_values(stored: dict[str, np.ndarray], prefix: str, kind: str) -> np.ndarray:
    return next(_values(stored, f"{prefix}/{name}") for name in _KINDS[kind] if f"{prefix}/{name}" in stored)


def _values(stored: dict[str, np.ndarray], name: str) -> np.ndarray:
    """Return a variable as float32; int8 rows are divided by their scales."""
    values = stored[name].astype(np.float32)
    if f"{name}_scale" not in stored:
        return values
    scale = stored[f"{name}_scale"]
    return values / scale.reshape(-1, *[1] * (values.ndim - 1))
