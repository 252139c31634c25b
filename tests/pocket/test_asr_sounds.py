import shutil

import numpy as np
import pytest

from pocket.asr import noise, voices


@pytest.mark.parametrize("kind", noise.KINDS)
def test_noise_has_the_requested_length_and_a_bounded_peak(kind: str) -> None:
    rng = np.random.default_rng(5)
    for count in (4_000, 50_000):
        sound = noise.KINDS[kind](rng, count)
        assert sound.shape == (count,)
        assert sound.dtype == np.float32
        assert 0 < np.abs(sound).max() <= 1


def test_mix_has_the_requested_signal_to_noise_ratio() -> None:
    rng = np.random.default_rng(6)
    speech = rng.standard_normal(16_000).astype(np.float32)
    added = noise.mix(speech, noise.coloured(rng, 16_000, 1.0), 15.0) - speech
    assert 10 * np.log10(np.mean(speech**2) / np.mean(added**2)) == pytest.approx(15.0, abs=0.01)


def test_trim_cuts_silence_at_both_ends_only() -> None:
    loud = np.full(1_000, 9_000, np.int16)
    silence = np.zeros(8_000, np.int16)
    trimmed = voices.trim(np.concatenate([silence, loud, silence, loud, silence]))
    assert 10_000 <= len(trimmed) <= 10_000 + 2 * 320
    assert not len(voices.trim(silence))


def test_held_out_voice_is_not_a_training_voice() -> None:
    training = (*voices.FLITE, *voices.ESPEAK)
    assert voices.HELD_OUT not in training
    assert voices.HELD_OUT_VARIANT not in training
    assert all("awb" not in voice.name for voice in training)


def test_names_the_missing_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    voices._program.cache_clear()
    with pytest.raises(voices.VoiceMissing, match="flite is not installed"):
        voices.speak("Hello.", voices.HELD_OUT)


@pytest.mark.parametrize("voice", [voices.FLITE[0], voices.FLITE[3], voices.ESPEAK[1]])
def test_speed_shortens_the_speech(voice: voices.Voice) -> None:
    if shutil.which(voice.engine) is None:
        pytest.skip(f"{voice.engine} is not installed")
    slow, fast = (voices.speak("Hello there, my friend.", voice, speed) for speed in (0.9, 1.3))
    assert 0.5 < len(fast) / voices.RATE_HZ < len(slow) / voices.RATE_HZ < 3
