"""Trains the language model and the vision tower together, from nothing, within a wall-clock budget.

`python -m pocket.llm.train --minutes 20 --workers 12 --out DIR` makes its data while it trains. A step is one batch of
packed conversations and one of pictures under one optimizer. The learning rate follows the elapsed share of the budget.
"""

import argparse
import os
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pocket.llm.batches import (
    PictureBatch,
    Stream,
    TextBatch,
    conversation_row,
    llava_row,
    loader,
    picture_row,
    shown,
    stacked,
)
from pocket.llm.model import TINY, Llama, LlamaConfig
from pocket.llm.talk import labelled
from pocket.llm.tokenizer import PAD
from pocket.vision import scenes
from pocket.vision.tower import PatchProbe, VisionTower

EARLY_PROBE_WEIGHT, PROBE_WEIGHT = 1.0, 0.3
"""The probe weighs more in the first part of a training from nothing: it makes the tower see early."""


class Joint(nn.Module):
    """The language model with the tower; the probe only teaches."""

    def __init__(self, config: LlamaConfig, text_only: bool = False) -> None:
        super().__init__()
        self.llm = Llama(config)
        self.tower = None if text_only else VisionTower(config.width)
        self.probe = None if text_only else PatchProbe(config.width)

    def text_loss(self, batch: TextBatch) -> Tensor:
        """Mean weighted cross-entropy of packed conversations."""
        hidden = self.llm.hidden(self.llm.embedding(batch.ids), batch.documents)
        return _weighted(self.llm.logits(hidden), batch.targets, batch.weight)

    def picture_logits(self, batch: PictureBatch) -> tuple[Tensor, Tensor]:
        """Logits (B, T, vocabulary) and the pictures' embeddings (B, N_TOKENS, width)."""
        seen = self.tower(batch.pixels)
        x = self.llm.embedding(batch.ids)
        places = batch.starts[:, None] + torch.arange(seen.shape[1], device=seen.device)
        x = x.scatter(1, places[..., None].expand_as(seen), seen.to(x.dtype))
        return self.llm.logits(self.llm.hidden(x)), seen

    def picture_loss(self, batch: PictureBatch) -> tuple[Tensor, Tensor]:
        """Mean weighted cross-entropy of what is said about pictures, and the probe's loss."""
        logits, seen = self.picture_logits(batch)
        return _weighted(logits, batch.targets, batch.weight), self.probe.loss(seen, batch.labels)


def _weighted(logits: Tensor, targets: Tensor, weight: Tensor) -> Tensor:
    losses = F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten(), reduction="none")
    weight = weight.flatten()
    return (losses * weight).sum() / weight.sum()


class Feed:
    """Batches on the device, fetched by a thread. When no new one is ready an earlier one comes again."""

    def __init__(self, batches: Iterable[Any], device: torch.device, kept: int = 300) -> None:
        self.fresh: deque[Any] = deque()
        self.pool: deque[Any] = deque(maxlen=kept)
        self.new = self.old = 0
        self._device, self._arrived = device, threading.Condition()
        threading.Thread(target=self._fetch, args=(iter(batches),), daemon=True).start()

    def _fetch(self, batches: Iterator[Any]) -> None:
        for batch in batches:
            moved = type(batch)(*(tensor.to(self._device, non_blocking=True) for tensor in batch))
            with self._arrived:
                self._arrived.wait_for(lambda: len(self.fresh) < 8)
                self.fresh.append(moved)
                self._arrived.notify_all()

    def next(self) -> Any:
        """The next batch; waits only for the first ones."""
        with self._arrived:
            if not self.fresh and len(self.pool) < min(8, self.pool.maxlen or 8):
                self._arrived.wait_for(lambda: self.fresh)
            if self.fresh:
                self.new += 1
                self.pool.append(self.fresh.popleft())
                self._arrived.notify_all()
                return self.pool[-1]
        self.old += 1
        return random.choice(self.pool)


class HeldOut:
    """How many held-out answers the model gets word for word: an answer that is the most likely one at each of its
    ids is the one that greedy decoding gives."""

    def __init__(self, device: torch.device, count: int, text_only: bool, seed: int = 9) -> None:
        rng = random.Random(f"held out {seed}")
        self.rows = []
        while len(self.rows) < count:
            messages, ability = labelled(rng, held_out=True)
            row = conversation_row(messages)
            if ability != "tale" and len(row.ids) < 400:
                answer = conversation_row(messages[:-1])
                self.rows.append((row.ids, len(answer.ids)))
        width = max(len(ids) for ids, _ in self.rows)
        self.ids = torch.tensor([ids + [PAD] * (width - len(ids)) for ids, _ in self.rows], device=device)
        self.pictures = None
        if not text_only:
            made = []
            for index, example in enumerate(scenes.held_out(seed, count)):
                write = llava_row if index % 4 == 0 else picture_row
                row, start = write(list(example.messages), example.image_turn, rng)
                made.append(shown(example, row, start))
            self.pictures = PictureBatch(*(tensor.to(device) for tensor in stacked(made)))

    @torch.no_grad()
    def measure(self, model: Joint) -> dict[str, float]:
        """Share of answers right, of texts and of pictures."""
        guesses = model.llm(self.ids).argmax(-1)
        right = 0
        for index, (ids, start) in enumerate(self.rows):
            # The role token stands at `start`; what follows it is the answer.
            said = slice(start + 1, len(ids))
            right += bool((guesses[index, start : len(ids) - 1] == self.ids[index, said]).all())
        figures = {"texts": right / len(self.rows)}
        if self.pictures:
            guesses = model.picture_logits(self.pictures)[0].argmax(-1)
            wrong = ((guesses != self.pictures.targets) & (self.pictures.weight == 1)).any(1)
            figures["pictures"] = 1 - wrong.float().mean().item()
        return figures


class Clock:
    """The share of the budget that is spent, counted from the start of the process."""

    def __init__(self, minutes: float) -> None:
        self.started, self.seconds = time.time() - _age_s(), minutes * 60

    @property
    def share(self) -> float:
        """0 at the start, 1 at the end."""
        return (time.time() - self.started) / self.seconds


def _age_s() -> float:
    """Seconds since this process was started (0 where the system does not tell)."""
    try:
        ticks = float(Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()[19])
        return float(Path("/proc/uptime").read_text().split()[0]) - ticks / os.sysconf("SC_CLK_TCK")
    except OSError:
        return 0.0


def rate(share: float, peak: float) -> float:
    """Learning rate: up over the first 2 %, flat to 55 %, then straight down to nearly nothing."""
    return peak * min(1.0, share / 0.02 + 0.02, max(0.005, (1 - share) / 0.45))


def save(path: Path, model: Joint) -> None:
    """Writes the weights in fp16 with their configuration, all or nothing."""
    half = {name: {k: v.half().cpu() for k, v in part.state_dict().items()} for name, part in _parts(model).items()}
    towers = {"tower": model.tower.config.to_dict()} if model.tower else {}
    whole = {**half, "config": {"llm": model.llm.config.to_dict(), **towers}}
    partial = path.with_suffix(".part")
    torch.save(whole, partial)
    os.replace(partial, path)


def _parts(model: Joint) -> dict[str, nn.Module]:
    return {"llm": model.llm} | ({"tower": model.tower, "probe": model.probe} if model.tower else {})


def load(path: Path, model: Joint) -> None:
    """Takes up the weights of a checkpoint."""
    kept = torch.load(path, map_location="cpu", weights_only=True)
    for name, part in _parts(model).items():
        if name in kept:
            part.load_state_dict(kept[name])


def optimizer(model: nn.Module, peak: float) -> torch.optim.AdamW:
    """AdamW; matrices decay, norms, biases and positions do not."""
    named = list(model.named_parameters())
    matrices = [p for n, p in named if p.ndim >= 2 and "position" not in n]
    rest = [p for n, p in named if p.ndim < 2 or "position" in n]
    groups = [{"params": matrices, "weight_decay": 0.05}, {"params": rest, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=peak, betas=(0.9, 0.97), fused=torch.cuda.is_available())


def train(args: argparse.Namespace) -> None:
    """Runs until the budget is spent, then writes `final.pt`."""
    clock = Clock(args.minutes)
    args.out.mkdir(parents=True, exist_ok=True)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(args.seed)
    random.seed(args.seed)
    torch.set_float32_matmul_precision("high")
    # The workers are forked before the device is touched.
    texts = iter(loader(Stream("texts", args.rows, args.seed), max(1, args.workers // 3)))
    views = (
        None
        if args.text_only
        else iter(loader(Stream("pictures", args.pictures, args.seed), max(1, args.workers - args.workers // 3)))
    )
    model = Joint(TINY if args.tiny else LlamaConfig(), args.text_only).to(device)
    if args.resume:
        load(args.resume, model)
    sizes = {name: sum(p.numel() for p in part.parameters()) for name, part in _parts(model).items()}
    print(f"parameters {sizes} on {device}", flush=True)
    held_out = HeldOut(device, args.held_out, args.text_only)
    text_feed = Feed(texts, device)
    picture_feed = None if views is None else Feed(views, device)
    optimiser = optimizer(model, args.rate)
    text_loss, picture_loss = model.text_loss, model.picture_loss
    if args.compile:
        text_loss, picture_loss = _compiled(text_loss), _compiled(picture_loss)
    step, last, reported, kept = 0, time.time(), 0, time.time()
    sums = torch.zeros(3, device=device)
    while clock.share < 1:
        for group in optimiser.param_groups:
            group["lr"] = rate(clock.share, args.rate)
        with _autocast(device):
            said = text_loss(text_feed.next())
        said.backward()
        losses = [said.detach()]
        if picture_feed:
            with _autocast(device):
                described, probed = picture_loss(picture_feed.next())
            early = clock.share < 0.3 and not args.resume
            (described + (EARLY_PROBE_WEIGHT if early else PROBE_WEIGHT) * probed).backward()
            losses += [described.detach(), probed.detach()]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        sums[: len(losses)] += torch.stack(losses)
        step += 1
        if time.time() - last > args.report_s:
            mean = [round(x, 4) for x in (sums / (step - reported)).tolist()]
            figures = {k: round(v, 3) for k, v in _measured(held_out, model, device).items()}
            speed = (step - reported) / (time.time() - last)
            feeds = {"text": text_feed} | ({"pictures": picture_feed} if picture_feed else {})
            fresh = {k: f"{f.new / (f.new + f.old):.2f}" for k, f in feeds.items()}
            print(
                f"{clock.share:.3f} step {step} {speed:.2f}/s loss {mean} held out {figures} fresh {fresh} "
                f"rate {rate(clock.share, args.rate):.2e}",
                flush=True,
            )
            sums.zero_()
            last, reported = time.time(), step
        if time.time() - kept > args.keep_s:
            save(args.out / "checkpoint.pt", model)
            kept = time.time()
    save(args.out / "final.pt", model)
    print(f"done after {step} steps, held out {_measured(held_out, model, device)}", flush=True)
    # The workers would go on for ever.
    os._exit(0)


def _autocast(device: torch.device) -> torch.autocast:
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")


def _compiled(loss: Callable[..., Any]) -> Callable[..., Any]:
    """The loss compiled; as it was from the first time on that compiling fails."""
    current = torch.compile(loss, dynamic=False)

    def call(batch: Any) -> Any:
        nonlocal current
        try:
            return current(batch)
        except Exception as error:
            if current is loss:
                raise
            print(f"not compiled: {type(error).__name__}: {str(error)[:300]}", flush=True)
            current = loss
            return loss(batch)

    return call


def _measured(held_out: HeldOut, model: Joint, device: torch.device) -> dict[str, float]:
    model.eval()
    with _autocast(device):
        figures = held_out.measure(model)
    model.train()
    return figures


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20, help="wall-clock budget, from the start of the process")
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoint.pt and final.pt")
    parser.add_argument("--workers", type=int, default=12, help="processes that make data")
    parser.add_argument("--resume", type=Path, help="weights to go on from")
    parser.add_argument("--rows", type=int, default=128, help="rows of 512 ids in a batch of conversations")
    parser.add_argument("--pictures", type=int, default=256, help="pictures in a batch")
    parser.add_argument("--rate", type=float, default=1.5e-3, help="peak learning rate")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--held-out", type=int, default=256, help="questions, and pictures, of the held-out figure")
    parser.add_argument("--report-s", type=float, default=15)
    parser.add_argument("--keep-s", type=float, default=180)
    parser.add_argument("--text-only", action="store_true", help="without pictures")
    parser.add_argument("--tiny", action="store_true", help="a tiny model, to try the code")
    parser.add_argument("--compile", action="store_true", help="torch.compile the losses")
    return parser.parse_args()


if __name__ == "__main__":
    train(arguments())
