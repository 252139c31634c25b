"""Train the vocoder, from mel spectrogram to waveform: first with spectral losses, then also with discriminators.

In the second half most spectrograms are predictions of the acoustic model with the teacher's durations, to match the
input at run time.
"""

import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pocket.tts import features, model, schedule
from pocket.tts.data import Corpus
from pocket.tts.discriminators import RESOLUTIONS, Discriminators, magnitude

PEAK_RATE = 6e-4
DISCRIMINATOR_RATE = 3e-4
SEGMENT_FRAMES = 32
SEGMENTS = 48
FIRST_CLIPS = 600
MOST_CLIPS = 12_000
ADVERSARIAL_FROM = 0.1  # fraction of the training time
PREDICTED_FROM = (0.5, 0.8)
MAX_NORM = 200.0  # maximum norm of the gradients
MEL_WEIGHT, SPECTRUM_WEIGHT, FEATURE_WEIGHT = 30.0, 3.0, 2.0

Step = Callable[[Tensor, Tensor], Tensor]


class SpectrumLoss(nn.Module):
    """Multi-resolution spectral convergence and log-magnitude distance between two waveforms [B, samples]."""

    def __init__(self) -> None:
        super().__init__()
        self.windows = nn.ParameterList(
            nn.Parameter(torch.hann_window(window), requires_grad=False) for _, _, window in RESOLUTIONS
        )

    def forward(self, generated: Tensor, real: Tensor) -> Tensor:
        total = generated.new_zeros(())
        for (fft, hop, _), window in zip(RESOLUTIONS, self.windows, strict=True):
            a, b = magnitude(generated, fft, hop, window), magnitude(real, fft, hop, window)
            total = total + (a - b).norm() / b.norm() + (a.log() - b.log()).abs().mean()
        return total / len(RESOLUTIONS)


class Trainer:
    """Generator, discriminators and their optimizers; `spectral` and `adversarial` run one step on fixed shapes."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.generator = model.new_generator().to(device)
        self.discriminators = Discriminators().to(device)
        self.log_mel = features.LogMel().to(device)
        self.spectrum_loss = SpectrumLoss().to(device)
        self.generator_optimizer = self._optimizer(self.generator, PEAK_RATE)
        self.discriminator_optimizer = self._optimizer(self.discriminators, DISCRIMINATOR_RATE)

    def _optimizer(self, net: nn.Module, rate: float) -> torch.optim.Optimizer:
        on_gpu = self.device.type == "cuda"
        lr = torch.tensor(rate, device=self.device) if on_gpu else rate
        return torch.optim.AdamW(
            net.parameters(), lr=lr, betas=(0.8, 0.99), weight_decay=0.01, fused=on_gpu, capturable=on_gpu
        )

    def resume(self, generator: Path) -> None:
        """Load earlier weights; those of the discriminators from the same folder, if they exist."""
        self.generator.load_state_dict(torch.load(generator, weights_only=True))
        discriminators = generator.with_name("discriminators.resume.pt")
        if discriminators.exists():
            self.discriminators.load_state_dict(torch.load(discriminators, weights_only=True))

    def set_rates(self, factor: float) -> None:
        """Set both learning rates to `factor` times their peaks."""
        schedule.set_rate(self.generator_optimizer, PEAK_RATE * factor)
        schedule.set_rate(self.discriminator_optimizer, DISCRIMINATOR_RATE * factor)

    def spectral(self, mel: Tensor, real: Tensor) -> Tensor:
        """Run one step of the generator with the spectral losses only; return the mel distance [1]."""
        loss, distance = self._spectral_loss(self._generate(mel), real)
        self.generator_optimizer.zero_grad(set_to_none=True)
        loss.backward()
        schedule.clip_and_step(self.generator_optimizer, MAX_NORM)
        return distance.detach()[None]

    def adversarial(self, mel: Tensor, real: Tensor) -> Tensor:
        """Run one step of generator and discriminators; return mel, discriminator and adversarial losses [3]."""
        generated = self._generate(mel)
        with schedule.autocast(self.device):
            outputs = list(zip(self.discriminators(real), self.discriminators(generated), strict=True))
        discriminator_loss = adversarial_loss = feature_loss = generated.new_zeros(())
        for (real_score, real_features), (generated_score, generated_features) in outputs:
            discriminator_loss = discriminator_loss + (1 - real_score.float()).square().mean()
            discriminator_loss = discriminator_loss + generated_score.float().square().mean()
            adversarial_loss = adversarial_loss + (1 - generated_score.float()).square().mean()
            feature_loss = feature_loss + sum(
                F.l1_loss(a.float(), b.detach().float()) for a, b in zip(generated_features, real_features, strict=True)
            )
        loss, distance = self._spectral_loss(generated, real)
        self.generator_optimizer.zero_grad(set_to_none=True)
        self.discriminator_optimizer.zero_grad(set_to_none=True)
        total = loss + adversarial_loss + FEATURE_WEIGHT * feature_loss
        total.backward(inputs=list(self.generator.parameters()), retain_graph=True)
        discriminator_loss.backward(inputs=list(self.discriminators.parameters()))
        schedule.clip_and_step(self.generator_optimizer, MAX_NORM)
        schedule.clip_and_step(self.discriminator_optimizer, MAX_NORM)
        return torch.stack([distance, discriminator_loss, adversarial_loss]).detach()

    def _generate(self, mel: Tensor) -> Tensor:
        with schedule.autocast(self.device):
            return self.generator(mel)[:, 0].float()

    def _spectral_loss(self, generated: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
        distance = F.l1_loss(self.log_mel(generated), self.log_mel(real))
        return MEL_WEIGHT * distance + SPECTRUM_WEIGHT * self.spectrum_loss(generated, real), distance


class GraphedStep:
    """A step, recorded as a CUDA graph and replayed on new contents of the same tensors."""

    def __init__(self, step: Step, mel: Tensor, wave: Tensor) -> None:
        self.mel, self.wave = mel.clone(), wave.clone()
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                step(self.mel, self.wave)
        torch.cuda.current_stream().wait_stream(side)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.result = step(self.mel, self.wave)

    def __call__(self, mel: Tensor, wave: Tensor) -> Tensor:
        self.mel.copy_(mel)
        self.wave.copy_(wave)
        self.graph.replay()
        return self.result


def record(step: Step, mel: Tensor, wave: Tensor) -> Step:
    """Return `step` as a CUDA graph, or `step` if it cannot be recorded."""
    try:
        return GraphedStep(step, mel, wave)
    except RuntimeError as error:
        print(f"vocoder: no graph: {error}", flush=True)
        return step


class Segments:
    """Random segments of SEGMENT_FRAMES frames within the clips of a corpus."""

    def __init__(self, corpus: Corpus) -> None:
        self.corpus = corpus
        self.refresh()

    def refresh(self) -> None:
        """Recompute the possible starts after the corpus has grown, and drop the predictions."""
        start_counts = (self.corpus.frames - SEGMENT_FRAMES + 1).clamp_min(0)
        before = (start_counts.cumsum(0) - start_counts).repeat_interleave(start_counts)
        offset = torch.arange(int(start_counts.sum()), device=self.corpus.device) - before
        self.starts = self.corpus.frame_start.repeat_interleave(start_counts) + offset
        self.mels = self.corpus.mel[None]

    @torch.no_grad()
    def predict(self, weights: Path) -> None:
        """Add predicted spectrograms (with the teacher's durations), twice, so two thirds of the segments use them."""
        net = model.TeacherForced(model.new_acoustic()).to(self.corpus.device).eval()
        net.model.load_state_dict(torch.load(weights, weights_only=True), strict=False)
        predicted = torch.zeros_like(self.corpus.mel)
        for first in range(0, self.corpus.count, 64):
            batch = self.corpus.batch(self.corpus.by_length[first : first + 64])
            mel, _ = net(batch.ids, batch.symbols, batch.symbol_index, batch.frames)
            inside = model.mask_of(batch.frames, mel.shape[2])
            predicted[batch.from_frame[inside]] = mel.transpose(1, 2)[inside].half()
        if predicted.isfinite().all():
            self.mels = torch.stack([self.corpus.mel, predicted, predicted])

    def draw(self, count: int) -> tuple[Tensor, Tensor]:
        """Return random mel [count, MELS, SEGMENT_FRAMES] and its wave [count, SEGMENT_FRAMES * HOP]."""
        device = self.corpus.device
        first = self.starts[torch.randint(len(self.starts), (count,), device=device)]
        return self.at(first, torch.randint(len(self.mels), (count,), device=device))

    def fixed(self, count: int) -> tuple[Tensor, Tensor]:
        """Like `draw`, for fixed segments at even distances in the corpus, with spectrograms of the teacher."""
        first = self.starts[torch.linspace(0, len(self.starts) - 1, count, device=self.corpus.device).long()]
        return self.at(first, torch.zeros_like(first))

    def at(self, first: Tensor, kind: Tensor) -> tuple[Tensor, Tensor]:
        """Return the segments from frames `first` [count]; `kind` [count] indexes `mels` (0: teacher's)."""
        device = first.device
        mel = self.mels[kind[:, None], first[:, None] + torch.arange(SEGMENT_FRAMES, device=device)]
        samples = first[:, None] * features.HOP + torch.arange(SEGMENT_FRAMES * features.HOP, device=device)
        return mel.float().transpose(1, 2), self.corpus.pcm[samples].float() / 32768


@torch.no_grad()
def evaluate(trainer: Trainer, mel: Tensor, real: Tensor) -> float:
    """Return the log-mel distance between held-out segments and the waveforms generated from their spectrograms."""
    with schedule.autocast(trainer.device):
        generated = trainer.generator(mel)[:, 0].float()
    return float(F.l1_loss(trainer.log_mel(generated), trainer.log_mel(real)))


def main() -> None:
    parser = schedule.arguments(__doc__)
    parser.add_argument("--graph", action="store_true", help="record the steps as CUDA graphs")
    args = parser.parse_args()
    clock, device = schedule.start(args)
    torch.backends.cudnn.benchmark = True  # all shapes are fixed
    corpus, held_out = Corpus(args.data, device), Corpus(args.data, device)
    corpus.wait(50 if args.tiny else FIRST_CLIPS)
    held_out.load("held_out.npz")
    trainer, segments = Trainer(device), Segments(corpus)
    if args.resume:
        trainer.resume(args.resume)
    size = 4 if args.tiny else SEGMENTS
    held_out_segments = Segments(held_out).fixed(size)
    predictions = [0.0, 0.5] if args.resume else list(PREDICTED_FROM)
    factor = schedule.RESUMED if args.resume else 1.0
    step, started, current_step = 0, time.monotonic(), None
    first = clock.fraction
    while clock.fraction < 1:
        progress = (clock.fraction - first) / (1 - first)
        trainer.set_rates(factor * schedule.rate_factor(progress, step))
        name = "spectral" if progress < ADVERSARIAL_FROM else "adversarial"
        if current_step is None or current_step[0] != name:
            step_function = getattr(trainer, name)
            current_step = name, record(step_function, *segments.draw(size)) if args.graph else step_function
        result = current_step[1](*segments.draw(size))
        step += 1
        if clock.due("report", schedule.REPORT_S):
            figures = " ".join(f"{figure:.3f}" for figure in result.tolist())
            print(
                f"vocoder: {clock.elapsed_s:.0f} s, step {step}, {step / (time.monotonic() - started):.1f} steps/s, "
                f"clips {corpus.count}, {name} {figures}, held out {evaluate(trainer, *held_out_segments):.4f}",
                flush=True,
            )
            if corpus.count < MOST_CLIPS and len(segments.mels) == 1 and corpus.load():
                segments.refresh()
        checkpoint = args.out / "acoustic.checkpoint.pt"
        if predictions and progress >= predictions[0] and checkpoint.exists():
            predictions.pop(0)
            segments.predict(checkpoint)
            print(f"vocoder: {clock.elapsed_s:.0f} s, learning from predicted spectrograms", flush=True)
        if clock.due("save", clock.save_every_s):
            schedule.save_weights(args.out / "vocoder.checkpoint.pt", trainer.generator.state_dict())
    schedule.save_weights(args.out / "vocoder.pt", trainer.generator.state_dict())
    schedule.save_weights(args.out / "discriminators.pt", trainer.discriminators.state_dict())
    print(f"vocoder: done, step {step}, held out {evaluate(trainer, *held_out_segments):.4f}", flush=True)


if __name__ == "__main__":
    main()
