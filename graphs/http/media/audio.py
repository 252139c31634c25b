"""Bytes to audio: mono float32 at 16 kHz, without a constant offset, and amplified if it is very quiet.

The duration is counted while decoding, which stops at the limit. All functions block.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import BinaryIO

import numpy as np

from deployments.errors import BrokenMedia, NoSpeech
from deployments.messages import Audio
from graphs.http.media.decoder import RATE_HZ, SILENT_PEAK, Decoder, Samples

PIECE_S = 30  # of a long recording: one window of Whisper
CUT_WITHIN_S = 10  # a piece is cut at the quietest point of its last seconds
QUIET_PEAK = 0.01  # -40 dBFS: quieter audio is amplified, because detectors of speech miss it
AMPLIFIED_PEAK = 0.1  # -20 dBFS
PEAK_BLOCK_S = 0.05
CLICK_BLOCKS = 2  # the loudest blocks, which are not considered: a click must not decide that speech is loud
OPPOSITE_POWER = 2  # of the difference of two channels to their mean, from which speech has opposite phases in them
CANCELLED_POWER = 0.1  # of a mix, in relation to its loudest channel: below it the channels have opposite phases


def decode_audio(data: bytes, *, max_s: float, param: str = "audio") -> Audio:
    """Decode audio of any rate and channel count; a truncated file is decoded up to where it ends.

    Raises ``UnsupportedMedia``, ``BrokenMedia``, ``TooLarge`` (longer than ``max_s`` seconds), and ``NoSpeech`` for a
    file without samples.
    """
    pieces = list(_pieces(Decoder(io.BytesIO(data), max_s, param).blocks(), param))
    if not pieces:
        raise NoSpeech("The recording contains no samples. Record again, or send text.", param=param)
    samples = np.concatenate(pieces)
    return _amplified(samples, _peak(samples))


def audio_pieces(source: BinaryIO, *, max_s: float, param: str) -> Iterator[tuple[float, Audio]]:
    """Decode audio of any length lazily: yield pieces of at most ``PIECE_S``, each with its start in seconds.

    Pieces are cut where it is quiet. Raises as ``decode_audio`` does, when the piece with the cause is decoded.
    """
    at = 0
    peak = 0.0
    for samples in _pieces(Decoder(source, max_s, param).blocks(), param):
        peak = max(peak, _peak(samples))  # of the recording so far: a pause after loud speech is not amplified
        yield at / RATE_HZ, _amplified(samples, peak)
        at += len(samples)


def _amplified(samples: Samples, peak: float) -> Audio:
    """Return the audio within -1..1. Quiet audio is amplified from ``peak`` to ``AMPLIFIED_PEAK``; silence is not."""
    if SILENT_PEAK <= peak < QUIET_PEAK:
        samples = samples * np.float32(AMPLIFIED_PEAK / peak)
    return Audio(np.clip(samples, -1, 1), RATE_HZ)


def _peak(samples: Samples) -> float:
    """Return the peak of all but the loudest ``CLICK_BLOCKS``."""
    peaks = np.maximum.reduceat(np.abs(samples), np.arange(0, len(samples), int(PEAK_BLOCK_S * RATE_HZ)))
    return float(np.sort(peaks)[-1 - min(CLICK_BLOCKS, len(peaks) // 10)])


def _pieces(blocks: Iterator[Samples], param: str) -> Iterator[Samples]:
    """Yield the audio as mono, in pieces of at most ``PIECE_S``."""
    mixed: list[Samples] = []  # mono
    unmixed: list[Samples] = []  # what follows, with its channels, of which all have the same number
    length = 0
    for block in blocks:
        if unmixed and len(block) != len(unmixed[0]):
            mixed, unmixed = [*mixed, _mono(unmixed, param)], []
        unmixed.append(block)
        length += block.shape[1]
        while length >= PIECE_S * RATE_HZ:
            samples = np.concatenate([*mixed, *([_mono(unmixed, param)] if unmixed else ())])
            end = _quietest(samples[: PIECE_S * RATE_HZ])
            yield samples[:end]
            mixed, unmixed = [samples[end:]], []
            length -= end
    if length:
        yield np.concatenate([*mixed, *([_mono(unmixed, param)] if unmixed else ())])


def _mono(blocks: Sequence[Samples], param: str) -> Samples:
    """Mix channels without their constant offsets. Where they cancel each other out, return what has the speech."""
    samples = np.concatenate(blocks, axis=1)
    if not np.isfinite(samples).all():
        raise BrokenMedia("The audio contains samples that are NaN or infinite. Export it again.", param=param)
    np.clip(samples, -1, 1, out=samples)
    samples -= samples.mean(axis=1, keepdims=True)
    mix: Samples = samples.mean(axis=0)
    if len(samples) == 2:
        difference: Samples = (samples[0] - samples[1]) / 2
        return difference if _speech_power(difference) > OPPOSITE_POWER * _speech_power(mix) else mix
    power = np.einsum("ij,ij->i", samples, samples)
    if mix @ mix < CANCELLED_POWER * power.max(initial=0):
        mix = samples[int(np.argmax(power))]
    return mix


def _speech_power(samples: Samples) -> float:
    """Return the power between about 200 and 2,000 Hz, without hum and hiss."""
    low = samples[: len(samples) // 4 * 4].reshape(-1, 4).mean(axis=1)
    band = np.diff(low)
    return float(band @ band)


def _quietest(samples: Samples) -> int:
    """Return the middle of the quietest 0.2 s in the last ``CUT_WITHIN_S``."""
    step = RATE_HZ // 10
    tail = len(samples) - CUT_WITHIN_S * RATE_HZ
    energy = np.square(samples[tail:]).reshape(-1, step).mean(axis=1)
    pairs = energy[:-1] + energy[1:]
    return tail + (int(np.argmin(pairs)) + 1) * step
