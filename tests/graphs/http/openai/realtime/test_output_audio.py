"""What is sent of a voice: formats, rates, pieces."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.messages import Audio
from graphs.http.openai.realtime.codecs import WireFormat, decode
from graphs.http.openai.realtime.output_audio import OutputAudio, Piece


def tone(rate_hz: int, seconds: float, hz: float = 440) -> Audio:
    at_s = np.arange(round(seconds * rate_hz)) / rate_hz
    return Audio((0.5 * np.sin(2 * np.pi * hz * at_s)).astype(np.float32), rate_hz)


def sent(wire: WireFormat, chunks: list[Audio], piece_ms: int = 100) -> list[Piece]:
    output = OutputAudio(wire, piece_ms=piece_ms)
    return [*(piece for chunk in chunks for piece in output.feed(chunk)), *output.finish()]


@pytest.mark.parametrize("wire", list(WireFormat))
@pytest.mark.parametrize("rate_hz", [8000, 16_000, 22_050, 24_000])
def test_a_voice_of_any_rate_becomes_the_same_sound_in_the_format(wire: WireFormat, rate_hz: int) -> None:
    data = b"".join(piece.data for piece in sent(wire, [tone(rate_hz, 1)]))
    samples = decode(data, wire)
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(len(samples)) / wire.rate_hz)
    assert abs(len(samples) / wire.rate_hz - 1) < 0.003
    assert np.abs(samples - expected)[100:-100].max() < 0.02  # the steps of G.711


@given(cuts=st.lists(st.integers(0, 1600), max_size=10))
def test_how_the_voice_is_cut_into_chunks_does_not_matter(cuts: list[int]) -> None:
    whole = tone(16_000, 0.1)
    edges = [0, *sorted(cuts), 1600]
    chunks = [Audio(whole.samples[a:b], 16_000) for a, b in pairwise(edges)]
    one, many = (b"".join(piece.data for piece in sent(WireFormat.PCM, each)) for each in ([whole], chunks))
    assert one == many


@given(seconds=st.floats(0, 0.5), piece_ms=st.integers(20, 200))
def test_no_piece_is_longer_than_the_limit_and_all_add_up(seconds: float, piece_ms: int) -> None:
    pieces = sent(WireFormat.PCM, [tone(24_000, seconds)], piece_ms)
    assert all(0 < piece.duration_ms <= piece_ms for piece in pieces)
    assert sum(piece.duration_ms for piece in pieces) == pytest.approx(round(seconds * 24_000) / 24)
    assert all(WireFormat.PCM.duration_ms(len(piece.data)) == piece.duration_ms for piece in pieces)


def test_the_rate_may_change_between_chunks() -> None:
    pieces = sent(WireFormat.PCM, [tone(16_000, 0.5), tone(24_000, 0.5), tone(8000, 0.5)])
    assert sum(piece.duration_ms for piece in pieces) == pytest.approx(1500, abs=5)
