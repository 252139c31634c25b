import numpy as np
import pytest
import torch
from faster_whisper.audio import pad_or_trim
from faster_whisper.feature_extractor import FeatureExtractor

from pocket.asr.features import HOP, SAMPLES, LogMel, mel_filters


@pytest.mark.parametrize("count", [8_000, 30_001, 192_000, SAMPLES])
def test_features_equal_those_of_faster_whisper(count: int) -> None:
    rng = np.random.default_rng(count)
    wave = (rng.standard_normal(count) * 0.1 * np.linspace(0, 1, count)).astype(np.float32)
    expected = pad_or_trim(FeatureExtractor()(wave)[..., :-1])
    audio = torch.zeros(1, SAMPLES)
    audio[0, :count] = torch.from_numpy(wave)
    features = LogMel()(audio, torch.tensor([count // HOP]))[0].numpy()
    np.testing.assert_allclose(features, expected, atol=1e-4)


def test_a_warp_moves_the_filters_in_frequency() -> None:
    centre = mel_filters().argmax(1)
    assert (mel_filters(1.16).argmax(1)[20:60] > centre[20:60]).all()
    assert (mel_filters(0.86).argmax(1)[20:60] < centre[20:60]).all()
