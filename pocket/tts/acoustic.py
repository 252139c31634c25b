"""Train the acoustic model: from characters to a mel spectrogram and durations, with the durations of the teacher.

Training uses full precision, as bfloat16 gave NaN and was not faster for this size.
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
    """Return mean absolute error of the log mel and mean squared error of log(1 + duration), without padding."""
    mel, durations = net(batch.ids, batch.symbols, batch.symbol_index, batch.frames)
    mel_loss = (mel - batch.mel).abs().sum() / (batch.frames.sum() * mel.shape[1])
    # Predictions and targets are zero in the padding.
    duration_loss = (durations - (batch.durations + 1.0).log()).square().sum() / batch.symbols.sum()
    return mel_loss, duration_loss


def random_clips(corpus: Corpus, budget: int) -> list[int]:
    """Return clips of similar length around a random one, as many as fit `budget` frames."""
    count = len(corpus.by_length)
    chosen = random.randrange(count)
    size = min(max(budget // corpus.sizes[corpus.by_length[chosen]][0], CLIPS_PER_BATCH[0]), CLIPS_PER_BATCH[1], count)
    first = min(max(0, chosen - size // 2), count - size)
    return corpus.by_length[first : first + size]


def weights(net: model.TeacherForced) -> dict[str, Tensor]:
    """Return the trained weights without the table of positions, which is computed."""
    return {name: value for name, value in net.model.state_dict().items() if name != "pos_encoder.pe"}


@torch.no_grad()
def evaluate(net: model.TeacherForced, held_out: Corpus) -> tuple[float, float]:
    """Return the mean losses over the held-out clips."""
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
        schedule.set_rate(optimizer, peak * schedule.rate_factor(clock.fraction, step))
        batch = corpus.batch(random_clips(corpus, 2000 if args.tiny else FRAMES_PER_BATCH))
        mel_loss, duration_loss = losses(net, batch)
        optimizer.zero_grad(set_to_none=True)
        (mel_loss + duration_loss).backward()
        schedule.clip_and_step(optimizer, 1.0)
        step += 1
        if clock.due("report", schedule.REPORT_S):
            figures = evaluate(net, held_out)
            print(
                f"acoustic: {clock.elapsed_s:.0f} s, step {step}, clips {corpus.count}, "
                f"mel {mel_loss:.4f} durations {duration_loss:.4f}, held out {figures[0]:.4f} {figures[1]:.4f}",
                flush=True,
            )
            corpus.load()
        if clock.due("save", clock.save_every_s):
            schedule.save_weights(args.out / "acoustic.checkpoint.pt", weights(net))
    schedule.save_weights(args.out / "acoustic.pt", weights(net))
    print(f"acoustic: done, step {step}, held out {evaluate(net, held_out)}", flush=True)


if __name__ == "__main__":
    main()
