"""Audio to the bytes of a file, chunk by chunk.

The concatenated output of an encoder is one complete file. Bytes that were returned are never changed, so that they can
be sent at once.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import av
import numpy as np
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream

from deployments.messages import Audio


class AudioFormat(StrEnum):
    """The formats of OpenAI's API. Chat completions call ``pcm`` ``pcm16``."""

    MP3 = "mp3"
    OPUS = "opus"
    AAC = "aac"
    FLAC = "flac"
    WAV = "wav"
    PCM = "pcm"


@dataclass(frozen=True, slots=True)
class Codec:
    """How a format is encoded: its media type, PyAV's container, codec and options, and its sample rate."""

    media_type: str
    container: str = ""
    codec: str = ""
    sample_format: str = "s16"
    rate_hz: int | None = None  # None: the rate of the voice
    options: dict[str, str] = field(default_factory=dict)


CODECS: dict[AudioFormat, Codec] = {
    AudioFormat.MP3: Codec("audio/mpeg", "mp3", "libmp3lame", "s16p", 24_000),
    AudioFormat.OPUS: Codec("audio/ogg", "ogg", "libopus", "s16", 48_000, {"page_duration": "100000"}),  # µs
    AudioFormat.AAC: Codec("audio/aac", "adts", "aac", "fltp", 24_000),
    AudioFormat.FLAC: Codec("audio/flac", "flac", "flac", "s16"),
    AudioFormat.WAV: Codec("audio/wav"),
    AudioFormat.PCM: Codec("audio/pcm", rate_hz=24_000),  # has no header: the rate is OpenAI's
}

WAV_UNKNOWN_LENGTH = 0xFFFFFFFF
EMPTY_RATE_HZ = 16_000  # of a file without audio


class Encoder:
    """Encodes one file from chunks of equal sample rate. ``fed_s`` is the duration so far, in seconds."""

    def __init__(self, audio_format: AudioFormat) -> None:
        self.media_type = CODECS[audio_format].media_type
        self._codec = CODECS[audio_format]
        self._writer: _Container | _Raw | None = None
        self._with_header = audio_format is AudioFormat.WAV
        self.fed_s = 0.0

    def feed(self, audio: Audio) -> bytes:
        """Return the bytes that are ready; may be none."""
        self.fed_s += audio.duration_s
        if self._writer is None:
            rate = self._codec.rate_hz or audio.rate_hz
            self._writer = (
                _Container(self._codec, rate) if self._codec.container else _Raw(rate, with_header=self._with_header)
            )
        return self._writer.feed(audio)

    def finish(self) -> bytes:
        """Return the last bytes of the file; none if there was no audio."""
        return b"" if self._writer is None else self._writer.finish()


def whole_file(audio_format: AudioFormat, chunks: Sequence[Audio]) -> bytes:
    """Return a complete file from chunks of equal sample rate; the header of a WAV has its length. Blocks."""
    if audio_format is AudioFormat.WAV:
        data = b"".join(chunk.pcm16().tobytes() for chunk in chunks)
        return wav_header(chunks[0].rate_hz if chunks else EMPTY_RATE_HZ, len(data)) + data
    encoder = Encoder(audio_format)
    silence = Audio(np.zeros(EMPTY_RATE_HZ // 10, np.float32), EMPTY_RATE_HZ)  # codecs cannot write an empty file
    return b"".join([*map(encoder.feed, chunks or [silence]), encoder.finish()])


class _Raw:
    """Writes 16-bit little-endian samples, after a WAV header if ``with_header``."""

    def __init__(self, rate_hz: int, *, with_header: bool) -> None:
        self._rate_hz = rate_hz
        self._header = wav_header(rate_hz) if with_header else b""
        self._resampler = AudioResampler(format="s16", layout="mono", rate=rate_hz)

    def feed(self, audio: Audio) -> bytes:
        if audio.rate_hz == self._rate_hz:
            return self._after_header(audio.pcm16().tobytes())
        return self._after_header(b"".join(_bytes_of(f) for f in self._resampler.resample(_frame(audio))))

    def finish(self) -> bytes:
        return self._after_header(b"".join(_bytes_of(f) for f in self._resampler.resample(None)))

    def _after_header(self, data: bytes) -> bytes:
        """Return ``data``; the first time after the header."""
        data, self._header = self._header + data, b""
        return data


class _Container:
    """A compressed format through PyAV, written to memory that is emptied after every chunk."""

    def __init__(self, codec: Codec, rate_hz: int) -> None:
        self._sink = _Sink()
        self._file = av.open(self._sink, "w", format=codec.container, container_options=codec.options)
        stream = self._file.add_stream(codec.codec, rate=rate_hz)
        assert isinstance(stream, AudioStream)
        stream.codec_context.layout = "mono"
        stream.codec_context.format = codec.sample_format
        self._stream = stream
        self._resampler = AudioResampler(format=codec.sample_format, layout="mono", rate=rate_hz)

    def feed(self, audio: Audio) -> bytes:
        self._encode(_frame(audio))
        return self._sink.drain()

    def finish(self) -> bytes:
        self._encode(None)
        self._file.mux(self._stream.encode(None))
        self._file.close()
        return self._sink.drain()

    def _encode(self, frame: av.AudioFrame | None) -> None:
        for resampled in self._resampler.resample(frame):
            self._file.mux(self._stream.encode(resampled))


class _Sink:
    """A file object that cannot seek, as PyAV's output."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def drain(self) -> bytes:
        data = b"".join(self._parts)
        self._parts.clear()
        return data


def wav_header(rate_hz: int, data_bytes: int = WAV_UNKNOWN_LENGTH) -> bytes:
    """Return the 44 bytes before 16-bit mono PCM. With all ones as the length, players read to the end of the file."""
    riff_bytes = min(data_bytes + 36, WAV_UNKNOWN_LENGTH)
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI", b"RIFF", riff_bytes, b"WAVE", b"fmt ", 16, 1, 1, rate_hz, rate_hz * 2, 2, 16,
        b"data", data_bytes,
    )  # fmt: skip


def _frame(audio: Audio) -> av.AudioFrame:
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(audio.samples)[np.newaxis], format="flt", layout="mono")
    frame.sample_rate = audio.rate_hz
    return frame


def _bytes_of(frame: av.AudioFrame) -> bytes:
    return bytes(frame.to_ndarray())
