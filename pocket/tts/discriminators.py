"""The discriminators of the vocoder's training.

They are HiFi-GAN's period discriminator (Kong et al. 2020) and UnivNet's resolution discriminator (Jang et al. 2021)
with fewer channels. They are not exported.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

PERIODS = (2, 3, 5, 7, 11)
RESOLUTIONS = ((1024, 120, 600), (2048, 240, 1200), (512, 50, 240))  # fft, hop, window
SLOPE = 0.1


class Discriminator(nn.Module):
    """A stack of 2-D convolutions over an image of the waveform."""

    def __init__(self, layers: list[nn.Conv2d]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(weight_norm(layer) for layer in layers)

    def image(self, wave: Tensor) -> Tensor:
        """Return wave [B, samples] as an image [B, 1, height, width]."""
        raise NotImplementedError

    def forward(self, wave: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the score map and the features of the inner layers for wave [B, samples]."""
        x = self.image(wave)
        features = []
        for layer in self.layers[:-1]:
            x = F.leaky_relu(layer(x), SLOPE)
            features.append(x)
        return self.layers[-1](x), features


class PeriodDiscriminator(Discriminator):
    """Discriminates the waveform, folded at one period."""

    def __init__(self, period: int) -> None:
        sizes = [1, 32, 64, 128, 256]
        layers = [nn.Conv2d(a, b, (5, 1), (3, 1), (2, 0)) for a, b in pairwise(sizes)]
        super().__init__([*layers, nn.Conv2d(256, 256, (5, 1), 1, (2, 0)), nn.Conv2d(256, 1, (3, 1), 1, (1, 0))])
        self.period = period

    def image(self, wave: Tensor) -> Tensor:
        wave = F.pad(wave[:, None], (0, -wave.shape[1] % self.period), mode="reflect")
        return wave.view(len(wave), 1, -1, self.period)


class SpectrumDiscriminator(Discriminator):
    """Discriminates the magnitude spectrogram at one resolution."""

    def __init__(self, fft: int, hop: int, window: int) -> None:
        wide = [nn.Conv2d(width, 16, (3, 9), (1, 2), (1, 4)) for width in (1, 16, 16, 16)]
        super().__init__([*wide, nn.Conv2d(16, 16, 3, 1, 1), nn.Conv2d(16, 1, 3, 1, 1)])
        self.fft, self.hop = fft, hop
        self.register_buffer("window", torch.hann_window(window))

    def image(self, wave: Tensor) -> Tensor:
        return magnitude(wave, self.fft, self.hop, self.window).transpose(1, 2)[:, None]


class Discriminators(nn.Module):
    """All discriminators."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.ModuleList(
            [PeriodDiscriminator(period) for period in PERIODS]
            + [SpectrumDiscriminator(*sizes) for sizes in RESOLUTIONS]
        )

    def forward(self, wave: Tensor) -> list[tuple[Tensor, list[Tensor]]]:
        """Return a (scores, features) pair per discriminator for wave [B, samples]."""
        return [part(wave) for part in self.parts]


def magnitude(wave: Tensor, fft: int, hop: int, window: Tensor) -> Tensor:
    """Return the magnitude spectrogram [B, fft // 2 + 1, frames] of wave [B, samples] in float32."""
    spectrum = torch.stft(wave.float(), fft, hop, len(window), window, return_complex=True)
    return (spectrum.real.square() + spectrum.imag.square() + 1e-7).sqrt()
