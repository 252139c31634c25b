"""Bytes to audio: mono float32 at 16 kHz. The duration is counted while decoding, which stops at the limit.

All functions block; call them in a thread.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import BinaryIO

import av
import numpy as np
from numpy.typing import NDArray

from deployments.errors import BrokenMedia, NoSpeech, ParleyError, TooLarge, UnsupportedMedia
from deployments.messages import Audio
from graphs.http.media import formats

RATE_HZ = 16_000
PIECE_S = 30  # of a long recording: one window of Whisper
CUT_WITHIN_S = 10  # a piece is cut at the quietest point of its last seconds
FIRST_BYTES = 4096
PLAUSIBLE_RATES_HZ = range(1_000, 768_001)  # another rate in a header makes the resampler allocate gigabytes

# Options of a demuxer. A WAV's header says what it contains; without probesize FFmpeg searches 5 MB for other codecs,
# which takes longer than decoding. max_size makes frames larger, as each has a fixed cost. Both in bytes.
_OPTIONS = {"wav": {"probesize": "32", "max_size": "8192"}}


def decode_audio(data: bytes, *, max_s: float, param: str = "audio") -> Audio:
    """Decode audio of any rate and channel count; a truncated file is decoded up to where it ends.

    Raises ``UnsupportedMedia``, ``BrokenMedia``, ``TooLarge`` (longer than ``max_s`` seconds), and ``NoSpeech`` for a
    file without samples.
    """
    demuxer = _demuxer(data, param)
    pieces: list[NDArray[np.float32]] = []
    try:
        for piece in _resampled(io.BytesIO(data), demuxer, max_s, param):
            pieces.append(piece)
    except ParleyError:
        raise
    except Exception as error:  # for malformed data a decoder may raise any exception
        if not pieces:
            raise _broken(demuxer, error, param) from None
    samples = np.concatenate(pieces) if pieces else np.empty(0, np.float32)
    if not len(samples):
        raise NoSpeech("The recording contains no samples. Record again, or send text.", param=param)
    if not np.isfinite(samples).all():
        raise BrokenMedia("The audio contains samples that are NaN or infinite. Export it again.", param=param)
    return Audio(np.clip(samples, -1, 1), RATE_HZ)


def audio_pieces(source: BinaryIO, *, max_s: float, param: str) -> Iterator[tuple[float, Audio]]:
    """Decode audio of any length lazily: yield pieces of at most ``PIECE_S``, each with its start in seconds.

    Pieces are cut where it is quiet. Raises as ``decode_audio`` does; ``TooLarge`` only once ``max_s`` is reached.
    """
    source.seek(0)
    demuxer = _demuxer(source.read(FIRST_BYTES), param)
    source.seek(0)
    begun = False
    at = 0
    try:
        for samples in _pieces(_resampled(source, demuxer, max_s, param)):
            begun = True
            yield at / RATE_HZ, Audio(np.clip(np.nan_to_num(samples), -1, 1), RATE_HZ)
            at += len(samples)
    except ParleyError:
        raise
    except Exception as error:  # for malformed data a decoder may raise any exception
        if not begun:
            raise _broken(demuxer, error, param) from None


def _demuxer(data: bytes, param: str) -> str:
    demuxer = formats.audio_demuxer(data)
    if demuxer is None:
        raise UnsupportedMedia(
            f"This is not audio in a supported format{formats.hint(data)}. Send {formats.AUDIO_NAMES}.", param=param
        )
    return demuxer


def _broken(demuxer: str, error: Exception, param: str) -> BrokenMedia:
    name = {"matroska": "WebM", "mov": "M4A"}.get(demuxer, demuxer.upper())
    return BrokenMedia(f"The {name} audio cannot be decoded: {formats.reason(error)}.", param=param)


def _resampled(source: BinaryIO, demuxer: str, max_s: float, param: str) -> Iterator[NDArray[np.float32]]:
    """Yield the audio as mono at 16 kHz; raise ``TooLarge`` instead of decoding more than ``max_s`` seconds."""
    decoded_s = 0.0
    with av.open(source, "r", format=demuxer, options=_OPTIONS.get(demuxer), metadata_errors="ignore") as container:
        if not container.streams.audio:
            raise UnsupportedMedia("The file contains no audio. Send a picture in the field for pictures.", param=param)
        resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE_HZ)
        for frame in container.decode(container.streams.audio[0]):
            if frame.sample_rate not in PLAUSIBLE_RATES_HZ:
                raise BrokenMedia(f"The sample rate in the header is {frame.sample_rate} Hz.", param=param)
            decoded_s += frame.samples / frame.sample_rate
            if decoded_s > max_s:
                raise TooLarge(f"The audio is longer than {max_s:g} s, the limit.", param=param)
            for mono in resampler.resample(frame):
                yield mono.to_ndarray()[0]
        for mono in resampler.resample(None):
            yield mono.to_ndarray()[0]


def _pieces(chunks: Iterator[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
    """Yield the audio in pieces of at most ``PIECE_S``. If decoding fails, what was decoded precedes the error."""
    held: list[NDArray[np.float32]] = []
    length = 0
    try:
        for chunk in chunks:
            held.append(chunk)
            length += len(chunk)
            while length >= PIECE_S * RATE_HZ:
                samples = np.concatenate(held)
                end = _quietest(samples[: PIECE_S * RATE_HZ])
                yield samples[:end]
                held = [samples[end:]]
                length = len(held[0])
    except ParleyError:
        raise
    except Exception:
        if length:
            yield np.concatenate(held)
        raise
    if length:
        yield np.concatenate(held)


def _quietest(samples: NDArray[np.float32]) -> int:
    """Return the middle of the quietest 0.2 s in the last ``CUT_WITHIN_S``."""
    step = RATE_HZ // 10
    tail = len(samples) - CUT_WITHIN_S * RATE_HZ
    energy = np.square(samples[tail:]).reshape(-1, step).mean(axis=1)
    pairs = energy[:-1] + energy[1:]
    return tail + (int(np.argmin(pairs)) + 1) * step
