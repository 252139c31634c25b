"""The samples of a recording in any format that FFmpeg's demuxers and decoders read, at 16 kHz, with all channels.

Single damaged packets are skipped, as players do; more of them are an error that contains the second where it occurred.
A truncated file ends where it ends.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from typing import BinaryIO

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from numpy.typing import NDArray

from deployments.errors import BrokenMedia, ParleyError, TooLarge, UnsupportedMedia
from graphs.http.media import formats, joined

RATE_HZ = 16_000
PLAUSIBLE_RATES_HZ = range(1_000, 768_001)  # another rate in a header makes the resampler allocate gigabytes
BROKEN_PACKETS = 8  # that are skipped in a row, about 0.2 s, and in any file
BROKEN_SHARE = 0.1  # of all packets, that are skipped in a long file: joined MP3s have one at each joint
MAX_TRACKS = 8  # whose energy is compared, in their first seconds
PROBE_S = 600  # of all tracks together, about 4 s of processor time
QUIETER_TRACK = 0.01  # of the energy of the loudest track: below it a track has no speech
SILENT_PEAK = 1e-4  # -80 dBFS: below it is the noise of 16-bit samples

Samples = NDArray[np.float32]  # of shape (n,), or (channels, n)


class Decoder:
    """Decodes one recording of at most ``max_s`` seconds. ``param`` names the field of the request, for errors."""

    def __init__(self, source: BinaryIO, max_s: float, param: str) -> None:
        """Raise ``UnsupportedMedia`` if ``source`` has another format than those of ``formats``."""
        found = formats.find_audio(source)
        if found is None:
            source.seek(0)
            hint = formats.hint(source.read(formats.HINT_BYTES))
            raise UnsupportedMedia(
                f"This is not audio in a supported format{hint}. Send {formats.AUDIO_NAMES}.", param=param
            )
        self._demuxer, self._start = found
        self._source = source
        self._param = param
        self._progress = _Progress(max_s, param)

    def blocks(self) -> Iterator[Samples]:
        """Yield the samples of all channels at ``RATE_HZ``, of shape (channels, n).

        The number of channels can change where files were joined. Raises ``TooLarge`` instead of decoding more than
        ``max_s``, ``BrokenMedia``, and ``UnsupportedMedia`` for a file without audio.
        """
        try:
            for part in joined.parts(self._source, self._demuxer, self._start, self._param):
                self._demuxer = part.demuxer  # for errors
                track = self._audible_track(part)
                yield from _resampled(self._frames(part, track, self._progress))
            self._progress.check_end()
        except (ParleyError, MemoryError):
            raise
        except Exception as error:  # for malformed data a decoder may raise any exception
            raise self._broken(error) from None

    def _audible_track(self, part: joined.Part) -> int:
        """Return the index of the first track that is about as loud as the loudest one."""
        with part.opened() as container:
            count = len(container.streams.audio)
        if count == 0:
            raise UnsupportedMedia(
                "The file contains no audio. Send a picture in the field for pictures.", param=self._param
            )
        if count > MAX_TRACKS:
            raise TooLarge(
                f"The file has {count} audio tracks; the limit is {MAX_TRACKS}. Send only the one with speech.",
                param=self._param,
            )
        if count == 1:
            return 0
        energies = [self._energy(part, track, PROBE_S / count) for track in range(count)]
        return next(track for track in range(count) if energies[track] >= QUIETER_TRACK * max(energies))

    def _energy(self, part: joined.Part, track: int, max_s: float) -> float:
        """Return the energy of a track's loudest channel without its constant offset, up to ``max_s`` or an error."""
        energy = 0.0
        with contextlib.suppress(ParleyError, av.error.FFmpegError):
            for block in _resampled(self._frames(part, track, _Progress(max_s, self._param))):
                energy += float(block.var(axis=1).max(initial=0)) * block.shape[1]
        return energy if np.isfinite(energy) else 0.0

    def _frames(self, part: joined.Part, track: int, progress: _Progress) -> Iterator[AudioFrame]:
        with part.opened() as container:
            for packet in container.demux(container.streams.audio[track]):
                try:
                    frames = packet.decode()
                except av.error.FFmpegError as error:
                    progress.skip(error)
                    continue
                progress.count()
                for frame in frames:
                    progress.add(frame)
                    yield frame

    def _broken(self, error: Exception) -> BrokenMedia:
        name = {"matroska": "WebM", "mov": "M4A"}.get(self._demuxer, self._demuxer.upper())
        decoded_s = self._progress.decoded_s
        beyond = f" beyond second {decoded_s:.1f}" if decoded_s else ""
        return BrokenMedia(f"The {name} audio cannot be decoded{beyond}: {formats.reason(error)}.", param=self._param)


class _Progress:
    """What has been decoded of a recording, and what was skipped."""

    def __init__(self, max_s: float, param: str) -> None:
        self._max_s = max_s
        self._param = param
        self.decoded_s = 0.0
        self._packets = 0
        self._broken_packets = 0
        self._broken_in_a_row = 0
        self._last_error: Exception | None = None

    def add(self, frame: AudioFrame) -> None:
        """Count a frame. Raise ``BrokenMedia`` for an implausible rate, ``TooLarge`` above ``max_s``."""
        if frame.sample_rate not in PLAUSIBLE_RATES_HZ:
            raise BrokenMedia(f"The sample rate in the header is {frame.sample_rate} Hz.", param=self._param)
        self.decoded_s += frame.samples / frame.sample_rate
        if self.decoded_s > self._max_s:
            raise TooLarge(f"The audio is longer than {self._max_s:g} s, the limit.", param=self._param)

    def count(self) -> None:
        """Count a packet that was decoded."""
        self._packets += 1
        self._broken_in_a_row = 0

    def skip(self, error: av.error.FFmpegError) -> None:
        """Count a packet that could not be decoded. Raise ``error`` after too many."""
        if error.errno == errno.ENOMEM:
            raise MemoryError from error
        self._broken_packets += 1
        self._broken_in_a_row += 1
        self._last_error = error
        of_file = max(BROKEN_PACKETS, BROKEN_SHARE * self._packets)
        if self._broken_in_a_row > BROKEN_PACKETS or self._broken_packets > of_file:
            raise error

    def check_end(self) -> None:
        """Raise the last error if nothing was decoded."""
        if self._last_error and not self.decoded_s:
            raise self._last_error


def _resampled(frames: Iterator[AudioFrame]) -> Iterator[Samples]:
    """Yield the samples of ``frames`` at ``RATE_HZ``. Their format may change."""
    resampler: AudioResampler | None = None
    before: tuple[object, ...] = ()
    for frame in frames:
        now = (frame.sample_rate, frame.format.name, frame.layout.name)
        if now != before:
            yield from _converted(resampler, None)
            resampler, before = AudioResampler(format="flt", rate=RATE_HZ), now  # the layout is that of the frame
        yield from _converted(resampler, frame)
    yield from _converted(resampler, None)


def _converted(resampler: AudioResampler | None, frame: AudioFrame | None) -> Iterator[Samples]:
    for converted in resampler.resample(frame) if resampler else ():
        packed = converted.to_ndarray().astype(np.float32, copy=False)
        yield packed.reshape(-1, len(converted.layout.channels)).T
