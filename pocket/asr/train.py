"""Train the recognizer within a wall-clock budget, while worker processes synthesize the clips.

    python -m pocket.asr.train --minutes 22 --workers 10 --out DIR

Write DIR/checkpoint.pt every few minutes and DIR/final.pt at the end: half-precision weights, the architecture and the
tokenizer. `--resume FILE` starts from such a file, `--bundled` from the bundled weights. `--learn decoder` trains the
decoder only, for example for other sentences, which is possible on a CPU (`--bundled --learn decoder --peak 2e-4
--batch 4 --workers 1 --hours 4 --evaluate-s 1e9`).
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
from pocket.asr.bundled import load_bundled
from pocket.asr.features import HOP, SAMPLES, LogMel
from pocket.asr.mixture import Mixer
from pocket.asr.model import Recognizer, config
from pocket.asr.pool import Pool
from pocket.asr.speech import SpeechWorkers
from pocket.asr.tokens import Tokens

WARM_UP = 0.05
RAMP = 0.5
"""The share of the time over which the share of augmented rows rises to 1, as clean speech is learned faster."""
WINDOWS = ((0.3, 5), (0.7, 3))
"""(share of the time up to which it applies, n): windows of 30 / n seconds, n times as many. Then windows of 30 s."""
PROGRESS_S = 15.0
CHECKPOINT_S = 180.0


@dataclass(frozen=True)
class HeldOutClips:
    """Held-out clips of one kind, for a fast evaluation during training."""

    name: str
    features: Tensor
    texts: list[str]


def main() -> None:
    started = time.monotonic()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=22.0, help="wall-clock budget, counted from the start")
    parser.add_argument("--workers", type=int, default=10, help="processes that synthesize speech")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--batch", type=int, default=160, help="clips of 30 s in a step; three times as many of 10 s")
    parser.add_argument("--pocket-share", type=float, default=0.0, help="share of sentences in the pocket voice")
    parser.add_argument("--hours", type=float, default=180.0, help="capacity for speech on the device")
    parser.add_argument("--noises", type=int, default=800, help="capacity for noise on the device, in half minutes")
    parser.add_argument("--peak", type=float, default=1.5e-3, help="highest learning rate; lower it with --resume")
    parser.add_argument("--seed", type=int, default=20_000, help="another seed gives other sentences")
    start = parser.add_mutually_exclusive_group()
    start.add_argument("--resume", type=Path, help="weights to start from")
    start.add_argument("--bundled", action="store_true", help="start from the bundled weights")
    parser.add_argument("--learn", choices=("all", "decoder"), default="all")
    parser.add_argument("--evaluate-s", type=float, default=75.0, help="seconds between evaluations")
    parser.add_argument("--compile", action="store_true", help="use torch.compile on the encoder")
    parser.add_argument("--tiny", action="store_true", help="a toy model, to test the code on a CPU")
    args = parser.parse_args()
    workers = SpeechWorkers(args.workers, args.seed, args.pocket_share)
    try:
        train(args, workers, started)
    finally:
        workers.stop()


def train(args: argparse.Namespace, workers: SpeechWorkers, started: float) -> None:
    """Fill the pool and train until the budget is spent. `started` is a value of `time.monotonic`."""
    torch.manual_seed(args.seed)
    torch.backends.cuda.matmul.allow_tf32 = True
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    tokens, model = _initial_model(args, device)
    held_out = _held_out_clips(device, 4 if args.tiny else 48)
    pool = Pool(tokens, device, int(args.hours * 3600 * voices.RATE_HZ), args.noises)
    while len(pool.clips) < (48 if args.tiny else 500 if args.learn == "decoder" else 2_000):
        if pack := workers.collect(wait_s=60.0):
            pool.add(pack)
    mixer = Mixer(pool, tokens, args.seed, args.batch)
    decayed = [p for p in model.parameters() if p.requires_grad and p.ndim > 1]
    plain = [p for p in model.parameters() if p.requires_grad and p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": 0.05}, {"params": plain, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=args.peak, betas=(0.9, 0.98), fused=True)
    if args.compile:
        torch._dynamo.config.recompile_limit = 64  # one for each window length
        for layer in model.whisper.model.encoder.layers:
            layer.compile(dynamic=False)
    args.out.mkdir(parents=True, exist_ok=True)
    budget_s = args.minutes * 60
    first_step_at = progressed = evaluated = saved = time.monotonic()
    print(
        f"model {sum(p.numel() for p in model.parameters()) / 1e6:.2f}M, ready {first_step_at - started:.0f} s",
        flush=True,
    )
    step = reported = 0
    while time.monotonic() - started < budget_s:
        # The schedule starts at the first step, after the setup, and ends with the budget.
        share = (time.monotonic() - first_step_at) / max(budget_s - (first_step_at - started), 1)
        for group in optimizer.param_groups:
            group["lr"] = args.peak * _schedule(share)
        for _ in range(2):
            if not pool.full and (pack := workers.collect()):
                pool.add(pack)
        augmented = 1.0 if args.resume or args.bundled else min(1.0, 0.1 + 0.9 * share / RAMP)
        batch = mixer.draw(augmented, window=_window(share))
        with torch.autocast(device.type, torch.bfloat16):
            decoder_loss, ctc_loss = model(
                batch.features, batch.inputs, batch.labels, batch.frames, batch.targets, batch.target_lengths
            )
        loss = decoder_loss
        if args.learn == "all":
            loss = loss + (1.0 if share < 0.5 else 0.3) * ctc_loss
        loss.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        # The fused optimizer skips a step where this is 1, without a synchronization with the device.
        optimizer.found_inf = (~norm.isfinite()).float()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        step += 1
        now = time.monotonic()
        if now - progressed > PROGRESS_S:
            speed = (step - reported) / (now - progressed)
            print(
                f"{now - started:5.0f} s  step {step}  {speed:.2f}/s  decoder {decoder_loss.item():.3f}  "
                f"ctc {ctc_loss.item():.3f}  clips {len(pool.clips)} ({pool.hours:.1f} h)  noises {pool.noises}",
                flush=True,
            )
            progressed, reported = now, step
        if now - evaluated > args.evaluate_s:
            print("  held out, word errors:", _evaluate(model, held_out, tokens), flush=True)
            evaluated = time.monotonic()
        if now - saved > CHECKPOINT_S:
            save(model, tokens, args.out / "checkpoint.pt")
            saved = now
    save(model, tokens, args.out / "final.pt")
    memory = torch.cuda.max_memory_allocated() / 2**30 if device.type == "cuda" else 0
    print(f"done: step {step}, {memory:.0f} GiB; word errors:", _evaluate(model, held_out, tokens), flush=True)


def save(model: Recognizer, tokens: Tokens, path: Path) -> None:
    """Write weights in half precision, architecture and tokenizer atomically."""
    weights = {name: value.detach().half().cpu() for name, value in model.state_dict().items()}
    partial = path.with_suffix(".partial")
    shape = model.whisper.config.to_json_string(use_diff=False)
    torch.save({"weights": weights, "tokenizer": tokens.tokenizer.to_str(), "shape": shape}, partial)
    os.replace(partial, path)


def load(path: Path) -> tuple[Recognizer, Tokens]:
    """Load a file of `save`, in single precision on the CPU."""
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


def _initial_model(args: argparse.Namespace, device: torch.device) -> tuple[Tokens, Recognizer]:
    if args.resume:
        model, tokens = load(args.resume)
    elif args.bundled:
        model, tokens = load_bundled()
    else:
        rng = random.Random(args.seed)
        tokens = Tokens.learn(text.sentence(rng) for _ in range(2_000 if args.tiny else 60_000))
        model = Recognizer(config(tokens, args.tiny))
    if args.learn == "decoder":
        model.whisper.model.encoder.requires_grad_(False)
    return tokens, model.to(device).train()


def _held_out_clips(device: torch.device, count: int) -> list[HeldOutClips]:
    rng = random.Random(1)
    sentences = text.held_out_sentences(rng)
    mel = LogMel().to(device)
    held_out = []
    with ThreadPoolExecutor(4) as executor:
        for name, snr_db in (("training voices", None), ("other voice, 15 dB", 15.0)):
            texts = [next(sentences) for _ in range(count)]
            chosen = [voices.choose(rng) if snr_db is None else voices.HELD_OUT for _ in texts]
            clips = [clip.astype(np.float32) / 32768 for clip in executor.map(voices.speak, texts, chosen)]
            if snr_db is not None:
                sounds = np.random.default_rng(1)
                clips = [noise.mix(clip, noise.coloured(sounds, len(clip), 1.0), snr_db) for clip in clips]
            audio = torch.zeros(count, SAMPLES)
            for row, clip in zip(audio, clips, strict=True):
                row[: len(clip)] = torch.from_numpy(clip)[:SAMPLES]
            frames = torch.tensor([len(clip) // HOP for clip in clips])
            held_out.append(HeldOutClips(name, mel(audio.to(device), frames.to(device)), texts))
    return held_out


def _evaluate(model: Recognizer, held_out: list[HeldOutClips], tokens: Tokens) -> str:
    model.eval()
    figures = []
    for clips in held_out:
        # Compilation would take longer than these few runs.
        with torch.autocast(clips.features.device.type, torch.bfloat16), torch.compiler.set_stance("force_eager"):
            transcripts = model.transcribe(clips.features, tokens)
        rate = score.word_error_rate(zip(clips.texts, transcripts, strict=True))
        figures.append(f"{clips.name} {100 * rate:.1f} % ({clips.texts[0]!r} -> {transcripts[0]!r})")
    model.train()
    return "; ".join(figures)


def _window(share: float) -> int:
    """Return how many windows make 30 s at this share of the time."""
    return next((parts for end, parts in WINDOWS if share < end), 1)


def _schedule(share: float) -> float:
    """Return the fraction of the peak learning rate at this share of the time: a linear rise, a plateau and a fall."""
    return min(1.0, share / WARM_UP) * max(0.0, min(1.0, (1 - share) / (1 - 0.25)))


if __name__ == "__main__":
    main()
