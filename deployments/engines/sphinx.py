"""PocketSphinx: a recognizer whose English model comes with its package.

Far simpler than Whisper, and enough for the domain of a small language model: an ARPA file of the sentences to expect
makes it both faster and surer. It knows no punctuation and no other language. One stretch of speech at a time: the
library lets no other thread of Python run meanwhile, so that more of them would only wait for each other.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator

import numpy as np
from numpy.typing import NDArray

from deployments.engines.pooled import RATE_HZ, PooledRecognizer
from deployments.errors import InvalidRequest
from deployments.messages import Audio, Segment
from deployments.settings import SpeechToTextConfig, SphinxArgs, resolve
from deployments.threads import prepare

SILENCE_PEAK = 1e-3  # PocketSphinx hears "hmm" in digital silence
STRETCH_S = 15.0  # the longest that is read at once; a request can be stopped in between
LANGUAGE = "en"


class SphinxRecognizer(PooledRecognizer):
    """One decoder; stretches of speech wait for it."""

    def __init__(self, args: SphinxArgs) -> None:
        super().__init__("sphinx", args, threads=1)
        prepare(args)
        from faster_whisper.vad import get_speech_timestamps
        from pocketsphinx import Decoder

        given = {"lm": _file(args.language_model)} if args.language_model else {}
        self._decoder = Decoder(samprate=RATE_HZ, loglevel="FATAL", **given)
        self._find_speech = get_speech_timestamps
        self._probe()

    def _windows(self, audio: Audio, config: SpeechToTextConfig) -> Generator[list[Segment], None, None]:
        if config.language not in (None, LANGUAGE):
            raise InvalidRequest(f"the model does not know the language {config.language!r}, only en", param="language")
        if config.words:
            raise InvalidRequest("this recognizer gives no times of words", param="timestamp_granularities")
        if config.temperature:
            raise InvalidRequest("this recognizer has no temperature; only 0 is taken", param="temperature")
        if config.prompt:
            raise InvalidRequest("this recognizer takes no prompt", param="prompt")
        for start, end in self._stretches(audio.samples, config):
            text = self._read(audio.samples[start:end])
            self._count()
            yield [Segment(text, start / RATE_HZ, end / RATE_HZ)] if text else []

    def _stretches(self, samples: NDArray[np.float32], config: SpeechToTextConfig) -> Iterator[tuple[int, int]]:
        """First and last sample of each stretch of speech."""
        from faster_whisper.vad import VadOptions

        if not config.vad:
            step = int(STRETCH_S * RATE_HZ)
            yield from ((at, min(at + step, len(samples))) for at in range(0, len(samples), step))
            return
        options = VadOptions(
            threshold=config.vad_threshold,
            min_speech_duration_ms=config.vad_min_speech_ms,
            min_silence_duration_ms=config.vad_min_silence_ms,
            speech_pad_ms=config.vad_pad_ms,
            max_speech_duration_s=STRETCH_S,
        )
        for stretch in self._find_speech(samples, options):
            yield stretch["start"], stretch["end"]

    def _read(self, samples: NDArray[np.float32]) -> str:
        """The words of one stretch. Read whole, it does not depend on what was heard before."""
        if len(samples) == 0 or np.abs(samples).max() < SILENCE_PEAK:
            return ""
        self._decoder.start_utt()
        try:
            self._decoder.process_raw(Audio(samples, RATE_HZ).pcm16().tobytes(), full_utt=True)
        finally:
            self._decoder.end_utt()
        found = self._decoder.hyp()
        return str(found.hypstr) if found else ""

    def _probe(self) -> None:
        self._read(np.full(RATE_HZ // 10, SILENCE_PEAK, np.float32))

    def _release(self) -> None:
        del self._decoder


def _file(name: str) -> str:
    path = resolve(name)
    if not path.is_file():
        raise FileNotFoundError(f"there is no language model {path}")
    return str(path)
