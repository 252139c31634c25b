"""Bytes to sound and pictures: every format that is read, and every way in which a file can be bad."""

from __future__ import annotations

import io
import struct
import tempfile
import tracemalloc
import zlib
from contextlib import suppress
from typing import Any

import av
import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from deployments.errors import BrokenMedia, NoSpeech, TooLarge, UnsupportedMedia
from deployments.messages import Audio
from graphs.http.media.audio import Kind, audio_pieces, decode_audio, decode_image, kind_of

SECONDS = 1.0
TONE_HZ = 440


def tone(rate: int, seconds: float = SECONDS, channels: int = 1) -> np.ndarray:
    wave = 0.5 * np.sin(2 * np.pi * TONE_HZ * np.arange(int(rate * seconds)) / rate)
    return np.repeat(wave[:, None], channels, axis=1).astype(np.float32)


def wav(samples: np.ndarray, rate: int = 16_000, *, tag: int = 1, channels: int | None = None) -> bytes:
    """A WAV of int16 (tag 1) or float32 (tag 3) samples of shape (n,) or (n, channels)."""
    if tag == 1:
        samples = (samples * 32767).astype("<i2")
    channels = channels or (1 if samples.ndim == 1 else samples.shape[1])
    width, data = samples.itemsize, samples.tobytes()
    fmt = struct.pack("<HHIIHH", tag, channels, rate, rate * channels * width % 2**32, channels * width, width * 8)
    return b"RIFF%sWAVEfmt %s%sdata%s%s" % (
        struct.pack("<I", 36 + len(data)),
        struct.pack("<I", len(fmt)),
        fmt,
        struct.pack("<I", len(data)),
        data,
    )


def encoded(container: str, codec: str, rate: int, channels: int = 1, seconds: float = SECONDS) -> bytes:
    """A tone through an encoder: libsndfile's for Vorbis, PyAV's for the rest."""
    target = io.BytesIO()
    if codec == "vorbis":
        soundfile.write(target, tone(rate, seconds, channels), rate, format="OGG", subtype="VORBIS")
        return target.getvalue()
    with av.open(target, "w", format=container) as output:
        stream: Any = output.add_stream(codec, rate=rate)
        layout = "mono" if channels == 1 else "stereo"
        stream.layout = layout
        samples = np.ascontiguousarray(tone(rate, seconds, channels).reshape(1, -1))
        frame = av.AudioFrame.from_ndarray(samples, format="flt", layout=layout)
        frame.sample_rate = rate
        resampler = av.AudioResampler(stream.format, layout, rate, stream.frame_size or None)
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            output.mux(stream.encode(part))
        output.mux(stream.encode(None))
    return target.getvalue()


def hear(data: bytes, max_s: float = 30) -> Audio:
    return decode_audio(data, max_s=max_s)


def pitch(audio: Audio) -> float:
    spectrum = np.abs(np.fft.rfft(audio.samples))
    return float(np.argmax(spectrum) * audio.rate_hz / len(audio.samples))


@pytest.mark.parametrize(
    ("container", "codec", "rate", "channels"),
    [
        ("wav", "pcm_s16le", 8_000, 1),
        ("wav", "pcm_s24le", 44_100, 2),
        ("wav", "pcm_u8", 22_050, 1),
        ("wav", "pcm_f32le", 96_000, 2),
        ("wav", "pcm_mulaw", 8_000, 1),
        ("wav", "adpcm_ms", 44_100, 2),
        ("wav", "libmp3lame", 44_100, 2),
        ("flac", "flac", 48_000, 2),
        ("mp3", "libmp3lame", 44_100, 2),
        ("ogg", "vorbis", 44_100, 1),
        ("ogg", "libopus", 48_000, 1),
        ("webm", "libopus", 48_000, 1),
        ("ipod", "aac", 44_100, 2),
        ("mp4", "aac", 32_000, 1),
    ],
)
def test_every_format_becomes_16_khz_mono(container: str, codec: str, rate: int, channels: int) -> None:
    data = encoded(container, codec, rate, channels)
    assert kind_of(data) is Kind.AUDIO
    audio = hear(data)
    assert audio.rate_hz == 16_000
    assert audio.samples.dtype == np.float32
    assert audio.samples.ndim == 1
    assert audio.duration_s == pytest.approx(SECONDS, abs=0.15)
    assert pitch(audio) == pytest.approx(TONE_HZ, abs=3)
    assert np.abs(audio.samples).max() <= 1


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 6, 8, 12])
def test_any_number_of_channels(channels: int) -> None:
    audio = hear(wav(tone(16_000, channels=channels)))
    assert audio.duration_s == pytest.approx(SECONDS, abs=0.01)
    assert pitch(audio) == pytest.approx(TONE_HZ, abs=3)


def test_louder_than_full_scale_is_clipped() -> None:
    assert np.abs(hear(wav(tone(16_000) * 9, tag=3)).samples).max() <= 1


def test_silence_is_sound_too() -> None:
    assert np.abs(hear(wav(np.zeros(16_000))).samples).max() == 0


def test_a_wav_cut_short_is_heard_as_far_as_it_goes() -> None:
    data = wav(tone(16_000))
    assert hear(data[: len(data) // 2]).duration_s == pytest.approx(SECONDS / 2, abs=0.05)


@pytest.mark.parametrize(("container", "codec"), [("flac", "flac"), ("mp3", "libmp3lame"), ("ogg", "libopus")])
def test_a_compressed_file_cut_short_is_heard_as_far_as_it_goes(container: str, codec: str) -> None:
    data = encoded(container, codec, 48_000, seconds=4)
    assert 1 < hear(data[: len(data) // 2]).duration_s < 3


def test_a_header_that_promises_more_than_there_is() -> None:
    data = bytearray(wav(tone(16_000)))
    data[40:44] = struct.pack("<I", 2**31)
    assert hear(bytes(data)).duration_s == pytest.approx(SECONDS, abs=0.01)


def test_a_stream_of_unknown_length() -> None:
    data = bytearray(wav(tone(16_000)))
    data[4:8] = data[40:44] = b"\xff" * 4
    assert hear(bytes(data)).duration_s == pytest.approx(SECONDS, abs=0.01)


@pytest.mark.parametrize("rate", [0, 1, 100, 4_000_000_000])
def test_a_rate_that_cannot_be(rate: int) -> None:
    with pytest.raises(BrokenMedia):
        hear(wav(tone(16_000), rate))


def test_no_channels() -> None:
    data = bytearray(wav(tone(16_000)))
    data[22:24] = b"\0\0"
    with pytest.raises(BrokenMedia):
        hear(bytes(data))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_samples_that_are_no_numbers(bad: float) -> None:
    samples = tone(16_000)
    samples[800] = bad
    with pytest.raises(BrokenMedia, match="no numbers"):
        hear(wav(samples, tag=3))


def test_no_samples_at_all() -> None:
    with pytest.raises(NoSpeech):
        hear(wav(np.empty(0)))


def test_only_the_start_of_a_header() -> None:
    with pytest.raises((BrokenMedia, NoSpeech)):
        hear(wav(tone(16_000))[:20])


def test_too_long_is_refused_without_being_decoded() -> None:
    hour = encoded("ogg", "libopus", 48_000, seconds=120)
    tracemalloc.start()
    with pytest.raises(TooLarge, match="longer than 2 s"):
        hear(hour, max_s=2)
    assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("data", "hint"),
    [
        (b"This is a letter to you.", "looks like text"),
        (b"", ""),
        (b"\0" * 1000, ""),
        (b"#EXTM3U\nhttp://example.com/a.wav\n", "looks like text"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 100, "looks like a picture"),
        (b"\0\0\0\x1cftypavif" + b"\0" * 100, ""),
    ],
)
def test_what_is_no_sound(data: bytes, hint: str) -> None:
    with pytest.raises(UnsupportedMedia, match=hint) as caught:
        hear(data)
    assert "FLAC" in caught.value.message
    assert caught.value.param == "audio"


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_damaged_sound_never_raises_anything_else(data: st.DataObject) -> None:
    whole = bytearray(data.draw(st.sampled_from(DAMAGED)))
    for _ in range(data.draw(st.integers(1, 12))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    with suppress(BrokenMedia, NoSpeech, TooLarge, UnsupportedMedia):
        assert np.isfinite(hear(bytes(whole), max_s=5).samples).all()


DAMAGED = [wav(tone(16_000, 0.05)), encoded("flac", "flac", 16_000, seconds=0.1), encoded("mp3", "libmp3lame", 16_000)]


# --- pictures ---------------------------------------------------------------------------------------------------------


def see(data: bytes, max_pixels: int = 1_000_000, side_px: int = 512) -> np.ndarray:
    return decode_image(data, max_pixels=max_pixels, side_px=side_px).pixels


def saved(picture: Pillow.Image, format_name: str, **options: Any) -> bytes:
    target = io.BytesIO()
    picture.save(target, format_name, **options)
    return target.getvalue()


def npy(array: np.ndarray, **options: Any) -> bytes:
    target = io.BytesIO()
    np.save(target, array, **options)
    return target.getvalue()


RED = Pillow.new("RGB", (40, 30), (250, 10, 10))


@pytest.mark.parametrize("format_name", ["PNG", "JPEG", "WEBP", "GIF"])
def test_every_format_becomes_rgb(format_name: str) -> None:
    data = saved(RED, format_name)
    assert kind_of(data) is Kind.IMAGE
    pixels = see(data)
    assert pixels.shape == (30, 40, 3)
    assert pixels.dtype == np.uint8
    assert np.abs(pixels[15, 20].astype(int) - (250, 10, 10)).max() < 12


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_every_mode_of_png(mode: str) -> None:
    white = Pillow.new("L", (8, 8), 255)
    picture = Pillow.fromarray(np.full((8, 8), 65535, np.uint16)) if mode == "I;16" else white.convert(mode)
    pixels = see(saved(picture, "PNG"))
    assert pixels.shape == (8, 8, 3)
    assert (pixels == 255).all()


def test_sixteen_bits_keep_their_middle() -> None:
    grey = Pillow.fromarray(np.full((4, 4), 32768, np.uint16))
    assert abs(int(see(saved(grey, "PNG"))[0, 0, 0]) - 128) <= 1


def test_cmyk_jpeg() -> None:
    assert see(saved(Pillow.new("CMYK", (8, 8)), "JPEG")).min() > 240


def test_transparent_is_white() -> None:
    assert (see(saved(Pillow.new("RGBA", (4, 4), (0, 0, 0, 0)), "PNG")) == 255).all()
    palette = Pillow.new("P", (4, 4), 0)
    assert (see(saved(palette, "PNG", transparency=0)) == 255).all()


def test_a_photo_is_turned_upright() -> None:
    exif = Pillow.Exif()
    exif[0x0112] = 6  # lies on its left side
    assert see(saved(RED, "JPEG", exif=exif)).shape == (40, 30, 3)


def test_the_first_frame_of_a_gif() -> None:
    frames = [Pillow.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    assert tuple(see(saved(frames[0], "GIF", save_all=True, append_images=frames[1:]))[0, 0]) == (255, 0, 0)


@pytest.mark.parametrize("format_name", ["PNG", "JPEG"])
def test_a_large_picture_is_shrunk(format_name: str) -> None:
    assert see(saved(RED.resize((800, 600)), format_name), side_px=200).shape == (150, 200, 3)


def test_an_extreme_aspect_keeps_a_pixel() -> None:
    assert see(saved(RED.resize((5000, 1)), "PNG"), side_px=100).shape == (1, 100, 3)


@pytest.mark.parametrize(
    ("array", "shape"),
    [
        (np.zeros((5, 7), np.uint8), (5, 7, 3)),
        (np.zeros((5, 7, 3), np.uint8), (5, 7, 3)),
        (np.full((5, 7, 4), 255, np.uint8), (5, 7, 3)),
        (np.asfortranarray(np.arange(105, dtype=np.uint8).reshape(5, 7, 3)), (5, 7, 3)),
    ],
)
def test_an_array_is_a_picture(array: np.ndarray, shape: tuple[int, ...]) -> None:
    pixels = see(npy(array))
    assert pixels.shape == shape
    if array.shape == shape:
        assert (pixels == array).all()


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header promises ``width`` x ``height`` pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("data", [bomb(50_000, 50_000), bomb(12_000, 10_000), bomb(1001, 1000)])
def test_a_bomb_is_refused_before_it_is_decoded(data: bytes) -> None:
    tracemalloc.start()
    with pytest.raises(TooLarge, match="pixels"):
        see(data)
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def test_an_array_is_measured_before_it_is_read() -> None:
    header = npy(np.zeros((1, 1), np.uint8))[:128].replace(b"(1, 1), }", b"(99999, 99999), }"[:17])
    with pytest.raises(TooLarge):
        see(header)


@pytest.mark.parametrize("format_name", ["PNG", "JPEG", "WEBP", "GIF"])
def test_a_truncated_picture(format_name: str) -> None:
    noise = Pillow.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))
    data = saved(noise, format_name)
    with pytest.raises(BrokenMedia) as caught:
        see(data[: len(data) // 2])
    assert caught.value.param == "image"


@pytest.mark.parametrize(
    "array",
    [
        np.array([{"a": 1}], dtype=object),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((4, 4, 2), np.uint8),
        np.zeros(4, np.uint8),
        np.zeros((1, 4, 4, 3), np.uint8),
    ],
    ids=["objects", "floats", "two channels", "a row", "a batch"],
)
def test_other_arrays_are_refused_with_what_would_be_right(array: np.ndarray) -> None:
    with pytest.raises(UnsupportedMedia, match="uint8"):
        see(npy(array, allow_pickle=True))


def test_an_array_is_never_unpickled() -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return pytest.fail, ("it was unpickled",)

    with pytest.raises(UnsupportedMedia):
        see(npy(np.array([Bomb()], dtype=object), allow_pickle=True))


@pytest.mark.parametrize("data", [npy(np.zeros((9, 9), np.uint8))[:-1], npy(np.zeros((0, 9), np.uint8)), b"\x93NUMPY"])
def test_a_broken_array(data: bytes) -> None:
    with pytest.raises(BrokenMedia):
        see(data)


@pytest.mark.parametrize(
    ("data", "hint"),
    [
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"<?xml version='1.0'?><svg/>", "SVG"),
        (b"BM" + b"\0" * 100, ""),
        (wav(tone(16_000)), "looks like a sound"),
    ],
)
def test_what_is_no_picture(data: bytes, hint: str) -> None:
    with pytest.raises(UnsupportedMedia, match=hint) as caught:
        see(data)
    assert "PNG" in caught.value.message


# --- long recordings --------------------------------------------------------------------------------------------------


def recording(samples: np.ndarray) -> io.BytesIO:
    target = io.BytesIO()
    soundfile.write(target, samples, 16_000, format="WAV", subtype="PCM_16")
    target.seek(0)
    return target


def test_a_long_recording_comes_in_pieces_that_make_the_whole() -> None:
    samples = (np.sin(np.arange(100 * 16_000) / 10) * np.linspace(0.1, 0.9, 100 * 16_000)).astype(np.float32)
    pieces = list(audio_pieces(recording(samples), max_s=1000, param="file"))
    assert np.allclose(np.concatenate([audio.samples for _, audio in pieces]), samples, atol=1e-3)
    assert all(20 <= audio.duration_s <= 30 for _, audio in pieces[:-1])
    ends = np.cumsum([audio.duration_s for _, audio in pieces])
    assert [start for start, _ in pieces] == pytest.approx([0, *ends[:-1]])


def test_it_is_cut_where_it_is_quiet() -> None:
    samples = np.random.default_rng(1).uniform(-0.5, 0.5, 40 * 16_000).astype(np.float32)
    samples[24 * 16_000 : 25 * 16_000] = 0
    (_, first), _ = audio_pieces(recording(samples), max_s=1000, param="file")
    assert 24 < first.duration_s < 25


def test_a_file_on_disk_is_read_as_one_in_memory() -> None:
    data = recording(np.full(16_000, 0.1, np.float32)).getvalue()
    with tempfile.SpooledTemporaryFile(max_size=10) as file:
        file.write(data)
        ((start, audio),) = audio_pieces(file, max_s=10, param="file")  # type: ignore[arg-type]
    assert (start, audio.duration_s) == (0, 1)


def test_one_that_is_too_long_says_so_once_that_much_has_been_heard() -> None:
    pieces = audio_pieces(recording(np.zeros(70 * 16_000, np.float32)), max_s=60, param="file")
    next(pieces)
    with pytest.raises(TooLarge):
        list(pieces)
