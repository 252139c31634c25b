"""Write the tower as an mmproj GGUF (architecture clip, projector mlp).

python -m pocket.vision.export final.pt pocket/vision/weights/
"""

import argparse
from collections.abc import Iterable
from pathlib import Path

import gguf
import numpy as np
import torch
from torch import Tensor

from pocket.vision.preprocess import PATCH, SIZE
from pocket.vision.tower import EPS, MEAN, STD, TowerConfig

NAME = "pocket-mmproj.gguf"
BUNDLED = Path(__file__).parent / "weights" / NAME
_BLOCK_NAMES = {
    "ln1": "ln1",
    "ln2": "ln2",
    "query": "attn_q",
    "key": "attn_k",
    "value": "attn_v",
    "out": "attn_out",
    "up": "ffn_up",
    "down": "ffn_down",
}
_NAMES = {"patch": "v.patch_embd", "pre_ln": "v.pre_ln", "project_in": "mm.0", "project_out": "mm.2"}


def gguf_name(name: str) -> str:
    """Return the GGUF name of a tensor of VisionTower's state."""
    if name == "position":
        return "v.position_embd.weight"
    *path, kind = name.split(".")
    if path[0] == "blocks":
        return f"v.blk.{path[1]}.{_BLOCK_NAMES[path[2]]}.{kind}"
    return f"{_NAMES[path[0]]}.{kind}"


def write_mmproj(path: Path, state: dict[str, Tensor], config: TowerConfig) -> None:
    """Write VisionTower's `state`: matrices in float16, the rest in float32."""
    writer = gguf.GGUFWriter(path, "clip")
    writer.add_name("Parley pocket vision")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_bool("clip.has_vision_encoder", True)
    writer.add_string("clip.projector_type", "mlp")
    writer.add_bool("clip.use_gelu", True)
    for key, number in {
        "block_count": config.layers,
        "image_size": SIZE,
        "patch_size": PATCH,
        "embedding_length": config.width,
        "feed_forward_length": config.hidden,
        "projection_dim": state["project_out.bias"].shape[0],
        "attention.head_count": config.heads,
    }.items():
        writer.add_uint32(f"clip.vision.{key}", number)
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", EPS)
    writer.add_array("clip.vision.image_mean", list(MEAN))
    writer.add_array("clip.vision.image_std", list(STD))
    # Without this key llama.cpp omits the last block, as in LLaVA 1.5.
    writer.add_array("clip.vision.feature_layer", [config.layers])
    for name, tensor in state.items():
        values = tensor.float().cpu().numpy()
        half = values.ndim > 1 and name != "position"
        writer.add_tensor(gguf_name(name), np.ascontiguousarray(values, np.float16 if half else np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def read_mmproj(path: Path, names: Iterable[str]) -> dict[str, Tensor]:
    """Return the tensors with these names in VisionTower's state from a file of `write_mmproj`, as float32."""
    stored = {tensor.name: tensor.data for tensor in gguf.GGUFReader(path).tensors}
    return {name: torch.from_numpy(stored[gguf_name(name)].astype(np.float32)) for name in names}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path, help="final.pt of the joint training")
    parser.add_argument("folder", type=Path, help="output folder")
    args = parser.parse_args()
    checkpoint = torch.load(args.checkpoint, map_location="cpu", weights_only=True)
    config = TowerConfig(**checkpoint["config"].get("tower", {}))
    write_mmproj(args.folder / NAME, checkpoint["tower"], config)
    print(args.folder / NAME, (args.folder / NAME).stat().st_size, "bytes")


if __name__ == "__main__":
    main()
