"""HiFi-GAN as a processor likes it: the channels of one moment side by side in memory.

oneDNN, which computes torch's convolutions on a processor, otherwise brings the input of every layer into that order
and its output back, which takes a third of a vocoder's time.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


def lay_out(generator: nn.Module) -> None:
    """Let the convolutions of ``generator``, a HiFi-GAN (Kong et al. 2020), keep channels last in memory.

    What it makes differs by rounding alone. Weights are kept once, in another order. Layers whose weights are computed
    anew at each call (weight normalization) are left as they are.
    """
    for layer in generator.modules():
        if kind := _KINDS.get(type(layer)):
            layer.weight.data = _flat(layer.weight.data).contiguous(memory_format=torch.channels_last).squeeze(2)
            layer.__class__ = kind


def _flat(x: Tensor) -> Tensor:
    """An image one pixel high: torch knows channels last for images alone."""
    return x.unsqueeze(2)


class _Convolution(nn.Conv1d):  # type: ignore[misc]
    def forward(self, x: Tensor) -> Tensor:
        steps = (1, *self.stride), (0, *self.padding), (1, *self.dilation)
        return functional.conv2d(_flat(x), _flat(self.weight), self.bias, *steps, self.groups).squeeze(2)


class _Transposed(nn.ConvTranspose1d):  # type: ignore[misc]
    def forward(self, x: Tensor) -> Tensor:
        steps = (1, *self.stride), (0, *self.padding), (0, *self.output_padding), self.groups, (1, *self.dilation)
        return functional.conv_transpose2d(_flat(x), _flat(self.weight), self.bias, *steps).squeeze(2)


_KINDS: dict[type[nn.Module], type[nn.Module]] = {nn.Conv1d: _Convolution, nn.ConvTranspose1d: _Transposed}
