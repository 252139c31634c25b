"""Batched log-mel features on any device, equal to faster-whisper's `FeatureExtractor(audio)[..., :-1]`.

Frames past the end of a clip are 0.0, as in faster-whisper's `pad_or_trim`.
"""

import torch
from torch import Tensor, nn

RATE_HZ = 16_000
HOP = 160
N_FFT = 400
N_MELS = 80
FRAMES = 3_000
SAMPLES = FRAMES * HOP


def mel_filters(warp: float = 1.0) -> Tensor:
    """Return Slaney mel filters (N_MELS, N_FFT // 2 + 1).

    `warp` multiplies their frequencies and simulates another vocal tract length.
    """
    bins = torch.fft.rfftfreq(N_FFT, 1 / RATE_HZ, dtype=torch.float64)
    mels = torch.linspace(0.0, 45.245640471924965, N_MELS + 2, dtype=torch.float64)
    linear = mels * 200 / 3
    logarithmic = 1000 * torch.exp((mels - 15) * torch.log(torch.tensor(6.4, dtype=torch.float64)) / 27)
    edges = torch.where(mels >= 15, logarithmic, linear) * warp
    width = edges.diff()
    slopes = edges[:, None] - bins[None]
    rising, falling = -slopes[:-2] / width[:-1, None], slopes[2:] / width[1:, None]
    filters = torch.minimum(rising, falling).clamp(min=0)
    return (filters * (2 / (edges[2:] - edges[:-2]))[:, None]).float()


class LogMel(nn.Module):
    """Convert waveforms to log-mel features, with one set of filters for each factor of `warps`."""

    filters: Tensor
    window: Tensor

    def __init__(self, warps: tuple[float, ...] = (1.0,)) -> None:
        super().__init__()
        self.register_buffer("filters", torch.stack([mel_filters(warp) for warp in warps]))
        self.register_buffer("window", torch.hann_window(N_FFT))

    def forward(self, audio: Tensor, frames: Tensor, warp: Tensor | None = None) -> Tensor:
        """Return features (batch, N_MELS, samples // HOP); with SAMPLES samples, the input of the encoder at run time.

        `audio` (batch, samples) is zero past the end of each clip; `frames` (batch,) counts its whole frames; `warp`
        (batch,) holds indices into `warps`.
        """
        return finish(self.mel(audio, warp), frames)

    def mel(self, audio: Tensor, warp: Tensor | None = None) -> Tensor:
        """Return mel power (batch, N_MELS, samples // HOP)."""
        spectrum = torch.stft(
            nn.functional.pad(audio, (0, HOP)), N_FFT, HOP, window=self.window, center=True, return_complex=True
        )
        power = spectrum[..., : audio.shape[1] // HOP].abs().square()
        filters = self.filters[:1].expand(len(audio), -1, -1) if warp is None else self.filters[warp]
        return torch.bmm(filters, power)


def finish(mel: Tensor, frames: Tensor) -> Tensor:
    """Convert mel power (batch, N_MELS, frames) to features.

    They are logarithms, limited to eight decades below the peak of the clip, and 0.0 past its end.
    """
    inside = torch.arange(mel.shape[2], device=mel.device) < frames[:, None]
    log = mel.clamp(min=1e-10).log10().masked_fill(~inside[:, None], -10.0)
    log = torch.maximum(log, log.amax((1, 2), keepdim=True) - 8.0)
    return ((log + 4.0) / 4.0).masked_fill(~inside[:, None], 0.0)
