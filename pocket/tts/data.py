"""The training data: shards of the teacher's speech with the frames of each symbol.

`python -m pocket.tts.data --out DIR` writes held_out.npz and then shard-*.npz to DIR, each atomically, while the models
already train. `Corpus` loads them onto the training device and grows as they appear.
"""

import argparse
import itertools
import multiprocessing
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pocket.tts import features, model, teacher, text
from pocket.tts.align import Aligner

SHARD_CLIPS = 100
HELD_OUT_CLIPS = 96
ALIGNED_CLIPS = 600  # clips that train the aligner
MAX_FRAMES = 10 * features.RATE_HZ // features.HOP


@dataclass(frozen=True)
class Clip:
    """A cleaned text, its speech as int16 padded to whole frames, and the phone in the middle of each frame."""

    cleaned: str
    pcm: np.ndarray
    frames: list[str]


def make_clip(raw: str) -> Clip | None:
    """Return the teacher's speech of `raw`; None if it is empty, too long, or has more symbols than frames."""
    cleaned = text.clean(raw)
    if not any(character.isalpha() for character in cleaned):
        return None
    utterance = teacher.synthesize(cleaned)
    count = -(-len(utterance.pcm) // features.HOP)
    if not len(text.symbols(cleaned)) <= count <= MAX_FRAMES:
        return None
    pcm = np.pad(utterance.pcm, (0, count * features.HOP - len(utterance.pcm)))
    return Clip(cleaned, pcm, utterance.phone_at((np.arange(count) + 0.5) * features.HOP / features.RATE_HZ))


def write_shard(path: Path, clips: list[Clip], aligner: Aligner) -> None:
    """Write `clips` atomically as flat arrays with their lengths."""
    ids = model.tokenizer().characters.char_to_id
    rows = [text.symbols(clip.cleaned) for clip in clips]
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        np.savez(
            file,
            pcm=np.concatenate([clip.pcm for clip in clips]),
            frames=np.array([len(clip.frames) for clip in clips], dtype=np.int64),
            ids=np.array([ids(symbol) for row in rows for symbol in row], dtype=np.int64),
            symbols=np.array([len(row) for row in rows], dtype=np.int64),
            durations=np.concatenate(
                [aligner.durations(row, clip.frames) for row, clip in zip(rows, clips, strict=True)]
            ),
        )
    partial.rename(path)


def _make_shard(job: tuple[Path, list[str], Aligner]) -> Path:
    path, texts, aligner = job
    write_shard(path, [clip for clip in map(make_clip, texts) if clip], aligner)
    return path


def build(out: Path, clips: int, workers: int, seed: int) -> None:
    """Write held_out.npz and shards with about `clips` clips to `out`, with `workers` processes."""
    out.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    model.tokenizer()  # imports Coqui before the workers are forked
    stream = text.sentences(seed)
    with multiprocessing.get_context("fork").Pool(workers) as pool:
        kept = list(itertools.islice(filter(text.held_out, stream), HELD_OUT_CLIPS))
        first = list(itertools.islice(stream, min(ALIGNED_CLIPS, clips)))
        clips_made = pool.map(make_clip, kept + first, chunksize=4)
        aligner = Aligner().fit([(text.symbols(clip.cleaned), clip.frames) for clip in clips_made[len(kept) :] if clip])
        write_shard(out / "held_out.npz", [clip for clip in clips_made[: len(kept)] if clip], aligner)
        print(f"data: aligner fitted, {time.monotonic() - started:.0f} s", flush=True)
        jobs = ((path, texts, aligner) for path, texts in _shards(out, stream, clips))
        for done, _ in enumerate(pool.imap_unordered(_make_shard, jobs), 1):
            if done % 50 == 0:
                print(f"data: {done * SHARD_CLIPS} clips, {time.monotonic() - started:.0f} s", flush=True)


def _shards(out: Path, stream: Iterator[str], clips: int) -> Iterator[tuple[Path, list[str]]]:
    training = (line for line in stream if not text.held_out(line))
    for index in range(-(-clips // SHARD_CLIPS)):
        yield out / f"shard-{index:04d}.npz", list(itertools.islice(training, SHARD_CLIPS))


class Corpus:
    """Clips on one device as flat tensors: pcm int16 [F * HOP], mel float16 [F, MELS], ids and durations int64 [N].

    Per clip it holds the counts `frames` and `symbols` and their start offsets, int64; on the host `sizes`
    (frames, symbols), and the indices of the clips `by_length`.
    """

    def __init__(self, folder: Path, device: torch.device) -> None:
        self.folder, self.device = folder, device
        self.loaded: set[str] = set()
        self.log_mel = features.LogMel().to(device)
        self.pcm = torch.empty(0, dtype=torch.int16, device=device)
        self.mel = torch.empty(0, features.MELS, dtype=torch.float16, device=device)
        self.ids = self.durations = self.frames = self.symbols = torch.empty(0, dtype=torch.int64, device=device)

    @property
    def count(self) -> int:
        """Return the number of clips."""
        return len(self.frames)

    def load(self, pattern: str = "shard-*.npz") -> bool:
        """Add new shards and return whether there were any."""
        new = [path for path in sorted(self.folder.glob(pattern)) if path.name not in self.loaded]
        for path in new:
            self.loaded.add(path.name)
        arrays = [np.load(path) for path in new]
        for name in ("pcm", "ids", "durations", "frames", "symbols"):
            parts = [torch.from_numpy(array[name]).to(self.device) for array in arrays]
            setattr(self, name, torch.cat([getattr(self, name), *parts]))
        if new:
            self.frame_start = self.frames.cumsum(0) - self.frames
            self.symbol_start = self.symbols.cumsum(0) - self.symbols
            self.sizes = list(zip(self.frames.tolist(), self.symbols.tolist(), strict=True))
            self.by_length = sorted(range(self.count), key=self.sizes.__getitem__)
            self._add_mels()
        return bool(new)

    def wait(self, clips: int, timeout_s: float = 300) -> None:
        """Load until there are at least `clips`. Raise TimeoutError after `timeout_s`."""
        limit = time.monotonic() + timeout_s
        while self.count < clips:
            if time.monotonic() > limit:
                raise TimeoutError(f"{self.count} clips in {self.folder} after {timeout_s:.0f} s")
            if not self.load():
                time.sleep(1)

    @torch.no_grad()
    def _add_mels(self) -> None:
        done = len(self.mel)
        mels = [self.mel]
        for start, (count, _) in zip(self.frame_start.tolist(), self.sizes, strict=True):
            if start >= done:
                wave = self.pcm[start * features.HOP : (start + count) * features.HOP].float() / 32768
                mels.append(self.log_mel(wave[None])[0].T.half())
        self.mel = torch.cat(mels)

    def batch(self, clips: list[int]) -> "Batch":
        """Return the given clips, padded to the longest."""
        longest = max(self.sizes[clip][0] for clip in clips)
        symbol_at = torch.arange(max(self.sizes[clip][1] for clip in clips), device=self.device)
        frame_at = torch.arange(-(-longest // 16) * 16, device=self.device)
        rows = torch.tensor(clips, device=self.device)
        frames, symbols = self.frames[rows], self.symbols[rows]
        from_symbol = (self.symbol_start[rows, None] + symbol_at).clamp_max(len(self.ids) - 1)
        from_frame = (self.frame_start[rows, None] + frame_at).clamp_max(len(self.mel) - 1)
        inside = symbol_at < symbols[:, None]
        durations = self.durations[from_symbol] * inside
        ends = durations.cumsum(1)
        symbol_index = torch.searchsorted(ends, frame_at.expand(len(clips), -1).contiguous(), right=True)
        mel = self.mel[from_frame].float() * (frame_at < frames[:, None])[..., None]
        return Batch(
            ids=self.ids[from_symbol] * inside,
            symbols=symbols,
            durations=durations,
            symbol_index=symbol_index.clamp_max(len(symbol_at) - 1),
            frames=frames,
            mel=mel.transpose(1, 2),
            from_frame=from_frame,
        )


@dataclass(frozen=True)
class Batch:
    """A padded batch of clips.

    ids, durations [B, N]; mel [B, MELS, T]; symbols, frames [B]: lengths without padding; symbol_index [B, T]: the
    symbol of each frame; from_frame [B, T]: the index of each frame in the corpus.
    """

    ids: Tensor
    symbols: Tensor
    durations: Tensor
    symbol_index: Tensor
    frames: Tensor
    mel: Tensor
    from_frame: Tensor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--clips", type=int, default=50_000)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    build(args.out, args.clips, args.workers, args.seed)


if __name__ == "__main__":
    main()
