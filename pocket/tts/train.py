"""Train the pocket voice: write the data and train both models at the same time, in one process each.

`python -m pocket.tts.train --minutes 20 --workers 8 --graph --out DIR` writes DIR/final.pt, the weights of both models
in half precision, for `pocket.tts.export`. Requires flite, the dictionary of `wamerican` and, in practice, a GPU.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import torch
from torch import Tensor

from pocket.tts.voice import WEIGHTS

FINISH_S = 12  # reserved for saving and the exit of the processes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, required=True, help="wall-clock budget, including the data")
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--clips", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=1)
    start = parser.add_mutually_exclusive_group()
    start.add_argument("--resume", type=Path, default=None, help="a final.pt to start from")
    start.add_argument("--bundled", action="store_true", help="start from the bundled weights and new discriminators")
    parser.add_argument("--graph", action="store_true", help="CUDA graphs for the vocoder")
    parser.add_argument("--vocoder-gpu", help="separate CUDA device for the vocoder")
    parser.add_argument("--tiny", action="store_true", help="small batches, to test the code on the CPU")
    args = parser.parse_args()

    started = time.time()
    args.out.mkdir(parents=True, exist_ok=True)
    data = args.out / "data"
    common = ["--data", data, "--out", args.out, "--started", started, "--seed", args.seed]
    common += ["--minutes", args.minutes - FINISH_S / 60] + ["--tiny"] * args.tiny
    generator = _start("data", ["--out", data, "--clips", args.clips, "--workers", args.workers, "--seed", args.seed])
    trainers = [
        _start("acoustic", common + _resume(args, "acoustic")),
        _start("vocoder", common + _resume(args, "vocoder") + ["--graph"] * args.graph, args.vocoder_gpu),
    ]
    failed = [trainer.args for trainer in trainers if trainer.wait()]
    generator.terminate()
    generator.wait()
    if failed:
        sys.exit(f"failed: {failed}")
    final = args.out / "final.pt"
    parts = {name: torch.load(args.out / f"{name}.pt", weights_only=True) for name in ("acoustic", "vocoder")}
    torch.save(parts, final.with_suffix(".partial"))
    final.with_suffix(".partial").rename(final)


def _start(module: str, options: list[object], gpu: str | None = None) -> subprocess.Popen[bytes]:
    environment = os.environ | ({"CUDA_VISIBLE_DEVICES": gpu} if gpu else {})
    return subprocess.Popen([sys.executable, "-m", f"pocket.tts.{module}", *map(str, options)], env=environment)


def _resume(args: argparse.Namespace, name: str) -> list[object]:
    """Write the initial weights of a trainer to the output folder and return its option for them.

    They come from a final.pt (and the discriminators.pt in its folder) or from the bundled files; without --resume and
    --bundled there is no option.
    """
    if not args.resume and not args.bundled:
        return []
    weights = torch.load(args.resume, weights_only=True)[name] if args.resume else bundled_weights(name)
    part = args.out / f"{name}.resume.pt"
    torch.save(weights, part)
    if name == "acoustic":
        torch.save(weights, args.out / "acoustic.checkpoint.pt")
    if name == "vocoder" and args.resume and (stored := args.resume.with_name("discriminators.pt")).exists():
        shutil.copy(stored, args.out / "discriminators.resume.pt")
    return ["--resume", part]


def bundled_weights(name: str, folder: Path = WEIGHTS) -> dict[str, Tensor]:
    """Return the bundled weights of a model in the format of its trainer: without the computed table of positions."""
    weights = torch.load(folder / f"{name}.pth", weights_only=True)["model"]
    return {key: value for key, value in weights.items() if key != "pos_encoder.pe"}


if __name__ == "__main__":
    main()
