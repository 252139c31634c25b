"""Code of both trainers: time budget, learning rate, mixed precision, checkpoints and options."""

import argparse
import math
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import torch
from torch import Tensor

REPORT_S = 15
RESUMED = 0.4  # fraction of the peak learning rate when training continues from earlier weights
SAVE_S = 120  # between checkpoints, or a fifth of a short budget


class Clock:
    """A time budget from `started` (Unix time), and periodic events within it."""

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
        """Return True at most once in `every_s` seconds for each `name`."""
        if self.elapsed_s - self._last.get(name, 0.0) < every_s:
            return False
        self._last[name] = self.elapsed_s
        return True


def rate_factor(fraction: float, step: int, warmup: int = 300, floor: float = 0.02) -> float:
    """Return the fraction of the peak learning rate: a linear warm-up in steps times a cosine over the budget."""
    return min(1.0, (step + 1) / warmup) * (floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * fraction)))


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of all groups; in place if it is a tensor on the device, as CUDA graphs require."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


def clip_and_step(optimizer: torch.optim.Optimizer, max_norm: float) -> None:
    """Clip the gradients to a norm of `max_norm` and step.

    On a GPU, the fused optimizer skips a step with non-finite gradients, without a synchronization with the host.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    norm = torch.nn.utils.clip_grad_norm_(parameters, max_norm)
    if norm.is_cuda:
        optimizer.found_inf = (~norm.isfinite()).float()
    optimizer.step()


def autocast(device: torch.device) -> AbstractContextManager[None]:
    """Return bfloat16 autocast on a GPU and no autocast on the CPU, without a weight cache, as CUDA graphs require."""
    return torch.autocast("cuda", torch.bfloat16, enabled=device.type == "cuda", cache_enabled=False)


def save_weights(path: Path, weights: Mapping[str, Tensor]) -> None:
    """Write a state dict in half precision, atomically."""
    partial = path.with_suffix(".partial")
    torch.save({name: value.half().cpu() for name, value in weights.items()}, partial)
    partial.rename(path)


def arguments(description: str | None) -> argparse.ArgumentParser:
    """Return a parser with the options of both trainers."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data", type=Path, required=True, help="folder of shards")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--started", type=float, default=None, help="Unix time of the start of the budget")
    parser.add_argument("--resume", type=Path, default=None, help="weights to start from")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tiny", action="store_true", help="small batches, to test the code on the CPU")
    return parser


def start(args: argparse.Namespace) -> tuple[Clock, torch.device]:
    """Set the seed, create the output folder and return the clock and the device."""
    torch.manual_seed(args.seed)
    torch.backends.cuda.matmul.allow_tf32 = True
    torch.backends.cudnn.allow_tf32 = True
    args.out.mkdir(parents=True, exist_ok=True)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return Clock(args.minutes, args.started or time.time()), device
