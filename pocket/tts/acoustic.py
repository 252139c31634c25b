"""Train the acoustic model: letters in, mel spectrogram and durations out, against the teacher's own timing."""

import torch
from torch import Tensor
from torch.nn import functional as F

from pocket.tts import model, schedule
from pocket.tts.data import Batch, Corpus

PEAK_RATE = 1.2e-3
FRAMES_PER_BATCH = 20_000
CLIPS_PER_BATCH = (16, 160)
FIRST_CLIPS = 800


def losses(net: model.TeacherForced, batch: Batch) -> tuple[Tensor, Tensor]:
    """Mean absolute error of the mel (natural log) and mean squared error of log(1 + duration), per real element."""
    mel, durations = net(batch.ids, batch.letters, batch.owner, batch.frames)
    mel_loss = (mel.float() - batch.mel).abs().sum() / (batch.frames.sum() * mel.shape[1])
    letter_mask = model.mask_of(batch.letters, durations.shape[1])
    wanted = (batch.durations + 1.0).log()
    duration_loss = F.mse_loss(durations.float()[letter_mask], wanted[letter_mask])
    return mel_loss, duration_loss


def random_clips(corpus: Corpus, budget: int) -> Tensor:
    """Neighbours in length around a random clip, as many as fit `budget` frames."""
    count = len(corpus.by_length)
    pick = int(torch.randint(count, ()))
    longest = int(corpus.frames[corpus.by_length[pick]])
    size = min(max(budget // longest, CLIPS_PER_BATCH[0]), CLIPS_PER_BATCH[1], count)
    first = min(max(0, pick - size // 2), count - size)
    return corpus.by_length[first : first + size]


def weights(net: model.TeacherForced) -> dict[str, Tensor]:
    """The trained weights, without the table of positions, which is a formula."""
    return {name: value for name, value in net.model.state_dict().items() if name != "pos_encoder.pe"}


@torch.no_grad()
def evaluate(net: model.TeacherForced, held_out: Corpus) -> tuple[float, float]:
    """Mean losses over the held-out clips."""
    net.eval()
    batches = [held_out.batch(clips) for clips in held_out.by_length.split(16)]
    mel, durations = torch.tensor([losses(net, batch) for batch in batches]).mean(0).tolist()
    net.train()
    return mel, durations


def main() -> None:
    args = schedule.arguments(__doc__).parse_args()
    clock, device = schedule.start(args)
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
    step = 0
    while clock.fraction < 1:
        schedule.set_rate(optimizer, PEAK_RATE * schedule.annealed(clock.fraction, step))
        batch = corpus.batch(random_clips(corpus, 2000 if args.tiny else FRAMES_PER_BATCH))
        with schedule.mixed(device):
            mel_loss, duration_loss = losses(net, batch)
        optimizer.zero_grad(set_to_none=True)
        (mel_loss + duration_loss).backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        step += 1
        if clock.due("report", schedule.REPORT_S):
            seen = evaluate(net, held_out)
            print(
                f"acoustic: {clock.elapsed_s:.0f} s, step {step}, clips {len(corpus.frames)}, "
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
