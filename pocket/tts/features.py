"""Log-mel spectrograms, the output of the acoustic model and the input of the vocoder."""

import torch
from torch import Tensor
from torch.nn import functional as F

RATE_HZ = 16_000
FFT, WINDOW, HOP = 1024, 800, 256
MELS = 80
FLOOR = 1e-5


class LogMel(torch.nn.Module):
    """Waveform [B, samples] (-1..1, a multiple of HOP long) -> natural-log mel magnitudes [B, MELS, samples/HOP].

    Frame t is centred on sample (t + 1/2) * HOP, so each frame corresponds to HOP samples.
    """

    def __init__(self) -> None:
        super().__init__()
        from torchaudio.functional import melscale_fbanks

        bank = melscale_fbanks(FFT // 2 + 1, 0.0, RATE_HZ / 2, MELS, RATE_HZ, norm="slaney", mel_scale="slaney")
        self.register_buffer("bank", bank.T.contiguous())
        self.register_buffer("window", torch.hann_window(WINDOW))

    def forward(self, wave: Tensor) -> Tensor:
        edge = (FFT - HOP) // 2
        padded = F.pad(wave[:, None], (edge, edge), mode="reflect")[:, 0]
        spectrum = torch.stft(padded, FFT, HOP, WINDOW, self.window, center=False, return_complex=True)
        magnitude = (spectrum.real.square() + spectrum.imag.square() + 1e-9).sqrt()
        return (self.bank @ magnitude).clamp_min(FLOOR).log()
