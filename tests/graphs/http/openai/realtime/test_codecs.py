"""The formats of the wire: PCM, and G.711 against the values of ITU-T G.711 and against FFmpeg's codecs."""

from __future__ import annotations

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphs.http.openai.realtime.codecs import WireFormat, decode, encode

G711 = [WireFormat.PCMU, WireFormat.PCMA]
CODEC = {WireFormat.PCMU: "pcm_mulaw", WireFormat.PCMA: "pcm_alaw"}


def linear(data: bytes, wire: WireFormat) -> list[int]:
    return [round(float(sample) * 32768) for sample in decode(data, wire)]


def test_pcm_is_16_bit_little_endian() -> None:
    data = np.array([0, 1, -1, 32767, -32768], "<i2").tobytes()
    assert linear(data, WireFormat.PCM) == [0, 1, -1, 32767, -32768]


@pytest.mark.parametrize("wire", list(WireFormat))
@given(data=st.binary(max_size=64).map(lambda data: data[: len(data) // 2 * 2]))
def test_decoding_what_was_encoded_gives_the_same_samples(wire: WireFormat, data: bytes) -> None:
    samples = decode(data, wire)
    assert (decode(encode(samples, wire), wire) == samples).all()


@pytest.mark.parametrize(
    ("wire", "values"),
    [
        # The decoder's outputs of G.711 table 2a (mu-law) times 4, and table 1a (A-law) times 8, with the bits as sent.
        (WireFormat.PCMU, {0x80: 8031 * 4, 0x8F: 4191 * 4, 0x9F: 2079 * 4, 0xEF: 33 * 4, 0xFE: 2 * 4, 0xFF: 0}),
        (WireFormat.PCMU, {0x00: -8031 * 4, 0x0F: -4191 * 4, 0x7E: -2 * 4, 0x7F: 0}),
        (WireFormat.PCMA, {0xFF ^ 0x55: 4032 * 8, 0xF0 ^ 0x55: 2112 * 8, 0xC0 ^ 0x55: 264 * 8, 0x80 ^ 0x55: 1 * 8}),
        (WireFormat.PCMA, {0x7F ^ 0x55: -4032 * 8, 0x70 ^ 0x55: -2112 * 8, 0x00 ^ 0x55: -1 * 8}),
    ],
)
def test_a_byte_has_the_value_of_the_recommendation(wire: WireFormat, values: dict[int, int]) -> None:
    assert linear(bytes(values), wire) == list(values.values())


@pytest.mark.parametrize("wire", G711)
def test_every_byte_has_the_value_that_ffmpeg_gives_it(wire: WireFormat) -> None:
    codec = av.AudioCodecContext.create(CODEC[wire], "r")
    codec.sample_rate = 8000
    codec.layout = "mono"
    (frame,) = codec.decode(av.Packet(bytes(range(256))))
    assert linear(bytes(range(256)), wire) == frame.to_ndarray()[0].tolist()


@pytest.mark.parametrize("wire", G711)
def test_a_sample_becomes_the_byte_with_the_nearest_value(wire: WireFormat) -> None:
    every = np.arange(-32768, 32768)
    values = np.array(linear(bytes(range(256)), wire))
    nearest = np.abs(every[:, np.newaxis] - values).min(axis=1)
    found = values[np.frombuffer(encode((every / 32768).astype(np.float32), wire), np.uint8)]
    assert (np.abs(every - found) == nearest).all()


@pytest.mark.parametrize(("wire", "silence"), [(WireFormat.PCMU, 0xFF), (WireFormat.PCMA, 0xD5)])
def test_silence_is_positive_zero(wire: WireFormat, silence: int) -> None:
    assert encode(np.zeros(2, np.float32), wire) == bytes([silence, silence])


@pytest.mark.parametrize("wire", list(WireFormat))
def test_samples_beyond_full_scale_are_clipped(wire: WireFormat) -> None:
    beyond, within = np.array([2, -2], np.float32), np.array([1, -1], np.float32)
    assert encode(beyond, wire) == encode(within, wire)


@pytest.mark.parametrize(
    ("wire", "size_bytes"), [(WireFormat.PCM, 48_000), (WireFormat.PCMU, 8000), (WireFormat.PCMA, 8000)]
)
def test_knows_how_long_bytes_last(wire: WireFormat, size_bytes: int) -> None:
    assert wire.duration_ms(size_bytes) == 1000
