"""The training data: shards of readings with the frames of each letter, written while the models already train.

`python -m pocket.tts.data --out DIR` fills DIR with held_out.npz first and then shard-*.npz, each complete when it
appears. `Corpus` holds them on the training device and grows as they come.
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
ALIGNED_CLIPS = 600  # readings from which the aligner learns
MAX_FRAMES = 10 * features.RATE_HZ // features.HOP


@dataclass(frozen=True)
class Clip:
    """A cleaned text, its reading as int16 padded to whole frames, and the phone heard in the middle of each frame."""

    cleaned: str
    pcm: np.ndarray
    frames: list[str]


def read_clip(raw: str) -> Clip | None:
    """The teacher's reading of `raw`; None when it cannot be used: silent, too long, or more letters than frames."""
    cleaned = text.clean(raw)
    if not any(letter.isalpha() for letter in cleaned):
        return None
    reading = teacher.read_aloud(cleaned)
    count = -(-len(reading.pcm) // features.HOP)
    if not len(text.symbols(cleaned)) <= count <= MAX_FRAMES:
        return None
    pcm = np.pad(reading.pcm, (0, count * features.HOP - len(reading.pcm)))
    return Clip(cleaned, pcm, reading.phone_at((np.arange(count) + 0.5) * features.HOP / features.RATE_HZ))


def write_shard(path: Path, clips: list[Clip], aligner: Aligner) -> None:
    """Write `clips` as flat arrays with their lengths; the file appears whole."""
    ids = model.tokenizer().characters.char_to_id
    rows = [text.symbols(clip.cleaned) for clip in clips]
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        np.savez(
            file,
            pcm=np.concatenate([clip.pcm for clip in clips]),
            frames=np.array([len(clip.frames) for clip in clips], dtype=np.int64),
            ids=np.array([ids(symbol) for row in rows for symbol in row], dtype=np.int64),
            letters=np.array([len(row) for row in rows], dtype=np.int64),
            durations=np.concatenate(
                [aligner.durations(row, clip.frames) for row, clip in zip(rows, clips, strict=True)]
            ),
        )
    partial.rename(path)


def _make_shard(job: tuple[Path, list[str], Aligner]) -> Path:
    path, texts, aligner = job
    write_shard(path, [clip for clip in map(read_clip, texts) if clip], aligner)
    return path


def build(out: Path, clips: int, workers: int, seed: int) -> None:
    """Fill `out` with held_out.npz and about `clips` clips in shards, with `workers` processes."""
    out.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    model.tokenizer()  # imported once, before the workers are forked
    stream = text.sentences(seed)
    with multiprocessing.get_context("fork").Pool(workers) as pool:
        kept = list(itertools.islice(filter(text.held_out, stream), HELD_OUT_CLIPS))
        first = list(itertools.islice(stream, min(ALIGNED_CLIPS, clips)))
        read = pool.map(read_clip, kept + first, chunksize=4)
        aligner = Aligner().fit([(text.symbols(clip.cleaned), clip.frames) for clip in read[len(kept) :] if clip])
        write_shard(out / "held_out.npz", [clip for clip in read[: len(kept)] if clip], aligner)
        print(f"data: aligner fitted, {time.monotonic() - began:.0f} s", flush=True)
        jobs = ((path, texts, aligner) for path, texts in _shards(out, stream, clips))
        for done, _ in enumerate(pool.imap_unordered(_make_shard, jobs), 1):
            if done % 50 == 0:
                print(f"data: {done * SHARD_CLIPS} clips, {time.monotonic() - began:.0f} s", flush=True)


def _shards(out: Path, stream: Iterator[str], clips: int) -> Iterator[tuple[Path, list[str]]]:
    training = (line for line in stream if not text.held_out(line))
    for index in range(-(-clips // SHARD_CLIPS)):
        yield out / f"shard-{index:04d}.npz", list(itertools.islice(training, SHARD_CLIPS))


class Corpus:
    """Clips on one device, as flat tensors: pcm int16 [F * HOP], mel float16 [F, MELS], ids and durations int64 [N];
    per clip `frames`, `letters` and where they start, int64, and on the host `sizes` (frames, letters) and the clips
    `by_length`."""

    def __init__(self, folder: Path, device: torch.device) -> None:
        self.folder, self.device = folder, device
        self.seen: set[str] = set()
        self.log_mel = features.LogMel().to(device)
        self.pcm = torch.empty(0, dtype=torch.int16, device=device)
        self.mel = torch.empty(0, features.MELS, dtype=torch.float16, device=device)
        self.ids = self.durations = self.frames = self.letters = torch.empty(0, dtype=torch.int64, device=device)

    @property
    def count(self) -> int:
        """How many clips there are."""
        return len(self.frames)

    def load(self, pattern: str = "shard-*.npz") -> bool:
        """Take in the shards that have appeared since; True if there were any."""
        new = [path for path in sorted(self.folder.glob(pattern)) if path.name not in self.seen]
        for path in new:
            self.seen.add(path.name)
        arrays = [np.load(path) for path in new]
        for name in ("pcm", "ids", "durations", "frames", "letters"):
            parts = [torch.from_numpy(array[name]).to(self.device) for array in arrays]
            setattr(self, name, torch.cat([getattr(self, name), *parts]))
        if new:
            self.frame_start = self.frames.cumsum(0) - self.frames
            self.letter_start = self.letters.cumsum(0) - self.letters
            self.sizes = list(zip(self.frames.tolist(), self.letters.tolist(), strict=True))
            self.by_length = sorted(range(self.count), key=self.sizes.__getitem__)
            self._add_mels()
        return bool(new)

    def wait(self, clips: int, patience_s: float = 300) -> None:
        """Load until there are at least `clips`. Raises TimeoutError after `patience_s`."""
        limit = time.monotonic() + patience_s
        while self.count < clips:
            if time.monotonic() > limit:
                raise TimeoutError(f"{self.count} clips in {self.folder} after {patience_s:.0f} s")
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
        """The given clips, padded to the longest among them."""
        longest = max(self.sizes[clip][0] for clip in clips)
        letter_at = torch.arange(max(self.sizes[clip][1] for clip in clips), device=self.device)
        frame_at = torch.arange(-(-longest // 16) * 16, device=self.device)
        rows = torch.tensor(clips, device=self.device)
        frames, letters = self.frames[rows], self.letters[rows]
        from_letter = (self.letter_start[rows, None] + letter_at).clamp_max(len(self.ids) - 1)
        from_frame = (self.frame_start[rows, None] + frame_at).clamp_max(len(self.mel) - 1)
        inside = letter_at < letters[:, None]
        durations = self.durations[from_letter] * inside
        ends = durations.cumsum(1)
        owner = torch.searchsorted(ends, frame_at.expand(len(clips), -1).contiguous(), right=True)
        mel = self.mel[from_frame].float() * (frame_at < frames[:, None])[..., None]
        return Batch(
            ids=self.ids[from_letter] * inside,
            letters=letters,
            durations=durations,
            owner=owner.clamp_max(len(letter_at) - 1),
            frames=frames,
            mel=mel.transpose(1, 2),
            from_frame=from_frame,
        )


@dataclass(frozen=True)
class Batch:
    """ids, durations [B, N]; owner [B, T]: the letter of each frame; mel [B, MELS, T]; letters, frames [B]: lengths;
    from_frame [B, T]: where each frame stands in the corpus."""

    ids: Tensor
    letters: Tensor
    durations: Tensor
    owner: Tensor
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
