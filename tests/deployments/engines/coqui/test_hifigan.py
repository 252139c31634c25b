"""HiFi-GAN gives the same audio in both memory layouts."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from TTS.vocoder.models.hifigan_generator import HifiganGenerator

from deployments.engines.coqui.hifigan import ChannelsLastConv1d, ChannelsLastConvTranspose1d, use_channels_last


def generator(kind: str = "2", *, normed: bool = False) -> HifiganGenerator:
    """Return a generator as it is after loading, or with weight normalization as in training (``normed``)."""
    torch.manual_seed(0)
    dilations: Any = [[1, 3, 5], [1, 3, 5]] if kind == "1" else [[1, 3], [2, 6]]
    model = HifiganGenerator(20, 1, kind, dilations, [3, 5], [8, 4], 32, [4, 4], inference_padding=2)
    if not normed:
        model.remove_weight_norm()
    return model.eval()


def convolutions(model: torch.nn.Module) -> list[Any]:
    kinds = (torch.nn.Conv1d, torch.nn.ConvTranspose1d, ChannelsLastConv1d, ChannelsLastConvTranspose1d)
    return [layer for layer in model.modules() if isinstance(layer, kinds)]


@pytest.mark.parametrize("kind", ["1", "2"])
@pytest.mark.parametrize("batch", [1, 3])
@torch.inference_mode()
def test_the_audio_is_the_same_in_both_layouts(kind: str, batch: int) -> None:
    model = generator(kind)
    spectrogram = torch.randn(batch, 20, 37)
    before = model.inference(spectrogram)
    use_channels_last(model)
    torch.testing.assert_close(model.inference(spectrogram), before, rtol=0, atol=1e-5)
    assert before.abs().max() > 0.01


@torch.inference_mode()
def test_layers_exchange_tensors_in_channels_last_layout() -> None:
    model = generator()
    use_channels_last(model)
    seen = []
    for layer in convolutions(model):
        layer.register_forward_hook(lambda _, inputs, output: seen.append((inputs[0].stride(1), output.stride(1))))
    model.inference(torch.randn(1, 20, 37))
    assert seen[0][1] == 1
    assert all(before == after == 1 for before, after in seen[1:-1])


def test_weights_are_not_duplicated() -> None:
    model = generator()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    use_channels_last(model)
    after = model.state_dict()
    assert {type(layer) for layer in convolutions(model)} == {ChannelsLastConv1d, ChannelsLastConvTranspose1d}
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert sum(value.untyped_storage().nbytes() for value in after.values()) == sum(v.nbytes for v in before.values())


def test_layers_with_weight_normalization_are_not_replaced() -> None:
    model = generator(normed=True)
    kinds = [type(layer) for layer in convolutions(model)]
    use_channels_last(model)
    assert [type(layer) for layer in convolutions(model)] == kinds
