"""Train the acoustic model: letters in, mel spectrogram and durations out, against the teacher's own timing.

The model is small enough for full precision: in bfloat16 it gave NaN and was no faster.
"""

import random

import torch
from torch import Tensor

from pocket.tts import model, schedule
from pocket.tts.data import Batch, Corpus

PEAK_RATE = 1.2e-3
FRAMES_PER_BATCH = 20_000
CLIPS_PER_BATCH = (16, 160)
FIRST_CLIPS = 800


def losses(net: model.TeacherForced, batch: Batch) -> tuple[Tensor, Tensor]:
    """Mean absolute error of the mel (natural log) and mean squared error of log(1 + duration), per real element."""
    mel, durations = net(batch.ids, batch.letters, batch.owner, batch.frames)
    mel_loss = (mel - batch.mel).abs().sum() / (batch.frames.sum() * mel.shape[1])
    # Outside a text both are zero.
    duration_loss = (durations - (batch.durations + 1.0).log()).square().sum() / batch.letters.sum()
    return mel_loss, duration_loss


def random_clips(corpus: Corpus, budget: int) -> list[int]:
    """Neighbours in length around a random clip, as many as fit `budget` frames."""
    count = len(corpus.by_length)
    pick = random.randrange(count)
    size = min(max(budget // corpus.sizes[corpus.by_length[pick]][0], CLIPS_PER_BATCH[0]), CLIPS_PER_BATCH[1], count)
    first = min(max(0, pick - size // 2), count - size)
    return corpus.by_length[first : first + size]


def weights(net: model.TeacherForced) -> dict[str, Tensor]:
    """The trained weights, without the table of positions, which is a formula."""
    return {name: value for name, value in net.model.state_dict().items() if name != "pos_encoder.pe"}


@torch.no_grad()
def evaluate(net: model.TeacherForced, held_out: Corpus) -> tuple[float, float]:
    """Mean losses over the held-out clips."""
    net.eval()
    batches = [held_out.batch(held_out.by_length[first : first + 16]) for first in range(0, held_out.count, 16)]
    mel, durations = torch.tensor([losses(net, batch) for batch in batches]).mean(0).tolist()
    net.train()
    return mel, durations


def main() -> None:
    args = schedule.arguments(__doc__).parse_args()
    clock, device = schedule.start(args)
    random.seed(args.seed)
    corpus, held_out = Corpus(args.data, device), Corpus(args.data, device)
    corpus.wait(50 if args.tiny else FIRST_CLIPS)
    held_out.load("held_out.npz")
    net = model.TeacherForced(model.new_acoustic()).to(device)
    with torch.no_grad():
        net.model.decoder.decoder.postnet.bias.copy_(corpus.mel.float().mean(0))
    if args.resume:
        net.model.load_state_dict(torch.load(args.resume, weights_only=True), strict=False)
    optimizer = torch.optim.AdamW(
        net.parameters(), lr=PEAK_RATE, betas=(0.9, 0.98), weight_decay=0.01, fused=device.type == "cuda"
    )
    net.train()
    peak = PEAK_RATE * (schedule.RESUMED if args.resume else 1)
    step = 0
    while clock.fraction < 1:
        schedule.set_rate(optimizer, peak * schedule.annealed(clock.fraction, step))
        batch = corpus.batch(random_clips(corpus, 2000 if args.tiny else FRAMES_PER_BATCH))
        mel_loss, duration_loss = losses(net, batch)
        optimizer.zero_grad(set_to_none=True)
        (mel_loss + duration_loss).backward()
        schedule.advance(optimizer, 1.0)
        step += 1
        if clock.due("report", schedule.REPORT_S):
            seen = evaluate(net, held_out)
            print(
                f"acoustic: {clock.elapsed_s:.0f} s, step {step}, clips {corpus.count}, "
                f"mel {mel_loss:.4f} durations {duration_loss:.4f}, held out {seen[0]:.4f} {seen[1]:.4f}",
                flush=True,
            )
            corpus.load()
        if clock.due("save", clock.save_every_s):
            schedule.save_weights(args.out / "acoustic.checkpoint.pt", weights(net))
    schedule.save_weights(args.out / "acoustic.pt", weights(net))
    print(f"acoustic: done, step {step}, held out {evaluate(net, held_out)}", flush=True)


if __name__ == "__main__":
    main()
