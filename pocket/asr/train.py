"""Training from scratch within a wall-clock budget, while worker processes are still reading aloud.

    python -m pocket.asr.train --minutes 22 --workers 10 --out DIR

Writes DIR/checkpoint.pt every few minutes and DIR/final.pt at the end: half-precision weights, the shape of the
network and its tokenizer. `--resume FILE` starts from such a file, `--shipped` from the bundled weights. With `--learn
decoder` only the decoder learns, say other sentences, which a CPU can do (`--shipped --learn decoder --peak 2e-4
--batch 4 --workers 1 --hours 4 --look-s 1e9`).
"""

import argparse
import json
import os
import random
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from pocket.asr import noise, score, text, voices
from pocket.asr.features import HOP, SAMPLES, LogMel
from pocket.asr.mixture import Mixer
from pocket.asr.model import Recognizer, config
from pocket.asr.pool import Pool
from pocket.asr.shipped import load_shipped
from pocket.asr.speech import Readers
from pocket.asr.tokens import Tokens

WARM_UP = 0.05
RAMP = 0.5
"""The share of the time over which the sound gets as bad as it gets: clean speech is learned first, and sooner."""
WINDOWS = ((0.3, 5), (0.7, 3))
"""Up to these shares of the time windows are a fifth and a third of 30 s long, as many times more of them; then whole
ones."""
PROGRESS_S = 15.0
CHECKPOINT_S = 180.0


@dataclass(frozen=True)
class Look:
    """Held-out clips of one kind, for a cheap figure now and then."""

    name: str
    features: Tensor
    texts: list[str]


def main() -> None:
    started = time.monotonic()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=22.0, help="wall-clock budget, counted from the start")
    parser.add_argument("--workers", type=int, default=10, help="processes that read aloud")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--batch", type=int, default=160, help="clips of 30 s in a step; three times as many of 10 s")
    parser.add_argument(
        "--pocket-share", type=float, default=0.0, help="share of sentences that the pocket voice reads"
    )
    parser.add_argument("--hours", type=float, default=180.0, help="room for this many hours of speech on the device")
    parser.add_argument("--noises", type=int, default=800, help="room for this many half-minutes of noise")
    parser.add_argument("--peak", type=float, default=1.5e-3, help="highest learning rate; lower it with --resume")
    parser.add_argument("--seed", type=int, default=20_000, help="another one reads other sentences")
    start = parser.add_mutually_exclusive_group()
    start.add_argument("--resume", type=Path, help="weights to start from")
    start.add_argument("--shipped", action="store_true", help="start from the bundled weights")
    parser.add_argument("--learn", choices=("all", "decoder"), default="all")
    parser.add_argument("--look-s", type=float, default=75.0, help="seconds between looks at held-out clips")
    parser.add_argument("--compile", action="store_true", help="use torch.compile on the encoder")
    parser.add_argument("--tiny", action="store_true", help="a toy model: tries the code on a CPU")
    args = parser.parse_args()
    readers = Readers(args.workers, args.seed, args.pocket_share)
    try:
        train(args, readers, started)
    finally:
        readers.stop()


def train(args: argparse.Namespace, readers: Readers, started: float) -> None:
    """Fill the pool and train until the time is up."""
    torch.manual_seed(args.seed)
    torch.backends.cuda.matmul.allow_tf32 = True
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    tokens, model = _begin(args, device)
    looks = _looks(device, 4 if args.tiny else 48)
    pool = Pool(tokens, device, int(args.hours * 3600 * voices.RATE_HZ), args.noises)
    while len(pool.clips) < (48 if args.tiny else 500 if args.learn == "decoder" else 2_000):
        if pack := readers.collect(wait_s=60.0):
            pool.add(pack)
    mixer = Mixer(pool, tokens, args.seed, args.batch)
    decayed = [p for p in model.parameters() if p.requires_grad and p.ndim > 1]
    plain = [p for p in model.parameters() if p.requires_grad and p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": 0.05}, {"params": plain, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=args.peak, betas=(0.9, 0.98), fused=True)
    if args.compile:
        torch._dynamo.config.recompile_limit = 64  # one for each length of window
        for layer in model.whisper.model.encoder.layers:
            layer.compile(dynamic=False)
    args.out.mkdir(parents=True, exist_ok=True)
    budget_s = args.minutes * 60
    begun = progressed = looked = saved = time.monotonic()
    print(f"model {sum(p.numel() for p in model.parameters()) / 1e6:.2f}M, ready {begun - started:.0f} s", flush=True)
    step = reported = 0
    while time.monotonic() - started < budget_s:
        # Before the first step nothing is learned, so the schedule counts from there to the end of the budget.
        share = (time.monotonic() - begun) / max(budget_s - (begun - started), 1)
        for group in optimizer.param_groups:
            group["lr"] = args.peak * _schedule(share)
        for _ in range(2):
            if not pool.full and (pack := readers.collect()):
                pool.add(pack)
        hardness = 1.0 if args.resume or args.shipped else min(1.0, 0.1 + 0.9 * share / RAMP)
        batch = mixer.draw(hardness, window=_window(share))
        with torch.autocast(device.type, torch.bfloat16):
            written, spelled = model(
                batch.features, batch.inputs, batch.labels, batch.frames, batch.letters, batch.letter_counts
            )
        (written if args.learn == "decoder" else written + (1.0 if share < 0.5 else 0.3) * spelled).backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        # The fused optimizer leaves a step out where this is 1, without the device having to be asked.
        optimizer.found_inf = (~norm.isfinite()).float()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        step += 1
        now = time.monotonic()
        if now - progressed > PROGRESS_S:
            speed = (step - reported) / (now - progressed)
            print(
                f"{now - started:5.0f} s  step {step}  {speed:.2f}/s  decoder {written.item():.3f}  "
                f"ctc {spelled.item():.3f}  clips {len(pool.clips)} ({pool.hours:.1f} h)  noises {pool.noises}",
                flush=True,
            )
            progressed, reported = now, step
        if now - looked > args.look_s:
            print("  held out, word errors:", _figures(model, looks, tokens), flush=True)
            looked = time.monotonic()
        if now - saved > CHECKPOINT_S:
            save(model, tokens, args.out / "checkpoint.pt")
            saved = now
    save(model, tokens, args.out / "final.pt")
    memory = torch.cuda.max_memory_allocated() / 2**30 if device.type == "cuda" else 0
    print(f"done: step {step}, {memory:.0f} GiB; word errors:", _figures(model, looks, tokens), flush=True)


def save(model: Recognizer, tokens: Tokens, path: Path) -> None:
    """Weights in half precision, shape and tokenizer; the file appears whole or not at all."""
    weights = {name: value.detach().half().cpu() for name, value in model.state_dict().items()}
    partial = path.with_suffix(".partial")
    shape = model.whisper.config.to_json_string(use_diff=False)
    torch.save({"weights": weights, "tokenizer": tokens.tokenizer.to_str(), "shape": shape}, partial)
    os.replace(partial, path)


def load(path: Path) -> tuple[Recognizer, Tokens]:
    """What `save` wrote, in single precision on the CPU."""
    saved = torch.load(path, map_location="cpu", weights_only=True)
    tokens = Tokens(Tokenizer.from_str(saved["tokenizer"]))
    shape = config(tokens)
    stored = json.loads(saved["shape"])
    for name in ("d_model", "encoder_layers", "decoder_layers", "encoder_ffn_dim", "decoder_ffn_dim"):
        setattr(shape, name, stored[name])
    shape.encoder_attention_heads = shape.decoder_attention_heads = stored["decoder_attention_heads"]
    model = Recognizer(shape)
    model.load_state_dict({name: value.float() for name, value in saved["weights"].items()})
    return model, tokens


def _begin(args: argparse.Namespace, device: torch.device) -> tuple[Tokens, Recognizer]:
    if args.resume:
        model, tokens = load(args.resume)
    elif args.shipped:
        model, tokens = load_shipped()
    else:
        rng = random.Random(args.seed)
        tokens = Tokens.learn(text.sentence(rng) for _ in range(2_000 if args.tiny else 60_000))
        model = Recognizer(config(tokens, args.tiny))
    if args.learn == "decoder":
        model.whisper.model.encoder.requires_grad_(False)
    return tokens, model.to(device).train()


def _looks(device: torch.device, count: int) -> list[Look]:
    rng = random.Random(1)
    sentences = text.held_out_sentences(rng)
    mel = LogMel().to(device)
    looks = []
    with ThreadPoolExecutor(4) as readers:
        for name, snr_db in (("training voices", None), ("other voice, 15 dB", 15.0)):
            texts = [next(sentences) for _ in range(count)]
            chosen = [voices.pick(rng) if snr_db is None else voices.HELD_OUT for _ in texts]
            clips = [clip.astype(np.float32) / 32768 for clip in readers.map(voices.speak, texts, chosen)]
            if snr_db is not None:
                sounds = np.random.default_rng(1)
                clips = [noise.mix(clip, noise.coloured(sounds, len(clip), 1.0), snr_db) for clip in clips]
            audio = torch.zeros(count, SAMPLES)
            for row, clip in zip(audio, clips, strict=True):
                row[: len(clip)] = torch.from_numpy(clip)[:SAMPLES]
            frames = torch.tensor([len(clip) // HOP for clip in clips])
            looks.append(Look(name, mel(audio.to(device), frames.to(device)), texts))
    return looks


def _figures(model: Recognizer, looks: list[Look], tokens: Tokens) -> str:
    model.eval()
    figures = []
    for look in looks:
        # What is looked at now and then is not worth compiling for.
        with torch.autocast(look.features.device.type, torch.bfloat16), torch.compiler.set_stance("force_eager"):
            heard = model.transcribe(look.features, tokens)
        rate = score.word_error_rate(zip(look.texts, heard, strict=True))
        figures.append(f"{look.name} {100 * rate:.1f} % ({look.texts[0]!r} -> {heard[0]!r})")
    model.train()
    return "; ".join(figures)


def _window(share: float) -> int:
    """How many windows make 30 s at this share of the time."""
    return next((parts for end, parts in WINDOWS if share < end), 1)


def _schedule(share: float) -> float:
    """The learning rate's part of its peak at this share of the time: a short rise, then a straight fall to zero."""
    return min(1.0, share / WARM_UP) * max(0.0, min(1.0, (1 - share) / (1 - 0.25)))


if __name__ == "__main__":
    main()
