"""What both trainers share: a clock that drives the learning rate, mixed precision, whole checkpoints."""

import argparse
import math
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import torch
from torch import Tensor

REPORT_S = 15
RESUMED = 0.4  # share of the peak learning rate when training goes on from earlier weights
SAVE_S = 120  # between checkpoints, or a fifth of a short budget


class Clock:
    """Elapsed fraction of a budget that began at `started` (Unix time), and what is due at intervals."""

    def __init__(self, minutes: float, started: float) -> None:
        self.started, self.budget_s = started, minutes * 60
        self.save_every_s = min(SAVE_S, self.budget_s / 5)
        self._last: dict[str, float] = {}

    @property
    def elapsed_s(self) -> float:
        return time.time() - self.started

    @property
    def fraction(self) -> float:
        return min(1.0, self.elapsed_s / self.budget_s)

    def due(self, name: str, every_s: float) -> bool:
        """True at most once in `every_s` seconds for each `name`."""
        if self.elapsed_s - self._last.get(name, 0.0) < every_s:
            return False
        self._last[name] = self.elapsed_s
        return True


def annealed(fraction: float, step: int, warmup: int = 300, floor: float = 0.02) -> float:
    """Share of the peak learning rate: a linear warm-up by steps times a cosine over the elapsed fraction."""
    return min(1.0, (step + 1) / warmup) * (floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * fraction)))


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of all groups, in place where it lives on the device (as CUDA graphs need)."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


def advance(optimizer: torch.optim.Optimizer, longest: float) -> None:
    """A step along gradients cut to a norm of `longest`; none at all where they are not finite (on a GPU, where the
    fused optimizer looks at `found_inf` without asking the host)."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    norm = torch.nn.utils.clip_grad_norm_(parameters, longest)
    if norm.is_cuda:
        optimizer.found_inf = (~norm.isfinite()).float()
    optimizer.step()


def mixed(device: torch.device) -> AbstractContextManager[None]:
    """bfloat16 autocast on a GPU, nothing on the CPU. Weights are not cached, as CUDA graphs need."""
    return torch.autocast("cuda", torch.bfloat16, enabled=device.type == "cuda", cache_enabled=False)


def save_weights(path: Path, weights: Mapping[str, Tensor]) -> None:
    """Write a state dict in half precision, atomically."""
    partial = path.with_suffix(".partial")
    torch.save({name: value.half().cpu() for name, value in weights.items()}, partial)
    partial.rename(path)


def arguments(description: str | None) -> argparse.ArgumentParser:
    """The options of both trainers."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data", type=Path, required=True, help="folder of shards")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--started", type=float, default=None, help="Unix time from which the minutes count")
    parser.add_argument("--resume", type=Path, default=None, help="weights to start from")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tiny", action="store_true", help="small batches, for a try on the CPU")
    return parser


def start(args: argparse.Namespace) -> tuple[Clock, torch.device]:
    """Seed, choose the device, start the clock."""
    torch.manual_seed(args.seed)
    torch.backends.cuda.matmul.allow_tf32 = True
    torch.backends.cudnn.allow_tf32 = True
    args.out.mkdir(parents=True, exist_ok=True)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return Clock(args.minutes, args.started or time.time()), device
