"""Decoding of audio: every format, every kind of damaged file, and long recordings in pieces."""

from __future__ import annotations

import io
import struct
import tempfile
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from deployments.errors import BrokenMedia, NoSpeech, TooLarge, UnsupportedMedia
from deployments.messages import Audio
from graphs.http.media.audio import audio_pieces, decode_audio
from tests.graphs.http.media.files import AUDIO_FILES, SECONDS, TONE_HZ, encoded, tone, wav

INPUTS = Path("tests/data/inputs")

DAMAGED = [wav(tone(16_000, 0.05)), encoded("flac", "flac", 16_000, seconds=0.1), encoded("mp3", "libmp3lame", 16_000)]


def decode(data: bytes, max_s: float = 30) -> Audio:
    return decode_audio(data, max_s=max_s)


def pitch_hz(audio: Audio) -> float:
    spectrum = np.abs(np.fft.rfft(audio.samples))
    return float(np.argmax(spectrum) * audio.rate_hz / len(audio.samples))


@pytest.mark.parametrize(("container", "codec", "rate_hz", "channels"), AUDIO_FILES)
def test_decodes_every_format_to_16_khz_mono(container: str, codec: str, rate_hz: int, channels: int) -> None:
    audio = decode(encoded(container, codec, rate_hz, channels))
    assert audio.rate_hz == 16_000
    assert audio.samples.dtype == np.float32
    assert audio.samples.ndim == 1
    assert audio.duration_s == pytest.approx(SECONDS, abs=0.15)
    assert pitch_hz(audio) == pytest.approx(TONE_HZ, abs=3)
    assert np.abs(audio.samples).max() <= 1


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 6, 8, 12])
def test_mixes_any_number_of_channels_to_mono(channels: int) -> None:
    audio = decode(wav(tone(16_000, channels=channels)))
    assert audio.duration_s == pytest.approx(SECONDS, abs=0.01)
    assert pitch_hz(audio) == pytest.approx(TONE_HZ, abs=3)


def test_clips_samples_above_full_scale() -> None:
    assert np.abs(decode(wav(tone(16_000) * 9, tag=3)).samples).max() <= 1


def test_decodes_silence() -> None:
    assert np.abs(decode(wav(np.zeros(16_000))).samples).max() == 0


def test_decodes_a_truncated_wav_up_to_its_end() -> None:
    data = wav(tone(16_000))
    assert decode(data[: len(data) // 2]).duration_s == pytest.approx(SECONDS / 2, abs=0.05)


@pytest.mark.parametrize(("container", "codec"), [("flac", "flac"), ("mp3", "libmp3lame"), ("ogg", "libopus")])
def test_decodes_a_truncated_compressed_file_up_to_its_end(container: str, codec: str) -> None:
    data = encoded(container, codec, 48_000, seconds=4)
    assert 1 < decode(data[: len(data) // 2]).duration_s < 3


def test_decodes_a_wav_whose_header_has_a_larger_size_than_its_data() -> None:
    data = bytearray(wav(tone(16_000)))
    data[40:44] = struct.pack("<I", 2**31)
    assert decode(bytes(data)).duration_s == pytest.approx(SECONDS, abs=0.01)


def test_decodes_a_wav_of_unknown_length() -> None:
    data = bytearray(wav(tone(16_000)))
    data[4:8] = data[40:44] = b"\xff" * 4
    assert decode(bytes(data)).duration_s == pytest.approx(SECONDS, abs=0.01)


@pytest.mark.parametrize("rate_hz", [0, 1, 100, 4_000_000_000])
def test_rejects_a_wav_with_an_implausible_sample_rate(rate_hz: int) -> None:
    with pytest.raises(BrokenMedia):
        decode(wav(tone(16_000), rate_hz))


def test_rejects_a_wav_without_channels() -> None:
    data = bytearray(wav(tone(16_000)))
    data[22:24] = b"\0\0"
    with pytest.raises(BrokenMedia):
        decode(bytes(data))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_rejects_a_wav_with_nan_or_infinite_samples(value: float) -> None:
    samples = tone(16_000)
    samples[800] = value
    with pytest.raises(BrokenMedia, match="NaN or infinite"):
        decode(wav(samples, tag=3))


def test_rejects_a_wav_without_samples() -> None:
    with pytest.raises(NoSpeech):
        decode(wav(np.empty(0)))


def test_rejects_a_wav_with_a_truncated_header() -> None:
    with pytest.raises((BrokenMedia, NoSpeech)):
        decode(wav(tone(16_000))[:20])


@pytest.mark.parametrize(
    ("name", "seconds"),
    [
        ("cat_rates.mp3", 5.4),
        ("chained_opus_vorbis.ogg", 5.3),
        ("zeropad.mp3", 7.3),
        ("id3.aac", 3.6),
        ("antiphase.flac", 4.0),
    ],
)
def test_decodes_the_recordings_of_clients_to_their_end(name: str, seconds: float) -> None:
    audio = decode((INPUTS / name).read_bytes())
    assert audio.duration_s == pytest.approx(seconds, abs=0.1)
    assert np.abs(audio.samples[-audio.rate_hz :]).max() > 0.05


@pytest.mark.parametrize(
    ("container", "codec", "rates_hz"),
    [
        ("wav", "pcm_s16le", (48_000, 16_000)),
        ("flac", "flac", (48_000, 16_000)),
        ("mp3", "libmp3lame", (44_100, 22_050)),
        ("adts", "aac", (44_100, 22_050)),
        ("ogg", "libopus", (48_000, 48_000)),
        ("ogg", "vorbis", (44_100, 22_050)),
        ("webm", "libopus", (48_000, 48_000)),
        ("mp4", "aac", (44_100, 22_050)),
    ],
)
def test_decodes_joined_files_of_different_rates_and_channels(
    container: str, codec: str, rates_hz: tuple[int, int]
) -> None:
    first, second = (
        encoded(container, codec, rate_hz, channels) for rate_hz, channels in zip(rates_hz, (2, 1), strict=True)
    )
    audio = decode(first + second)
    assert audio.duration_s == pytest.approx(2 * SECONDS, abs=0.2)
    assert pitch_hz(audio) == pytest.approx(TONE_HZ, abs=3)
    assert np.abs(audio.samples[-8000:-4000]).max() > 0.3


FORMATS = {
    "wav": encoded("wav", "pcm_s16le", 16_000),
    "flac": encoded("flac", "flac", 48_000),
    "mp3": encoded("mp3", "libmp3lame", 44_100),
    "aac": encoded("adts", "aac", 44_100, 2),
    "ogg": encoded("ogg", "libopus", 48_000),
    "webm": encoded("webm", "libopus", 48_000),
    "m4a": encoded("ipod", "aac", 44_100),
}


@pytest.mark.parametrize("second", FORMATS)
@pytest.mark.parametrize("first", FORMATS)
def test_decodes_joined_files_of_different_formats(first: str, second: str) -> None:
    audio = decode(FORMATS[first] + FORMATS[second])
    assert audio.duration_s == pytest.approx(2 * SECONDS, abs=0.2)
    assert pitch_hz(audio) == pytest.approx(TONE_HZ, abs=3)
    assert np.abs(audio.samples[-8000:-4000]).max() > 0.3


def test_decodes_a_file_of_frames_between_others() -> None:
    names = ("wav", "mp3", "mp3", "flac", "aac", "mp3", "webm")
    audio = decode(b"".join(FORMATS[name] for name in names))
    assert audio.duration_s == pytest.approx(len(names) * SECONDS, abs=0.5)


@pytest.mark.parametrize("second", FORMATS)
@pytest.mark.parametrize(
    "first",
    [
        ("wav", "pcm_s16le", 16_000),
        ("flac", "flac", 48_000),
        ("mp3", "libmp3lame", 44_100),
        ("adts", "aac", 44_100),
        ("ogg", "libopus", 48_000),
        ("webm", "libopus", 48_000),
    ],
)
def test_decodes_what_follows_a_truncated_file(first: tuple[str, str, int], second: str) -> None:
    data = encoded(*first, seconds=4)
    audio = decode(data[: len(data) // 2] + FORMATS[second])
    assert 2 < audio.duration_s < 4
    assert np.abs(audio.samples[-8000:-4000]).max() > 0.3


@pytest.mark.parametrize("second", [("pcm_s16le", 44_100), ("aac", 16_000), ("libopus", 48_000)])
@pytest.mark.parametrize("first", [("pcm_s16le", 8_000), ("aac", 48_000), ("libopus", 48_000)])
def test_decodes_joined_matroska_files_of_different_codecs(first: tuple[str, int], second: tuple[str, int]) -> None:
    audio = decode(encoded("matroska", *first) + encoded("matroska", *second))
    assert audio.duration_s == pytest.approx(2 * SECONDS, abs=0.2)
    assert pitch_hz(audio) == pytest.approx(TONE_HZ, abs=3)


@pytest.mark.parametrize("container", ["wav", "mp4", "matroska"])
def test_a_container_of_mp3_is_one_file(container: str) -> None:
    audio = decode(encoded(container, "libmp3lame", 44_100, seconds=3))
    assert audio.duration_s == pytest.approx(3, abs=0.2)
    assert pitch_hz(audio) == pytest.approx(TONE_HZ, abs=3)


def flac_in(container: str) -> bytes:
    target = io.BytesIO()
    with av.open(io.BytesIO(FORMATS["flac"])) as source, av.open(target, "w", format=container) as output:
        stream = output.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(source.streams.audio[0]):
            if packet.dts is not None:
                packet.stream = stream
                output.mux(packet)
    return target.getvalue()


@pytest.mark.parametrize("second", FORMATS)
@pytest.mark.parametrize("container", ["ogg", "matroska", "mp4"])
def test_a_container_of_flac_is_one_file(container: str, second: str) -> None:
    assert b"fLaC" in flac_in(container)
    audio = decode(flac_in(container) + FORMATS[second])
    assert audio.duration_s == pytest.approx(2 * SECONDS, abs=0.2)
    assert pitch_hz(audio) == pytest.approx(TONE_HZ, abs=3)


TAILS = {
    "zeros": bytes(10_000),
    "ID3v1": b"TAG" + b"Title".ljust(125, b"\0"),
    "APE": b"APETAGEX\xd0\7\0\0" + struct.pack("<II", 40, 1) + bytes(12) + b"Artist\0Someone",
}


@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize("name", FORMATS)
def test_what_follows_a_file_and_is_no_file_is_ignored(name: str, tail: str) -> None:
    assert decode(FORMATS[name] + TAILS[tail]).duration_s == pytest.approx(SECONDS, abs=0.2)


def test_decodes_many_joined_mp3s_of_different_rates() -> None:
    files = [encoded("mp3", "libmp3lame", rate_hz, channels) for rate_hz, channels in ((44_100, 1), (22_050, 2))]
    assert decode_audio(b"".join(files * 20), max_s=100).duration_s == pytest.approx(40 * SECONDS, abs=4)


def test_decodes_joined_wavs_of_unknown_length() -> None:
    data = bytearray(wav(tone(16_000)))
    data[4:8] = data[40:44] = b"\xff" * 4
    assert decode(bytes(data) * 3).duration_s == pytest.approx(3 * SECONDS, abs=0.01)


def test_rejects_more_than_a_hundred_joined_files() -> None:
    with pytest.raises(BrokenMedia, match="joined"):
        decode(wav(tone(16_000, 0.01)) * 101)


def test_a_joined_file_that_cannot_be_decoded_is_an_error_with_the_second() -> None:
    broken = bytearray(encoded("ogg", "libopus", 48_000))
    broken[28:32] = b"Nope"
    with pytest.raises(BrokenMedia, match=r"beyond second 1\.0"):
        decode(encoded("ogg", "vorbis", 44_100) + bytes(broken))


def mp4_with_hole(share: float) -> bytes:
    """Return 20 s of AAC in MP4, of which ``share`` in the middle are random bytes."""
    data = bytearray(encoded("mp4", "aac", 48_000, seconds=20))
    middle, size = len(data) // 2, int(len(data) * share)
    data[middle : middle + size] = np.random.default_rng(0).bytes(size)
    return bytes(data)


def test_skips_a_few_broken_packets() -> None:
    assert decode(mp4_with_hole(0.005)).duration_s == pytest.approx(20, abs=0.3)


def test_more_broken_packets_are_an_error_with_the_second() -> None:
    with pytest.raises(BrokenMedia, match=r"M4A audio cannot be decoded beyond second 10\.\d:"):
        decode(mp4_with_hole(0.05))


def test_an_error_after_a_piece_of_a_recording_is_raised() -> None:
    data = bytearray(encoded("mp4", "aac", 48_000, seconds=90))
    size = len(data) // 20
    data[size * 15 : size * 16] = bytes(size)
    pieces = audio_pieces(io.BytesIO(data), max_s=1000, param="file")
    assert next(pieces)[1].duration_s > 20
    with pytest.raises(BrokenMedia, match="beyond second 6"):
        list(pieces)


def speech(seconds: float = SECONDS) -> np.ndarray:
    """Return a tone of shape (n,)."""
    return tone(16_000, seconds)[:, 0]


@pytest.mark.parametrize(
    "channels",
    [
        lambda x: [x, -x],
        lambda x: [x, -0.9 * x],
        lambda x: [0 * x, 0 * x, x],
        lambda x: [0.4 + 0 * x, x],
        lambda x: [*[0 * x] * 11, x],
    ],
    ids=["opposite phases", "nearly opposite phases", "third channel", "constant offset", "last of twelve"],
)
def test_speech_survives_the_mix_of_channels(channels: Callable[[np.ndarray], list[np.ndarray]]) -> None:
    audio = decode(wav(np.stack(channels(speech()), axis=1).astype(np.float32)))
    assert pitch_hz(audio) == pytest.approx(TONE_HZ, abs=3)
    assert audio.samples.std() > 0.1


def test_the_channels_of_each_piece_of_a_recording_are_mixed_separately() -> None:
    x = speech(60)
    left = np.concatenate([x, 0.1 * x])
    right = np.concatenate([0.1 * x, -x])
    target = io.BytesIO(wav(np.stack([left, right], axis=1)))
    assert all(audio.samples.std() > 0.1 for _, audio in audio_pieces(target, max_s=1000, param="file"))


def noise(dbfs: float, seconds: float = SECONDS) -> np.ndarray:
    """Return white noise of that power, of shape (n,)."""
    return (np.random.default_rng(7).standard_normal(int(16_000 * seconds)) * 10 ** (dbfs / 20)).astype(np.float32)


def hum(amplitude: float) -> np.ndarray:
    """Return 50 Hz of shape (n,)."""
    return (amplitude * np.sin(2 * np.pi * 50 * np.arange(int(16_000 * SECONDS)) / 16_000)).astype(np.float32)


@pytest.mark.parametrize("disturbance", [noise(-15), noise(-17), hum(0.25), hum(0.5)])
def test_speech_of_opposite_phases_survives_what_both_channels_have(disturbance: np.ndarray) -> None:
    x = 0.98 * speech()
    audio = decode(wav(np.stack([x + disturbance, -x + disturbance], axis=1).clip(-1, 1)))
    assert pitch_hz(audio) == pytest.approx(TONE_HZ, abs=3)


def test_speakers_in_a_channel_each_are_mixed() -> None:
    first, second = (np.concatenate(parts) for parts in ([speech(), 0 * speech()], [0 * speech(), speech()]))
    audio = decode(wav(np.stack([first, second], axis=1)))
    assert all(half.std() > 0.1 for half in np.split(audio.samples, 2))


def tracks(*signals: np.ndarray) -> bytes:
    """Return a WebM with one track for each signal."""
    target = io.BytesIO()
    with av.open(target, "w", format="webm") as output:
        streams = [output.add_stream("libopus", rate=48_000, layout="mono") for _ in signals]
        for stream, signal in zip(streams, signals, strict=True):
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(signal[None]), format="flt", layout="mono")
            frame.sample_rate = 16_000
            resampler = av.AudioResampler(stream.format, "mono", 48_000, stream.frame_size)
            for part in [*resampler.resample(frame), *resampler.resample(None)]:
                output.mux(stream.encode(part))
            output.mux(stream.encode(None))
    return target.getvalue()


def test_decodes_the_first_track_that_is_not_silent() -> None:
    audio = decode(tracks(0 * speech(), speech(), 0.5 * speech(3)))
    assert pitch_hz(audio) == pytest.approx(TONE_HZ, abs=3)
    assert audio.duration_s == pytest.approx(SECONDS, abs=0.1)


@pytest.mark.parametrize("dbfs", [-65, -50, -38])
def test_decodes_the_track_with_speech_after_one_with_noise(dbfs: float) -> None:
    assert pitch_hz(decode(tracks(noise(dbfs), speech()))) == pytest.approx(TONE_HZ, abs=3)


def test_decodes_the_first_of_several_loud_tracks() -> None:
    assert decode(tracks(0.4 * speech(), speech(3))).duration_s == pytest.approx(SECONDS, abs=0.1)


def test_rejects_more_tracks_than_are_compared() -> None:
    assert pitch_hz(decode(tracks(*[0 * speech()] * 7, speech()))) == pytest.approx(TONE_HZ, abs=3)
    with pytest.raises(TooLarge, match="9 audio tracks; the limit is 8"):
        decode(tracks(*[0 * speech()] * 8, speech()))


def test_decodes_silent_tracks_as_silence() -> None:
    assert np.abs(decode(tracks(0 * speech(), 0 * speech())).samples).max() < 1e-4


@pytest.mark.parametrize("peak_dbfs", [-70, -60, -45])
def test_amplifies_very_quiet_audio(peak_dbfs: float) -> None:
    audio = decode(wav(speech() / 0.5 * 10 ** (peak_dbfs / 20)))
    assert np.abs(audio.samples).max() == pytest.approx(0.1, abs=0.001)
    assert pitch_hz(audio) == pytest.approx(TONE_HZ, abs=3)


def test_a_click_does_not_prevent_the_amplification_of_quiet_speech() -> None:
    samples = speech() / 0.5 * 10 ** (-60 / 20)
    samples[[100, 799]] = 0.5
    assert np.abs(decode(wav(samples)).samples[2000:]).max() == pytest.approx(0.1, abs=0.001)


def test_does_not_amplify_one_word_in_a_long_pause() -> None:
    samples = np.concatenate([noise(-75, 20), speech(0.3), noise(-75, 5)])
    assert np.abs(decode(wav(samples)).samples[:16_000]).max() < 0.002


def test_does_not_amplify_audio_of_usual_loudness() -> None:
    assert np.abs(decode(wav(speech() / 0.5 * 0.02)).samples).max() == pytest.approx(0.02, abs=0.001)


def test_does_not_amplify_the_noise_of_16_bit_samples() -> None:
    noise = np.random.default_rng(0).integers(-2, 3, 16_000) / 32767
    assert np.abs(decode(wav(noise)).samples).max() < 1e-4


def test_does_not_amplify_a_pause_in_a_recording() -> None:
    samples = np.concatenate([speech(25), np.zeros(160_000), 0.002 * speech(25)]).astype(np.float32)
    *_, (_, last) = audio_pieces(recording(samples), max_s=1000, param="file")
    assert np.abs(last.samples).max() < 0.002


@pytest.mark.parametrize("offset", [0.1, -0.4])
def test_removes_a_constant_offset(offset: float) -> None:
    audio = decode(wav(speech() * 0.5 + offset))
    assert abs(audio.samples.mean()) < 1e-4
    assert np.abs(audio.samples).max() == pytest.approx(0.25, abs=0.01)


def id3(size: int) -> bytes:
    """Return an ID3v2 tag with ``size`` bytes of padding."""
    return b"ID3\4\0\0" + bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0)) + bytes(size)


@pytest.mark.parametrize("size", [32, 500_000])
@pytest.mark.parametrize(
    ("container", "codec"), [("mp3", "libmp3lame"), ("adts", "aac"), ("flac", "flac"), ("wav", "pcm_s16le")]
)
def test_decodes_audio_after_an_id3_tag(container: str, codec: str, size: int) -> None:
    data = id3(size) + encoded(container, codec, 44_100)
    assert pitch_hz(decode(data)) == pytest.approx(TONE_HZ, abs=3)
    assert len(list(audio_pieces(io.BytesIO(data), max_s=10, param="file"))) == 1


@pytest.mark.parametrize("filling", [bytes(1500), b"\xef\xbb\xbf", b"\r\n\r\n", id3(32) + bytes(3000)])
@pytest.mark.parametrize("name", ["wav", "flac", "ogg", "webm"])
def test_decodes_audio_after_bytes_without_meaning(name: str, filling: bytes) -> None:
    assert pitch_hz(decode(filling + FORMATS[name])) == pytest.approx(TONE_HZ, abs=3)


@pytest.mark.parametrize("junk", [bytes(1500), np.random.default_rng(3).bytes(9000)], ids=["zeros", "noise"])
@pytest.mark.parametrize(("container", "codec"), [("mp3", "libmp3lame"), ("adts", "aac")])
def test_decodes_frames_after_other_bytes(container: str, codec: str, junk: bytes) -> None:
    data = encoded(container, codec, 44_100, seconds=2)
    frames = data[data.index(b"\xff\xfb" if codec == "libmp3lame" else b"\xff\xf1") :]
    assert decode(junk + frames).duration_s == pytest.approx(2, abs=0.15)


def test_rejects_a_recording_with_nan_samples_in_any_piece() -> None:
    samples = np.zeros(16_000 * 45, np.float32)
    samples[-100] = np.nan
    pieces = audio_pieces(io.BytesIO(wav(samples, tag=3)), max_s=1000, param="file")
    next(pieces)
    with pytest.raises(BrokenMedia, match="NaN or infinite"):
        next(pieces)


def test_stops_decoding_at_the_duration_limit() -> None:
    data = encoded("ogg", "libopus", 48_000, seconds=120)
    tracemalloc.start()
    with pytest.raises(TooLarge, match="longer than 2 s"):
        decode(data, max_s=2)
    assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("data", "hint"),
    [
        (b"This is a plain text.", "looks like text"),
        (b"", ""),
        (b"\0" * 1000, r"format\. Send"),
        (b"#EXTM3U\nhttp://example.com/a.wav\n", "looks like text"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 100, "looks like a picture"),
        (b"\0\0\0\x1cftypavif" + b"\0" * 100, ""),
    ],
)
def test_rejects_content_that_is_not_audio(data: bytes, hint: str) -> None:
    with pytest.raises(UnsupportedMedia, match=hint or None) as caught:
        decode(data)
    assert "FLAC" in caught.value.message
    assert caught.value.param == "audio"


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_damaged_audio_raises_only_typed_errors(data: st.DataObject) -> None:
    damaged = bytearray(data.draw(st.sampled_from(DAMAGED)))
    for _ in range(data.draw(st.integers(1, 12))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    with suppress(BrokenMedia, NoSpeech, TooLarge, UnsupportedMedia):
        assert np.isfinite(decode(bytes(damaged), max_s=5).samples).all()


# --- pieces of recordings ---------------------------------------------------------------------------------------------


def recording(samples: np.ndarray) -> io.BytesIO:
    target = io.BytesIO()
    soundfile.write(target, samples, 16_000, format="WAV", subtype="PCM_16")
    target.seek(0)
    return target


def test_the_pieces_of_a_recording_are_contiguous_and_complete() -> None:
    samples = (np.sin(np.arange(100 * 16_000) / 10) * np.linspace(0.1, 0.9, 100 * 16_000)).astype(np.float32)
    pieces = list(audio_pieces(recording(samples), max_s=1000, param="file"))
    assert np.allclose(np.concatenate([audio.samples for _, audio in pieces]), samples, atol=1e-3)
    assert all(20 <= audio.duration_s <= 30 for _, audio in pieces[:-1])
    ends = np.cumsum([audio.duration_s for _, audio in pieces])
    assert [start for start, _ in pieces] == pytest.approx([0, *ends[:-1]])


def test_cuts_a_recording_where_it_is_quiet() -> None:
    samples = np.random.default_rng(1).uniform(-0.5, 0.5, 40 * 16_000).astype(np.float32)
    samples[24 * 16_000 : 25 * 16_000] = 0
    (_, first), _ = audio_pieces(recording(samples), max_s=1000, param="file")
    assert 24 < first.duration_s < 25


def test_reads_a_spooled_file() -> None:
    data = recording(np.full(16_000, 0.1, np.float32)).getvalue()
    with tempfile.SpooledTemporaryFile(max_size=10) as file:
        file.write(data)
        ((start, audio),) = audio_pieces(file, max_s=10, param="file")  # type: ignore[arg-type]
    assert (start, audio.duration_s) == (0, 1)


def test_a_recording_above_the_limit_fails_when_the_limit_is_reached() -> None:
    pieces = audio_pieces(recording(np.zeros(70 * 16_000, np.float32)), max_s=60, param="file")
    next(pieces)
    with pytest.raises(TooLarge):
        list(pieces)
