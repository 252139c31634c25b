"""A HiFi-GAN makes the same sound, however its numbers lie in memory."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from TTS.vocoder.models.hifigan_generator import HifiganGenerator

from deployments.engines.coqui.hifigan import lay_out


def generator(kind: str = "2", *, normed: bool = False) -> HifiganGenerator:
    """As it is after loading; ``normed`` as in training."""
    torch.manual_seed(0)
    dilations: Any = [[1, 3, 5], [1, 3, 5]] if kind == "1" else [[1, 3], [2, 6]]
    made = HifiganGenerator(20, 1, kind, dilations, [3, 5], [8, 4], 32, [4, 4], inference_padding=2)
    if not normed:
        made.remove_weight_norm()
    return made.eval()


def convolutions(model: torch.nn.Module) -> list[Any]:
    return [layer for layer in model.modules() if isinstance(layer, (torch.nn.Conv1d, torch.nn.ConvTranspose1d))]


@pytest.mark.parametrize("kind", ["1", "2"])
@pytest.mark.parametrize("batch", [1, 3])
@torch.inference_mode()
def test_the_sound_is_the_same_in_the_other_layout(kind: str, batch: int) -> None:
    model = generator(kind)
    spectrogram = torch.randn(batch, 20, 37)
    before = model.inference(spectrogram)
    lay_out(model)
    torch.testing.assert_close(model.inference(spectrogram), before, rtol=0, atol=1e-5)
    assert before.abs().max() > 0.01


@torch.inference_mode()
def test_between_the_layers_nothing_is_turned_round() -> None:
    model = generator()
    lay_out(model)
    seen = []
    for layer in convolutions(model):
        layer.register_forward_hook(lambda _, given, made: seen.append((given[0].stride(1), made.stride(1))))
    model.inference(torch.randn(1, 20, 37))
    assert seen[0][1] == 1
    assert all(given == made == 1 for given, made in seen[1:-1])


def test_the_weights_are_kept_once() -> None:
    model = generator()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    lay_out(model)
    after = model.state_dict()
    assert {type(layer).__name__ for layer in convolutions(model)} == {"_Convolution", "_Transposed"}
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert sum(value.untyped_storage().nbytes() for value in after.values()) == sum(v.nbytes for v in before.values())


def test_weights_that_are_computed_at_each_call_are_left_alone() -> None:
    model = generator(normed=True)
    kinds = [type(layer) for layer in convolutions(model)]
    lay_out(model)
    assert [type(layer) for layer in convolutions(model)] == kinds
