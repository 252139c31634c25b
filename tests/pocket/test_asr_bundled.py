"""Loading the bundled weights to continue a training."""

import struct
from pathlib import Path

import pytest
import soundfile
import torch

from pocket.asr.bundled import load_bundled, read_variables
from pocket.asr.features import HOP, SAMPLES, LogMel

DATA = Path(__file__).parent.parent / "data"


def test_loaded_network_transcribes_speech() -> None:
    model, tokens = load_bundled()
    samples, _ = soundfile.read(DATA / "question.wav", dtype="float32")
    audio = torch.zeros(1, SAMPLES)
    audio[0, : len(samples)] = torch.from_numpy(samples)
    features = LogMel()(audio, torch.tensor([len(samples) // HOP]))
    assert model.eval().transcribe(features, tokens) == ["What is the capital of France?"]


def test_rejects_a_file_of_another_version(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(struct.pack("I", 5) + bytes(100))
    with pytest.raises(ValueError, match="version 5, not 6"):
        read_variables(tmp_path / "model.bin")
