"""The input buffer: formats, the timeline, and its limit."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.errors import TooLarge
from graphs.http.openai.realtime.codecs import WireFormat, encode
from graphs.http.openai.realtime.input_audio import RATE_HZ, InputAudio

LAG_MS = 2


def tone(wire: WireFormat, seconds: float, hz: float = 440) -> bytes:
    at_s = np.arange(round(seconds * wire.rate_hz)) / wire.rate_hz
    return encode((0.5 * np.sin(2 * np.pi * hz * at_s)).astype(np.float32), wire)


def buffer(wire: WireFormat = WireFormat.PCM, max_buffer_s: float = 60) -> InputAudio:
    return InputAudio(wire, max_buffer_s=max_buffer_s)


@pytest.mark.parametrize("wire", list(WireFormat))
def test_audio_of_every_format_becomes_the_same_sound_at_16_khz(wire: WireFormat) -> None:
    audio = buffer(wire)
    audio.append(tone(wire, 1))
    heard = audio.slice(0)
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(len(heard.samples)) / RATE_HZ)
    assert heard.rate_hz == RATE_HZ
    assert 1 - LAG_MS / 1000 <= heard.duration_s <= 1
    assert np.abs(heard.samples - expected)[100:].max() < 0.02  # the steps of G.711


@given(cuts=st.lists(st.integers(0, 4800), max_size=20))
def test_how_the_bytes_are_cut_does_not_matter(cuts: list[int]) -> None:
    data = tone(WireFormat.PCM, 0.1)
    whole, pieces = buffer(), buffer()
    whole.append(data)
    edges = [0, *sorted(cuts), len(data)]
    returned = [pieces.append(data[a:b]) for a, b in pairwise(edges)]
    assert (pieces.slice(0).samples == whole.slice(0).samples).all()
    assert (np.concatenate(returned) == whole.slice(0).samples).all()


def test_a_slice_is_addressed_by_time() -> None:
    audio = buffer()
    for _ in range(7):
        audio.append(tone(WireFormat.PCM, 0.5))
    everything = audio.slice(0).samples
    assert (audio.slice(900, 2100).samples == everything[900 * 16 : 2100 * 16]).all()
    assert (audio.slice(2000).samples == everything[2000 * 16 :]).all()


def test_a_slice_beyond_what_is_held_has_what_is_held() -> None:
    audio = buffer()
    audio.append(tone(WireFormat.PCM, 2))
    audio.discard(before_ms=1500)
    assert (audio.slice(0, 9999).samples == audio.slice(1500).samples).all()
    assert len(audio.slice(5000, 6000).samples) == 0
    assert len(audio.slice(0, 1000).samples) == 0


def test_a_slice_does_not_change_when_audio_follows() -> None:
    audio = buffer()
    audio.append(tone(WireFormat.PCM, 0.5))
    before = audio.slice(0)
    copy = before.samples.copy()
    audio.append(tone(WireFormat.PCM, 0.5, hz=900))
    assert (before.samples == copy).all()


def test_the_timeline_goes_on_after_audio_was_discarded() -> None:
    audio = buffer()
    audio.append(tone(WireFormat.PCM, 2))
    audio.discard(before_ms=1900)
    audio.append(tone(WireFormat.PCM, 1))
    assert audio.start_ms == 1900
    assert 3000 - LAG_MS <= audio.end_ms <= 3000


def test_the_timeline_goes_on_after_the_buffer_was_cleared() -> None:
    audio = buffer()
    audio.append(tone(WireFormat.PCM, 1))
    audio.clear()
    assert len(audio.slice(0).samples) == 0
    end_ms = audio.end_ms
    audio.append(tone(WireFormat.PCM, 1))
    assert end_ms + 1000 - LAG_MS <= audio.end_ms <= end_ms + 1000
    assert len(audio.slice(end_ms).samples) > 15_900


def test_the_timeline_goes_on_in_another_format() -> None:
    audio = buffer()
    audio.append(tone(WireFormat.PCM, 1))
    audio.configure(WireFormat.PCMU)
    audio.append(tone(WireFormat.PCMU, 1))
    assert 2000 - 2 * LAG_MS <= audio.end_ms <= 2000


def test_half_a_sample_is_forgotten_when_the_buffer_is_cleared() -> None:
    audio, fresh = buffer(), buffer()
    audio.append(b"\x12")
    audio.clear()
    for each in (audio, fresh):
        each.append(tone(WireFormat.PCM, 0.1))
    assert (audio.slice(0).samples == fresh.slice(0).samples).all()


def test_audio_beyond_the_limit_is_refused_and_what_was_there_stays() -> None:
    audio = buffer(max_buffer_s=1)
    audio.append(tone(WireFormat.PCM, 0.9))
    before = audio.slice(0).samples
    with pytest.raises(TooLarge, match="more than 1 s"):
        audio.append(tone(WireFormat.PCM, 0.2))
    assert (audio.slice(0).samples == before).all()


@given(st.lists(st.one_of(st.floats(0, 0.7).map(lambda s: ("append", s)), st.just(("discard", 0.0))), max_size=30))
def test_never_holds_more_than_its_limit(steps: list[tuple[str, float]]) -> None:
    audio = buffer(max_buffer_s=1)
    for step, seconds in steps:
        if step == "discard":
            audio.discard(before_ms=audio.end_ms)
        else:
            try:
                audio.append(bytes(round(seconds * 24_000) * 2))
            except TooLarge:
                continue
        assert audio.end_ms - audio.start_ms <= 1000
        assert sum(len(block) for block in audio._blocks) <= 3 * RATE_HZ
