"""HiFi-GAN in the memory layout that is fastest on a CPU: channels last.

oneDNN computes torch's convolutions on a CPU. It otherwise converts the input of every layer to this layout and its
output back, which takes a third of a vocoder's time.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


def use_channels_last(generator: nn.Module) -> None:
    """Replace the 1-d convolutions of ``generator``, a HiFi-GAN (Kong et al. 2020), by ones in channels-last layout.

    The output differs by rounding only. Weights are not duplicated. Convolutions with parametrized weights (weight
    normalization), which are computed at each call, are not replaced.
    """
    for parent in list(generator.modules()):
        for name, layer in list(parent.named_children()):
            if replacement := _REPLACEMENTS.get(type(layer)):
                setattr(parent, name, replacement(layer))


def _as_image(x: Tensor) -> Tensor:
    """Return a view of shape (n, channels, 1, length): torch has the layout channels last for images only."""
    return x.unsqueeze(2)


class _ChannelsLast(nn.Module):  # type: ignore[misc]
    """A convolution with the parameters of ``layer``; its weight has the layout channels last."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        weight = _as_image(layer.weight.data).contiguous(memory_format=torch.channels_last).squeeze(2)
        self.weight = nn.Parameter(weight, requires_grad=layer.weight.requires_grad)
        self.bias = layer.bias
        self.groups = layer.groups
        self.stride = (1, *layer.stride)
        self.padding = (0, *layer.padding)
        self.dilation = (1, *layer.dilation)


class ChannelsLastConv1d(_ChannelsLast):
    """Computes what an ``nn.Conv1d`` with zero padding computes. Input and output have shape (n, channels, length)."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.conv2d(
            _as_image(x), _as_image(self.weight), self.bias, self.stride, self.padding, self.dilation, self.groups
        ).squeeze(2)


class ChannelsLastConvTranspose1d(_ChannelsLast):
    """Computes what an ``nn.ConvTranspose1d`` computes. Input and output have shape (n, channels, length)."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__(layer)
        self.output_padding = (0, *layer.output_padding)

    def forward(self, x: Tensor) -> Tensor:
        sizes = (self.stride, self.padding, self.output_padding, self.groups, self.dilation)
        return functional.conv_transpose2d(_as_image(x), _as_image(self.weight), self.bias, *sizes).squeeze(2)


_REPLACEMENTS: dict[type[nn.Module], type[_ChannelsLast]] = {
    nn.Conv1d: ChannelsLastConv1d,
    nn.ConvTranspose1d: ChannelsLastConvTranspose1d,
}
