from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.audio import write_wav
from bench.hearing import SOUNDS, heard_as, recorded, room, word_errors
from deployments.messages import Audio

TONE = Audio(np.sin(np.arange(8000, dtype=np.float32)) / 2, 16_000)


@pytest.mark.parametrize(
    ("heard", "errors"),
    [("what time is it", 0), ("What time is it?", 0), ("What is it?", 1), ("What a fine time", 3), ("", 4)],
)
def test_counts_wrong_words_without_capitals_and_punctuation(heard: str, errors: int) -> None:
    assert word_errors("What time is it?", heard) == (errors, 4)


def test_reads_the_recordings_of_a_table(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("| file | words |\n|---|---|\n| a_1.wav | Good morning, all. |\n\nOther: b.wav")
    (tmp_path / "a_1.wav").write_bytes(write_wav(TONE))
    (found,) = recorded(tmp_path)
    assert (found.words, len(found.audio.samples)) == ("Good morning, all.", 8000)


@pytest.mark.parametrize("sound", SOUNDS)
def test_a_recording_sounds_as_loud_with_noise_and_in_a_room(sound: str) -> None:
    heard = heard_as(TONE, sound, 1, room(None)).samples
    assert len(heard) >= 3 * 8000
    assert 0.45 < np.abs(heard).max() < 1
