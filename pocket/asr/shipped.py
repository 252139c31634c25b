"""The bundled weights back in PyTorch, so that a training can go on from them: CTranslate2's file has no reader in the
library. Its format is that of `ModelSpec._serialize`, version 6."""

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


def load_shipped(folder: Path = WEIGHTS) -> tuple[Recognizer, Tokens]:
    """The network and its tokenizer. The CTC head is not in the file: it is as fresh as it was made."""
    tokens = Tokens(Tokenizer.from_file(str(folder / "tokenizer.json")))
    model = Recognizer(config(tokens))
    stored = weights(folder / "model.bin")
    model.whisper.load_state_dict({name: _tensor(stored, name) for name in model.whisper.state_dict()})
    return model, tokens


def weights(path: Path) -> dict[str, np.ndarray]:
    """All variables of a CTranslate2 file by name; raises ValueError for a version that is not known here."""
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
"""Where a projection lies: its variable, and which of so many equal parts of it."""
_KINDS = {"weight": ("weight", "gamma"), "bias": ("bias", "beta")}


def _tensor(stored: dict[str, np.ndarray], name: str) -> Tensor:
    """The float32 tensor that Transformers knows by this name."""
    if name == "proj_out.weight":
        name = "model.decoder.embed_tokens.weight"
    _, side, *path, kind = name.split(".")
    if path == ["embed_positions"]:
        return torch.from_numpy(stored[f"{side}/position_encodings/encodings"].copy())
    if path == ["embed_tokens"]:
        return torch.from_numpy(_values(stored, f"{side}/embeddings/weight"))
    if path[0] != "layers":
        return torch.from_numpy(_either(stored, f"{side}/{path[0]}", kind))
    layer, part = f"{side}/layer_{path[1]}", ".".join(path[2:])
    if part in _LAYER:
        return torch.from_numpy(_either(stored, f"{layer}/{_LAYER[part]}", kind))
    fused, index, parts = _FUSED[part]
    whole = _either(stored, f"{layer}/{fused}", kind)
    return torch.from_numpy(np.split(whole, parts)[index])


def _either(stored: dict[str, np.ndarray], place: str, kind: str) -> np.ndarray:
    return next(_values(stored, f"{place}/{name}") for name in _KINDS[kind] if f"{place}/{name}" in stored)


def _values(stored: dict[str, np.ndarray], name: str) -> np.ndarray:
    """As float32; int8 rows are divided by their scales."""
    values = stored[name].astype(np.float32)
    if f"{name}_scale" not in stored:
        return values
    scale = stored[f"{name}_scale"]
    return values / scale.reshape(-1, *[1] * (values.ndim - 1))
