"""Training batches: choose the clips of each row (on the CPU) and render their sound (on the device)."""

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
"""Decoder positions of a row of 30 s; a shorter window has proportionally fewer."""

WARPS = tuple(round(0.84 + 0.02 * step, 2) for step in range(18))
_NO_WARP = WARPS.index(1.0)
_ECHO = RATE_HZ // 3
_IMPOSSIBLE_TARGET = [1, 1]
"""A CTC target that is longer than its one frame; `zero_infinity` makes its loss 0."""


@dataclass
class Row:
    """One window of training: sentences in time, and the targets."""

    sentences: list[tuple[Clip, int, float]] = field(default_factory=list)
    """(clip, first sample, speed) of each sentence."""
    count: int = 0
    """Samples of the whole row."""
    inputs: list[int] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    target: list[int] = field(default_factory=list)
    cut: bool = False
    """Whether the last sentence extends beyond the end of the window."""


@dataclass
class Batch:
    """The arguments of `Recognizer.forward`."""

    features: Tensor
    inputs: Tensor
    labels: Tensor
    frames: Tensor
    targets: Tensor
    target_lengths: Tensor


class Mixer:
    """Draws batches from a pool."""

    def __init__(self, pool: Pool, tokens: Tokens, seed: int, rows: int) -> None:
        self._pool, self._tokens, self._full_rows = pool, tokens, rows
        self._rows, self._samples, self._length = rows, SAMPLES, LENGTH
        self._rng = random.Random(seed)
        self._device = pool.samples.device
        self._generator = torch.Generator(self._device).manual_seed(seed)
        self._mel = LogMel(WARPS).to(self._device)

    def draw(self, augmented: float = 1.0, window: int = 1) -> Batch:
        """Return the next batch, on the pool's device.

        `augmented` is the share of rows with simulated echo, noise and other distortions. With a `window` of n, rows
        are 30 / n seconds long and a batch has n times as many.
        """
        self._rows, self._samples, self._length = self._full_rows * window, SAMPLES // window, LENGTH // window
        rows = [self._plan() for _ in range(self._rows)]
        device = self._device
        targets = [_IMPOSSIBLE_TARGET if row.cut else row.target for row in rows]
        frames = torch.tensor([row.count // HOP for row in rows])
        return Batch(
            self._render(rows, frames.to(device, non_blocking=True), self._chance(augmented)),
            _padded([row.inputs for row in rows], self._tokens.end, self._length).to(device, non_blocking=True),
            _padded([row.labels for row in rows], IGNORED, self._length).to(device, non_blocking=True),
            torch.tensor([1 if row.cut else row.count // HOP for row in rows]),
            torch.tensor([symbol for target in targets for symbol in target]).to(device, non_blocking=True),
            torch.tensor([len(target) for target in targets]),
        )

    def _plan(self) -> Row:
        rng = self._rng
        cuts = 5 if self._samples == SAMPLES else 0
        kind = rng.choices(("one", "several", "cut", "none"), weights=(42, 42, cuts, 11))[0]
        if kind == "none":
            row = Row(count=int(rng.choice((rng.uniform(0.3, 6), rng.uniform(0.3, self._samples / RATE_HZ))) * RATE_HZ))
        else:
            row = self._place(kind)
        sentences = [
            Sentence(clip.ids, start / RATE_HZ, None if row.cut and last else (start + clip.count / speed) / RATE_HZ)
            for last, (clip, start, speed) in ((i == len(row.sentences) - 1, p) for i, p in enumerate(row.sentences))
        ]
        timestamps = row.cut or rng.random() < 0.4
        row.inputs, row.labels = self._tokens.target(
            sentences, timestamps, self._prompt() if rng.random() < 0.1 else ()
        )
        if not row.count or len(row.inputs) > self._length:
            return self._plan()
        row.target = [symbol for clip, _, _ in row.sentences for symbol in (*clip.target, *SPACE)][:-1]
        return row

    def _place(self, kind: str) -> Row:
        """Place sentences with pauses; with kind `cut`, the last may extend beyond the window. Empty if none fits."""
        rng, row = self._rng, Row(cut=kind == "cut")
        wanted = {"one": 0.0, "several": rng.uniform(0.1, 0.9), "cut": 1.0}[kind] * self._samples
        position = int(rng.choice((rng.uniform(0, 0.4), rng.uniform(0, 1), rng.uniform(0, 4))) * RATE_HZ)
        steady = rng.uniform(0.85, 1.22) if rng.random() < 0.6 else 1.0
        while True:
            clip, speed = rng.choice(self._pool.clips), steady if rng.random() < 0.8 else rng.uniform(0.9, 1.15)
            end = position + int(clip.count / speed)
            if end > self._samples and kind != "cut":
                break
            row.sentences.append((clip, position, speed))
            row.count = min(end, self._samples)
            if end >= wanted:
                break
            position = end + int(rng.choice((rng.uniform(0.05, 0.5), rng.uniform(0.1, 1.5))) * RATE_HZ)
            if position >= self._samples - RATE_HZ // 10:
                row.cut = False
                break
        row.cut = row.cut and len(row.sentences) > 1 and end > self._samples
        if not row.sentences:
            return row
        row.count = min(
            self._samples, row.count + int(rng.choice((0.02, rng.uniform(0, 0.5), rng.uniform(0, 3))) * RATE_HZ)
        )
        return row

    def _prompt(self) -> list[int]:
        ids = [token for _ in range(self._rng.randint(1, 4)) for token in self._rng.choice(self._pool.clips).ids]
        return ids[: self._rng.randint(1, 48)]

    def _render(self, rows: list[Row], frames: Tensor, chosen: Tensor) -> Tensor:
        speech = self._speech(rows)
        speech = torch.where(chosen[:, None], self._reverberate(speech), speech)
        has_speech = torch.tensor([bool(row.sentences) for row in rows], device=self._device)
        audio = self._add_noise(speech, has_speech, chosen)
        inside = torch.arange(self._samples, device=self._device) < (frames * HOP)[:, None]
        audio = self._quantize(audio) * inside
        no_warp = torch.full((len(rows),), _NO_WARP, device=self._device)
        warp = torch.where(self._chance(0.6) & chosen, self._integers(len(WARPS)), no_warp)
        by_teacher = torch.tensor(
            [any(clip.by_teacher for clip, _, _ in row.sentences) for row in rows], device=self._device
        )
        smeared = torch.where(by_teacher, self._chance(0.6), self._chance(0.25)) & chosen
        mel = self._smear(self._mel.mel(audio, warp), smeared)
        return self._mask(finish(mel, frames), self._chance(0.5) & chosen)

    def _speech(self, rows: list[Row]) -> Tensor:
        """Render the clips at their positions, resampled by their speed, at similar levels: (rows, samples)."""
        starts, counts, offsets, speeds, gains = [], [], [], [], []
        for index, row in enumerate(rows):
            for clip, start, speed in row.sentences:
                starts.append(index * self._samples + start)
                counts.append(min(int((clip.count - 2) / speed), self._samples - start))
                offsets.append(clip.offset)
                speeds.append(speed)
                gains.append(0.1 / clip.level * 10 ** (self._rng.gauss(0, 2) / 20))
        out = torch.zeros(len(rows) * self._samples, device=self._device)
        total = sum(counts)
        lengths = torch.tensor(counts).to(self._device, non_blocking=True)
        which = torch.repeat_interleave(lengths, output_size=total)
        within = torch.arange(total, device=self._device) - (lengths.cumsum(0) - lengths)[which]
        exact = within * torch.tensor(speeds, dtype=torch.float64).to(self._device, non_blocking=True)[which]
        whole = exact.long()
        source = torch.tensor(offsets).to(self._device, non_blocking=True)[which] + whole
        part = (exact - whole).float()
        current, following = self._pool.samples[source].float(), self._pool.samples[source + 1].float()
        level = torch.tensor(gains).to(self._device, non_blocking=True)[which] / 32768
        target = torch.tensor(starts).to(self._device, non_blocking=True)[which] + within
        out[target] = (current + part * (following - current)) * level
        return out.view(len(rows), self._samples)

    def _reverberate(self, audio: Tensor) -> Tensor:
        """Apply echo and the frequency response of a microphone or telephone: one filter for each row."""
        rows, length = len(audio), 2 ** (self._samples + _ECHO).bit_length()
        time = torch.arange(_ECHO, device=self._device) / RATE_HZ
        decay = torch.exp(-time / self._uniform(0.01, 0.1)[:, None])
        echo = torch.randn(rows, _ECHO, device=self._device, generator=self._generator) * decay
        gain = torch.where(self._chance(0.4), 10 ** (self._uniform(-30, -4) / 20), 0.0)
        echo *= (gain / echo.norm(dim=1))[:, None]
        echo[:, 0] += 1
        filters = torch.fft.rfft(echo, n=length) * self._frequency_response(length // 2 + 1)
        return torch.fft.irfft(torch.fft.rfft(audio, n=length) * filters, n=length)[:, : self._samples]

    def _frequency_response(self, bins: int) -> Tensor:
        """Return random gains over frequency (rows, bins): smooth variations, a tilt, and for some a band limit."""
        frequency = torch.linspace(0, RATE_HZ / 2, bins, device=self._device)
        points = torch.randn(self._rows, 1, 14, device=self._device, generator=self._generator)
        wave = nn.functional.interpolate(points * self._uniform(0, 5)[:, None, None], bins, mode="linear")[:, 0]
        tilt = self._uniform(-9, 9)[:, None] * (frequency / 4000 - 1)
        top = torch.where(self._chance(0.3), self._uniform(2800, 7500), 9000.0)[:, None]
        bottom = torch.where(self._chance(0.2), self._uniform(60, 350), 0.0)[:, None]
        limits = ((frequency - top).clamp(min=0) + 4 * (bottom - frequency).clamp(min=0)).clamp(max=800) * 0.06
        return 10 ** ((wave + tilt * self._chance(0.6)[:, None] - limits) / 20)

    def _add_noise(self, speech: Tensor, has_speech: Tensor, chosen: Tensor) -> Tensor:
        """Add noise from the pool, 4 to 40 dB below speech; rows without speech get it at any level."""
        which = self._integers(max(1, self._pool.noises))
        noise = torch.roll(self._pool.noise[which], self._rng.randrange(SAMPLES), 1)[:, : self._samples].float() / 32768
        white = torch.randn(noise.shape, device=self._device, generator=self._generator)
        noise = torch.where(self._chance(0.25)[:, None], white, noise)
        noise = noise / noise.square().mean(1, keepdim=True).sqrt().clamp(min=1e-4)
        with_speech = torch.where(
            self._chance(0.75), 0.1 * 10 ** (-self._uniform(4, 40) / 20), 1e-4 * self._chance(0.5)
        )
        without_speech = torch.where(self._chance(0.8), 10 ** (-self._uniform(5, 80) / 20), 1e-5 * self._chance(0.5))
        with_speech = torch.where(chosen, with_speech, 0.1 * with_speech)
        return speech + noise * torch.where(has_speech, with_speech, without_speech)[:, None]

    def _quantize(self, audio: Tensor) -> Tensor:
        """Scale to a random level, clip and round to 16 bits; code a few rows with mu-law."""
        audio = (audio * 10 ** (self._uniform(-32, 8) / 20)[:, None]).clamp(-1, 1)
        compressed = audio.sign() * (1 + 255 * audio.abs()).log() / math.log(256)
        compressed = (compressed * 127).round() / 127
        telephone = compressed.sign() * (256 ** compressed.abs() - 1) / 255
        return torch.where(self._chance(0.05)[:, None], telephone, (audio * 32768).round() / 32768)

    def _smear(self, mel: Tensor, chosen: Tensor) -> Tensor:
        """Blur the chosen rows of the mel power and add multiplicative noise, like the output of a vocoder."""
        noise = torch.randn(mel.shape, device=self._device, generator=self._generator)
        rough = mel * (noise * self._uniform(0, 0.6)[:, None, None]).exp()
        blurred = nn.functional.avg_pool1d(rough, 5, 1, 2)
        blurred = torch.lerp(rough, blurred, self._uniform(0, 1)[:, None, None])
        across = nn.functional.avg_pool1d(blurred.transpose(1, 2), 3, 1, 1).transpose(1, 2)
        blurred = torch.lerp(blurred, across, self._uniform(0, 1)[:, None, None])
        return torch.where(chosen[:, None, None], blurred, mel)

    def _mask(self, features: Tensor, chosen: Tensor) -> Tensor:
        """Mask two frequency bands and four short intervals of the chosen rows (SpecAugment, Park et al. 2019)."""
        bands = torch.arange(features.shape[1], device=self._device)
        moments = torch.arange(features.shape[2], device=self._device)
        for indices, dim, widest, times in ((bands, 2, 10, 2), (moments, 1, 16, 4)):
            for _ in range(times):
                start = self._uniform(0, len(indices) if dim == 2 else min(len(indices), 1_000))
                width = self._uniform(0, widest) * chosen
                hidden = (indices >= start[:, None]) & (indices < (start + width)[:, None])
                features = features.masked_fill(hidden.unsqueeze(dim), 0.0)
        return features

    def _uniform(self, low: float, high: float) -> Tensor:
        return torch.rand(self._rows, device=self._device, generator=self._generator) * (high - low) + low

    def _chance(self, probability: float) -> Tensor:
        return torch.rand(self._rows, device=self._device, generator=self._generator) < probability

    def _integers(self, below: int) -> Tensor:
        return torch.randint(below, (self._rows,), device=self._device, generator=self._generator)


def _padded(lists: list[list[int]], filler: int, length: int) -> Tensor:
    return torch.tensor([ids + [filler] * (length - len(ids)) for ids in lists])
