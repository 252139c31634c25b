"""Training batches: which clips make a row (plan), and how they sound (render, on the device)."""

import math
import random
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from pocket.asr.features import HOP, SAMPLES, LogMel, finish
from pocket.asr.model import SPACE
from pocket.asr.pool import Clip, Pool
from pocket.asr.tokens import IGNORED, Sentence, Tokens
from pocket.asr.voices import RATE_HZ

LENGTH = 224
"""Decoder positions of a training row of 30 s; shorter windows have as much less."""

WARPS = tuple(round(0.84 + 0.02 * step, 2) for step in range(18))
_STRAIGHT = WARPS.index(1.0)
_ECHO = RATE_HZ // 3
_UNCOUNTED = [1, 1]
"""A CTC target that cannot fit the one frame it is given: its loss is infinite and is dropped."""


@dataclass
class Row:
    """One clip of training: sentences laid out in time, and everything that is done to their sound."""

    placed: list[tuple[Clip, int, float]] = field(default_factory=list)
    """(clip, first sample, speed)"""
    count: int = 0
    """Samples in all."""
    inputs: list[int] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    spelled: list[int] = field(default_factory=list)
    cut: bool = False
    """Whether the last sentence goes on beyond the end."""


@dataclass
class Batch:
    """The arguments of `Recognizer.forward`."""

    features: Tensor
    inputs: Tensor
    labels: Tensor
    frames: Tensor
    letters: Tensor
    letter_counts: Tensor


class Mixer:
    """Draws batches from a pool."""

    def __init__(self, pool: Pool, tokens: Tokens, seed: int, rows: int) -> None:
        self._pool, self._tokens, self._full_rows = pool, tokens, rows
        self._rows, self._samples, self._length = rows, SAMPLES, LENGTH
        self._rng = random.Random(seed)
        self._device = pool.samples.device
        self._dice = torch.Generator(self._device).manual_seed(seed)
        self._mel = LogMel(WARPS).to(self._device)

    def draw(self, hardness: float = 1.0, window: int = 1) -> Batch:
        """The next batch, on the pool's device; this share of its rows is made hard to understand.

        With a `window` of n, its rows are an nth of 30 s long, and there are n times as many of them.
        """
        self._rows, self._samples, self._length = self._full_rows * window, SAMPLES // window, LENGTH // window
        rows = [self._plan() for _ in range(self._rows)]
        device = self._device
        spelled = [_UNCOUNTED if row.cut else row.spelled for row in rows]
        frames = torch.tensor([row.count // HOP for row in rows])
        return Batch(
            self._sound(rows, frames.to(device, non_blocking=True), self._chance(hardness)),
            _padded([row.inputs for row in rows], self._tokens.end, self._length).to(device, non_blocking=True),
            _padded([row.labels for row in rows], IGNORED, self._length).to(device, non_blocking=True),
            torch.tensor([1 if row.cut else row.count // HOP for row in rows]),
            torch.tensor([letter for target in spelled for letter in target]).to(device, non_blocking=True),
            torch.tensor([len(target) for target in spelled]),
        )

    def _plan(self) -> Row:
        rng = self._rng
        cuts = 5 if self._samples == SAMPLES else 0
        kind = rng.choices(("one", "several", "cut", "none"), weights=(42, 42, cuts, 11))[0]
        if kind == "none":
            row = Row(count=int(rng.choice((rng.uniform(0.3, 6), rng.uniform(0.3, self._samples / RATE_HZ))) * RATE_HZ))
        else:
            row = self._lay_out(kind)
        sentences = [
            Sentence(clip.ids, start / RATE_HZ, None if row.cut and last else (start + clip.count / speed) / RATE_HZ)
            for last, (clip, start, speed) in ((i == len(row.placed) - 1, p) for i, p in enumerate(row.placed))
        ]
        stamped = row.cut or rng.random() < 0.4
        row.inputs, row.labels = self._tokens.target(sentences, stamped, self._prompt() if rng.random() < 0.1 else ())
        if not row.count or len(row.inputs) > self._length:
            return self._plan()
        row.spelled = [letter for clip, _, _ in row.placed for letter in (*clip.spelled, *SPACE)][:-1]
        return row

    def _lay_out(self, kind: str) -> Row:
        """One or several sentences with pauses; `cut` ones run into the end of the window. Empty if none fits."""
        rng, row = self._rng, Row(cut=kind == "cut")
        wanted = {"one": 0.0, "several": rng.uniform(0.1, 0.9), "cut": 1.0}[kind] * self._samples
        position = int(rng.choice((rng.uniform(0, 0.4), rng.uniform(0, 1), rng.uniform(0, 4))) * RATE_HZ)
        steady = rng.uniform(0.85, 1.22) if rng.random() < 0.6 else 1.0
        while True:
            clip, speed = rng.choice(self._pool.clips), steady if rng.random() < 0.8 else rng.uniform(0.9, 1.15)
            end = position + int(clip.count / speed)
            if end > self._samples and kind != "cut":
                break
            row.placed.append((clip, position, speed))
            row.count = min(end, self._samples)
            if end >= wanted:
                break
            position = end + int(rng.choice((rng.uniform(0.05, 0.5), rng.uniform(0.1, 1.5))) * RATE_HZ)
            if position >= self._samples - RATE_HZ // 10:
                row.cut = False
                break
        row.cut = row.cut and len(row.placed) > 1 and end > self._samples
        if not row.placed:
            return row
        row.count = min(
            self._samples, row.count + int(rng.choice((0.02, rng.uniform(0, 0.5), rng.uniform(0, 3))) * RATE_HZ)
        )
        return row

    def _prompt(self) -> list[int]:
        ids = [token for _ in range(self._rng.randint(1, 4)) for token in self._rng.choice(self._pool.clips).ids]
        return ids[: self._rng.randint(1, 48)]

    def _sound(self, rows: list[Row], frames: Tensor, hard: Tensor) -> Tensor:
        speech = self._speech(rows)
        speech = torch.where(hard[:, None], self._room(speech), speech)
        spoken = torch.tensor([bool(row.placed) for row in rows], device=self._device)
        audio = self._noisy(speech, spoken, hard)
        inside = torch.arange(self._samples, device=self._device) < (frames * HOP)[:, None]
        audio = self._recorded(audio) * inside
        straight = torch.full((len(rows),), _STRAIGHT, device=self._device)
        warp = torch.where(self._chance(0.6) & hard, self._integers(len(WARPS)), straight)
        tutored = torch.tensor([any(clip.tutored for clip, _, _ in row.placed) for row in rows], device=self._device)
        smeared = torch.where(tutored, self._chance(0.6), self._chance(0.25)) & hard
        mel = self._smeared(self._mel.mel(audio, warp), smeared)
        return self._masked(finish(mel, frames), self._chance(0.5) & hard)

    def _speech(self, rows: list[Row]) -> Tensor:
        """The clips where they belong, resampled to their speed, each about as loud as the other: (rows, samples)."""
        starts, counts, offsets, speeds, gains = [], [], [], [], []
        for index, row in enumerate(rows):
            for clip, start, speed in row.placed:
                starts.append(index * self._samples + start)
                counts.append(min(int((clip.count - 2) / speed), self._samples - start))
                offsets.append(clip.offset)
                speeds.append(speed)
                gains.append(0.1 / clip.loudness * 10 ** (self._rng.gauss(0, 2) / 20))
        out = torch.zeros(len(rows) * self._samples, device=self._device)
        total = sum(counts)
        lengths = torch.tensor(counts).to(self._device, non_blocking=True)
        which = torch.repeat_interleave(lengths, output_size=total)
        within = torch.arange(total, device=self._device) - (lengths.cumsum(0) - lengths)[which]
        exact = within * torch.tensor(speeds, dtype=torch.float64).to(self._device, non_blocking=True)[which]
        whole = exact.long()
        source = torch.tensor(offsets).to(self._device, non_blocking=True)[which] + whole
        part = (exact - whole).float()
        here, there = self._pool.samples[source].float(), self._pool.samples[source + 1].float()
        level = torch.tensor(gains).to(self._device, non_blocking=True)[which] / 32768
        target = torch.tensor(starts).to(self._device, non_blocking=True)[which] + within
        out[target] = (here + part * (there - here)) * level
        return out.view(len(rows), self._samples)

    def _room(self, audio: Tensor) -> Tensor:
        """Echo, and the colour of microphones and telephones: one filter for each row."""
        rows, length = len(audio), 2 ** (self._samples + _ECHO).bit_length()
        time = torch.arange(_ECHO, device=self._device) / RATE_HZ
        decay = torch.exp(-time / self._uniform(0.01, 0.1)[:, None])
        echo = torch.randn(rows, _ECHO, device=self._device, generator=self._dice) * decay
        wet = torch.where(self._chance(0.4), 10 ** (self._uniform(-30, -4) / 20), 0.0)
        echo *= (wet / echo.norm(dim=1))[:, None]
        echo[:, 0] += 1
        filters = torch.fft.rfft(echo, n=length) * self._colour(length // 2 + 1)
        return torch.fft.irfft(torch.fft.rfft(audio, n=length) * filters, n=length)[:, : self._samples]

    def _colour(self, bins: int) -> Tensor:
        """Gains over frequency (rows, bins): a wavy line, a tilt, and for some a band limit."""
        frequency = torch.linspace(0, RATE_HZ / 2, bins, device=self._device)
        points = torch.randn(self._rows, 1, 14, device=self._device, generator=self._dice)
        wave = nn.functional.interpolate(points * self._uniform(0, 5)[:, None, None], bins, mode="linear")[:, 0]
        tilt = self._uniform(-9, 9)[:, None] * (frequency / 4000 - 1)
        top = torch.where(self._chance(0.3), self._uniform(2800, 7500), 9000.0)[:, None]
        bottom = torch.where(self._chance(0.2), self._uniform(60, 350), 0.0)[:, None]
        limits = ((frequency - top).clamp(min=0) + 4 * (bottom - frequency).clamp(min=0)).clamp(max=800) * 0.06
        return 10 ** ((wave + tilt * self._chance(0.6)[:, None] - limits) / 20)

    def _noisy(self, speech: Tensor, spoken: Tensor, hard: Tensor) -> Tensor:
        """Noise from the pool beside speech, at 4 to 40 dB below it; alone, at any level, where nothing is said."""
        which = self._integers(max(1, self._pool.noises))
        noise = torch.roll(self._pool.noise[which], self._rng.randrange(SAMPLES), 1)[:, : self._samples].float() / 32768
        white = torch.randn(noise.shape, device=self._device, generator=self._dice)
        noise = torch.where(self._chance(0.25)[:, None], white, noise)
        noise = noise / noise.square().mean(1, keepdim=True).sqrt().clamp(min=1e-4)
        beside = torch.where(self._chance(0.75), 0.1 * 10 ** (-self._uniform(4, 40) / 20), 1e-4 * self._chance(0.5))
        alone = torch.where(self._chance(0.8), 10 ** (-self._uniform(5, 80) / 20), 1e-5 * self._chance(0.5))
        beside = torch.where(hard, beside, 0.1 * beside)
        return speech + noise * torch.where(spoken, beside, alone)[:, None]

    def _recorded(self, audio: Tensor) -> Tensor:
        """At some level, some of it clipped, in 16 bits; a few rows through mu-law."""
        audio = (audio * 10 ** (self._uniform(-32, 8) / 20)[:, None]).clamp(-1, 1)
        squashed = audio.sign() * (1 + 255 * audio.abs()).log() / math.log(256)
        squashed = (squashed * 127).round() / 127
        telephone = squashed.sign() * (256 ** squashed.abs() - 1) / 255
        return torch.where(self._chance(0.05)[:, None], telephone, (audio * 32768).round() / 32768)

    def _smeared(self, mel: Tensor, chosen: Tensor) -> Tensor:
        """Blur and roughness as a vocoder leaves them."""
        rough = torch.randn(mel.shape, device=self._device, generator=self._dice) * self._uniform(0, 0.6)[:, None, None]
        rough = mel * rough.exp()
        blurred = nn.functional.avg_pool1d(rough, 5, 1, 2)
        blurred = torch.lerp(rough, blurred, self._uniform(0, 1)[:, None, None])
        across = nn.functional.avg_pool1d(blurred.transpose(1, 2), 3, 1, 1).transpose(1, 2)
        blurred = torch.lerp(blurred, across, self._uniform(0, 1)[:, None, None])
        return torch.where(chosen[:, None, None], blurred, mel)

    def _masked(self, features: Tensor, chosen: Tensor) -> Tensor:
        """SpecAugment on the chosen rows: two bands and four short moments are blanked."""
        bands = torch.arange(features.shape[1], device=self._device)
        moments = torch.arange(features.shape[2], device=self._device)
        for places, dim, widest, times in ((bands, 2, 10, 2), (moments, 1, 16, 4)):
            for _ in range(times):
                start = self._uniform(0, len(places) if dim == 2 else min(len(places), 1_000))
                width = self._uniform(0, widest) * chosen
                hidden = (places >= start[:, None]) & (places < (start + width)[:, None])
                features = features.masked_fill(hidden.unsqueeze(dim), 0.0)
        return features

    def _uniform(self, low: float, high: float) -> Tensor:
        return torch.rand(self._rows, device=self._device, generator=self._dice) * (high - low) + low

    def _chance(self, probability: float) -> Tensor:
        return torch.rand(self._rows, device=self._device, generator=self._dice) < probability

    def _integers(self, below: int) -> Tensor:
        return torch.randint(below, (self._rows,), device=self._device, generator=self._dice)


def _padded(lists: list[list[int]], filler: int, length: int) -> Tensor:
    return torch.tensor([ids + [filler] * (length - len(ids)) for ids in lists])
