"""The bundled weights can be taken up again by a training."""

import struct
from pathlib import Path

import pytest
import soundfile
import torch

from pocket.asr.features import HOP, SAMPLES, LogMel
from pocket.asr.shipped import load_shipped, weights

DATA = Path(__file__).parent.parent / "data"


def test_the_network_hears_what_the_shipped_file_hears() -> None:
    model, tokens = load_shipped()
    samples, _ = soundfile.read(DATA / "question.wav", dtype="float32")
    audio = torch.zeros(1, SAMPLES)
    audio[0, : len(samples)] = torch.from_numpy(samples)
    features = LogMel()(audio, torch.tensor([len(samples) // HOP]))
    assert model.eval().transcribe(features, tokens) == ["What is the capital of France?"]


def test_a_file_of_another_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(struct.pack("I", 5) + bytes(100))
    with pytest.raises(ValueError, match="version 5, not 6"):
        weights(tmp_path / "model.bin")
