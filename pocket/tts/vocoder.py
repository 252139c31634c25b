"""Train the vocoder: mel spectrogram in, waveform out, first against spectra, then against a jury as well.

In the second half most spectrograms are the acoustic model's own, made with the teacher's durations, so that the
vocoder learns to speak from what it will be given.
"""

import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pocket.tts import features, model, schedule
from pocket.tts.data import Corpus
from pocket.tts.discriminators import RESOLUTIONS, Jury, magnitude

PEAK_RATE = 6e-4
JURY_RATE = 3e-4
SEGMENT_FRAMES = 32
SEGMENTS = 48
FIRST_CLIPS = 600
MOST_CLIPS = 12_000
JURY_FROM = 0.1  # fractions of the time that is left once there is data
PREDICTED_FROM = (0.5, 0.8)
LONGEST_STEP = 200.0  # norm of the gradients
MEL_WEIGHT, SPECTRUM_WEIGHT, FEATURE_WEIGHT = 30.0, 3.0, 2.0

Step = Callable[[Tensor, Tensor], Tensor]


class SpectrumLoss(nn.Module):
    """Multi-resolution spectral convergence and log-magnitude distance between two waveforms [B, samples]."""

    def __init__(self) -> None:
        super().__init__()
        self.windows = nn.ParameterList(
            nn.Parameter(torch.hann_window(window), requires_grad=False) for _, _, window in RESOLUTIONS
        )

    def forward(self, made: Tensor, real: Tensor) -> Tensor:
        total = made.new_zeros(())
        for (fft, hop, _), window in zip(RESOLUTIONS, self.windows, strict=True):
            a, b = magnitude(made, fft, hop, window), magnitude(real, fft, hop, window)
            total = total + (a - b).norm() / b.norm() + (a.log() - b.log()).abs().mean()
        return total / len(RESOLUTIONS)


class Trainer:
    """Generator, jury and their optimizers; `spectral` and `adversarial` are single steps over fixed shapes."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.generator = model.new_generator().to(device)
        self.jury = Jury().to(device)
        self.log_mel = features.LogMel().to(device)
        self.spectrum_loss = SpectrumLoss().to(device)
        self.of_generator = self._optimizer(self.generator, PEAK_RATE)
        self.of_jury = self._optimizer(self.jury, JURY_RATE)

    def _optimizer(self, net: nn.Module, rate: float) -> torch.optim.Optimizer:
        on_gpu = self.device.type == "cuda"
        lr = torch.tensor(rate, device=self.device) if on_gpu else rate
        return torch.optim.AdamW(
            net.parameters(), lr=lr, betas=(0.8, 0.99), weight_decay=0.01, fused=on_gpu, capturable=on_gpu
        )

    def resume(self, generator: Path) -> None:
        """Go on from earlier weights; the jury's, if there, lie beside the generator's."""
        self.generator.load_state_dict(torch.load(generator, weights_only=True))
        jury = generator.with_name("jury.resume.pt")
        if jury.exists():
            self.jury.load_state_dict(torch.load(jury, weights_only=True))

    def set_rates(self, share: float) -> None:
        """Set both learning rates to `share` of their peaks."""
        schedule.set_rate(self.of_generator, PEAK_RATE * share)
        schedule.set_rate(self.of_jury, JURY_RATE * share)

    def spectral(self, mel: Tensor, real: Tensor) -> Tensor:
        """One step of the generator against spectra alone; returns the mel distance [1]."""
        loss, distance = self._spectral_loss(self._make(mel), real)
        self.of_generator.zero_grad(set_to_none=True)
        loss.backward()
        schedule.advance(self.of_generator, LONGEST_STEP)
        return distance.detach()[None]

    def adversarial(self, mel: Tensor, real: Tensor) -> Tensor:
        """One step of both sides from the same judgements; returns mel distance, jury and generator losses [3]."""
        made = self._make(mel)
        with schedule.mixed(self.device):
            judged = list(zip(self.jury(real), self.jury(made), strict=True))
        of_jury = fooling = likeness = made.new_zeros(())
        for (good, wanted), (bad, got) in judged:
            of_jury = of_jury + (1 - good.float()).square().mean() + bad.float().square().mean()
            fooling = fooling + (1 - bad.float()).square().mean()
            likeness = likeness + sum(
                F.l1_loss(a.float(), b.detach().float()) for a, b in zip(got, wanted, strict=True)
            )
        loss, distance = self._spectral_loss(made, real)
        self.of_generator.zero_grad(set_to_none=True)
        self.of_jury.zero_grad(set_to_none=True)
        whole = loss + fooling + FEATURE_WEIGHT * likeness
        whole.backward(inputs=list(self.generator.parameters()), retain_graph=True)
        of_jury.backward(inputs=list(self.jury.parameters()))
        schedule.advance(self.of_generator, LONGEST_STEP)
        schedule.advance(self.of_jury, LONGEST_STEP)
        return torch.stack([distance, of_jury, fooling]).detach()

    def _make(self, mel: Tensor) -> Tensor:
        with schedule.mixed(self.device):
            return self.generator(mel)[:, 0].float()

    def _spectral_loss(self, made: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
        distance = F.l1_loss(self.log_mel(made), self.log_mel(real))
        return MEL_WEIGHT * distance + SPECTRUM_WEIGHT * self.spectrum_loss(made, real), distance


class Graphed:
    """A step recorded once as a CUDA graph and replayed on new contents of the same tensors."""

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


def recorded(step: Step, mel: Tensor, wave: Tensor) -> Step:
    """`step` as a CUDA graph, or as it is where it cannot be recorded."""
    try:
        return Graphed(step, mel, wave)
    except RuntimeError as error:
        print(f"vocoder: no graph: {error}", flush=True)
        return step


class Segments:
    """Random stretches of SEGMENT_FRAMES frames within the clips of a corpus."""

    def __init__(self, corpus: Corpus) -> None:
        self.corpus = corpus
        self.refresh()

    def refresh(self) -> None:
        """Forget what was known of the corpus and of the predictions for it."""
        room = (self.corpus.frames - SEGMENT_FRAMES + 1).clamp_min(0)
        offset = torch.arange(int(room.sum()), device=self.corpus.device) - (room.cumsum(0) - room).repeat_interleave(
            room
        )
        self.places = self.corpus.frame_start.repeat_interleave(room) + offset
        self.mels = self.corpus.mel[None]

    @torch.no_grad()
    def predict(self, weights: Path) -> None:
        """Add the acoustic model's spectrograms (with the teacher's durations), twice, so that they prevail."""
        net = model.TeacherForced(model.new_acoustic()).to(self.corpus.device).eval()
        net.model.load_state_dict(torch.load(weights, weights_only=True), strict=False)
        predicted = torch.zeros_like(self.corpus.mel)
        for first in range(0, self.corpus.count, 64):
            batch = self.corpus.batch(self.corpus.by_length[first : first + 64])
            mel, _ = net(batch.ids, batch.letters, batch.owner, batch.frames)
            inside = model.mask_of(batch.frames, mel.shape[2])
            predicted[batch.from_frame[inside]] = mel.transpose(1, 2)[inside].half()
        if predicted.isfinite().all():
            self.mels = torch.stack([self.corpus.mel, predicted, predicted])

    def draw(self, count: int) -> tuple[Tensor, Tensor]:
        """Random mel [count, MELS, SEGMENT_FRAMES] and its wave [count, SEGMENT_FRAMES * HOP]."""
        device = self.corpus.device
        first = self.places[torch.randint(len(self.places), (count,), device=device)]
        return self.at(first, torch.randint(len(self.mels), (count,), device=device))

    def spread(self, count: int) -> tuple[Tensor, Tensor]:
        """As draw, but always the same stretches, evenly over the corpus, of true spectrograms."""
        first = self.places[torch.linspace(0, len(self.places) - 1, count, device=self.corpus.device).long()]
        return self.at(first, torch.zeros_like(first))

    def at(self, first: Tensor, kind: Tensor) -> tuple[Tensor, Tensor]:
        """The stretches that begin at frames `first` [count]; `kind` [count] says whose spectrogram."""
        device = first.device
        mel = self.mels[kind[:, None], first[:, None] + torch.arange(SEGMENT_FRAMES, device=device)]
        samples = first[:, None] * features.HOP + torch.arange(SEGMENT_FRAMES * features.HOP, device=device)
        return mel.float().transpose(1, 2), self.corpus.pcm[samples].float() / 32768


@torch.no_grad()
def evaluate(trainer: Trainer, mel: Tensor, real: Tensor) -> float:
    """Log-mel distance between held-out stretches and the waveforms made from their spectrograms."""
    with schedule.mixed(trainer.device):
        made = trainer.generator(mel)[:, 0].float()
    return float(F.l1_loss(trainer.log_mel(made), trainer.log_mel(real)))


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
    unseen = Segments(held_out).spread(size)
    predictions = [0.0, 0.5] if args.resume else list(PREDICTED_FROM)
    share = schedule.RESUMED if args.resume else 1.0
    step, began, advance = 0, time.monotonic(), None
    first = clock.fraction
    while clock.fraction < 1:
        progress = (clock.fraction - first) / (1 - first)
        trainer.set_rates(share * schedule.annealed(progress, step))
        name = "spectral" if progress < JURY_FROM else "adversarial"
        if advance is None or advance[0] != name:
            one_step = getattr(trainer, name)
            advance = name, recorded(one_step, *segments.draw(size)) if args.graph else one_step
        result = advance[1](*segments.draw(size))
        step += 1
        if clock.due("report", schedule.REPORT_S):
            figures = " ".join(f"{figure:.3f}" for figure in result.tolist())
            print(
                f"vocoder: {clock.elapsed_s:.0f} s, step {step}, {step / (time.monotonic() - began):.1f} steps/s, "
                f"clips {corpus.count}, {name} {figures}, held out {evaluate(trainer, *unseen):.4f}",
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
    schedule.save_weights(args.out / "jury.pt", trainer.jury.state_dict())
    print(f"vocoder: done, step {step}, held out {evaluate(trainer, *unseen):.4f}", flush=True)


if __name__ == "__main__":
    main()
