"""Train the language model and the vision tower together within a wall-clock budget.

`python -m pocket.llm.train --minutes 20 --workers 12 --out DIR` generates its data while it trains. A step is one batch
of packed conversations and one of pictures under one optimizer; at first the pictures train the tower only. The
learning rate follows the elapsed share of the budget.
"""

import argparse
import os
import random
import time
from pathlib import Path

import torch
from torch import Tensor, nn

from pocket.llm.batches import Stream, loader
from pocket.llm.feed import Feed
from pocket.llm.heldout import HeldOut
from pocket.llm.joint import Joint, load, load_bundled, save
from pocket.llm.model import TINY, LlamaConfig

TOWER_FIRST, TOWER_BATCHES = 0.25, 3
"""Up to this share of a training from random weights, each step trains the tower with this many picture batches, by the
loss of the probe only. The tower learns slowest, and without the language model a picture costs an eighth."""
PROBE_EARLY, PROBE_WEIGHT, PROBE_WEIGHT_LATE = 0.6, 1.0, 0.3
"""The weight of the probe's loss relative to that of the answers, up to this share of the training and after it."""


class Clock:
    """The spent share of the budget, which starts with the process."""

    def __init__(self, minutes: float) -> None:
        self.started, self.seconds = time.time() - _age_s(), minutes * 60

    @property
    def share(self) -> float:
        """Return 0 at the start and 1 at the end."""
        return (time.time() - self.started) / self.seconds


def _age_s() -> float:
    """Return the seconds since the start of this process (0 without /proc)."""
    try:
        ticks = float(Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()[19])
        return float(Path("/proc/uptime").read_text().split()[0]) - ticks / os.sysconf("SC_CLK_TCK")
    except OSError:
        return 0.0


def rate(share: float, peak: float) -> float:
    """Return the learning rate: a linear rise over 2 %, constant to 55 %, then a linear fall to 0.5 % of the peak."""
    return peak * min(1.0, share / 0.02 + 0.02, max(0.005, (1 - share) / 0.45))


def optimizer(model: nn.Module, peak: float) -> torch.optim.AdamW:
    """Return AdamW with weight decay for matrices, but not for norms, biases and positions."""
    named = [(name, weights) for name, weights in model.named_parameters() if weights.requires_grad]
    matrices = [p for n, p in named if p.ndim >= 2 and "position" not in n]
    rest = [p for n, p in named if p.ndim < 2 or "position" in n]
    groups = [{"params": matrices, "weight_decay": 0.05}, {"params": rest, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=peak, betas=(0.9, 0.97), fused=torch.cuda.is_available())


class Trainer:
    """One training run."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args, self.clock = args, Clock(args.minutes)
        args.out.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(args.seed)
        random.seed(args.seed)
        torch.set_float32_matmul_precision("high")
        # Fork the workers before CUDA is initialized.
        text_workers = max(1, args.workers // 4)
        streams = {"texts": (args.rows, text_workers)}
        if not args.text_only:
            streams["pictures"] = (args.pictures, max(1, args.workers - text_workers))
        loaders = {kind: iter(loader(Stream(kind, rows, args.seed), n)) for kind, (rows, n) in streams.items()}
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model = Joint(TINY if args.tiny else LlamaConfig(), args.text_only).to(self.device)
        if args.resume:
            load(args.resume, self.model)
        if args.bundled:
            load_bundled(self.model)
            self.model.freeze_tower()
        if args.compile:
            torch._dynamo.config.recompile_limit = 64  # one for each row length
            for block in self.model.blocks():
                block.compile(dynamic=False)
        self.optimizer = optimizer(self.model, args.rate)
        self.held_out = HeldOut(self.device, args.held_out, args.text_only)
        self.feeds = {kind: Feed(batches, self.device) for kind, batches in loaders.items()}
        self.steps, self.sums = 0, torch.zeros(3, device=self.device)

    def run(self) -> None:
        """Train until the budget is spent, then write `final.pt`."""
        sizes = {name: sum(p.numel() for p in part.parameters()) for name, part in self.model.parts().items()}
        print(f"parameters {sizes} on {self.device}", flush=True)
        reported, steps, saved = time.time(), 0, time.time()
        while self.clock.share < 1:
            self._step(self.clock.share)
            now = time.time()
            if now - reported > self.args.report_s:
                self._report((self.steps - steps), now - reported)
                reported, steps = time.time(), self.steps
            if now - saved > self.args.checkpoint_s:
                save(self.args.out / "checkpoint.pt", self.model)
                saved = now
        save(self.args.out / "final.pt", self.model)
        print(f"done after {self.steps} steps, held out {self._evaluate()}", flush=True)
        # The workers never end.
        os._exit(0)

    def _step(self, share: float) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = rate(share, self.args.rate)
        with self._autocast():
            text_loss = self.model.text_loss(self.feeds["texts"].next())
        text_loss.backward()
        self.sums[0] += text_loss.detach()
        if "pictures" in self.feeds:
            resumed = self.args.resume or self.args.bundled
            self.sums[1:] += self._picture_step(0.99 if resumed else share)
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.steps += 1

    def _picture_step(self, share: float) -> Tensor:
        """Run the backward pass of a picture batch.

        Return the losses of the answers (0 while only the tower trains) and of the probe.
        """
        if share < TOWER_FIRST:
            for _ in range(TOWER_BATCHES):
                with self._autocast():
                    probe_loss = self.model.probe_loss(self.feeds["pictures"].next())
                probe_loss.backward()
            return torch.stack([torch.zeros_like(probe_loss), probe_loss.detach()])
        with self._autocast():
            answer_loss, probe_loss = self.model.picture_loss(self.feeds["pictures"].next())
        (answer_loss + (PROBE_WEIGHT if share < PROBE_EARLY else PROBE_WEIGHT_LATE) * probe_loss).backward()
        return torch.stack([answer_loss.detach(), probe_loss.detach()])

    def _report(self, steps: int, seconds: float) -> None:
        """Print the mean losses of texts, pictures and probe, held-out figures, and the share of new batches."""
        losses = [round(x, 4) for x in (self.sums / steps).tolist()]
        figures = {name: round(figure, 3) for name, figure in self._evaluate().items()}
        fresh = {kind: round(feed.new / (feed.new + feed.old), 2) for kind, feed in self.feeds.items()}
        share = self.clock.share
        print(
            f"{share:.3f} step {self.steps} {steps / seconds:.2f}/s loss {losses} held out {figures} fresh {fresh} "
            f"rate {rate(share, self.args.rate):.2e}",
            flush=True,
        )
        self.sums.zero_()

    def _evaluate(self) -> dict[str, float]:
        self.model.eval()
        # Compilation would take longer than these few runs.
        with self._autocast(), torch.compiler.set_stance("force_eager"):
            figures = self.held_out.measure(self.model)
        self.model.train()
        return figures

    def _autocast(self) -> torch.autocast:
        bfloat16 = self.device.type == "cuda" or torch.ops.mkldnn._is_mkldnn_bf16_supported()
        return torch.autocast(self.device.type, torch.bfloat16, enabled=bfloat16)


def arguments() -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20, help="wall-clock budget, from the start of the process")
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoint.pt and final.pt")
    parser.add_argument("--workers", type=int, default=12, help="processes that generate data")
    start = parser.add_mutually_exclusive_group()
    start.add_argument("--resume", type=Path, help="weights to start from")
    start.add_argument(
        "--bundled", action="store_true", help="start from the bundled files; trains the language model only"
    )
    parser.add_argument("--rows", type=int, default=80, help="rows of 512 ids in a batch of conversations")
    parser.add_argument("--pictures", type=int, default=448, help="pictures in a batch")
    parser.add_argument("--rate", type=float, default=1.5e-3, help="peak learning rate")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--held-out", type=int, default=256, help="number of held-out questions and of pictures")
    parser.add_argument("--report-s", type=float, default=15)
    parser.add_argument("--checkpoint-s", type=float, default=180)
    parser.add_argument("--text-only", action="store_true", help="without pictures")
    parser.add_argument("--compile", action="store_true", help="use torch.compile on the blocks of both models")
    parser.add_argument("--tiny", action="store_true", help="a tiny model, to test the code")
    return parser.parse_args()


if __name__ == "__main__":
    Trainer(arguments()).run()
