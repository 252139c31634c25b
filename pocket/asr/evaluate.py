"""Measure the bundled recognizer in the Whisper engine, on held-out sentences and on sounds. Print one JSON line.

    python -m pocket.asr.evaluate

The test clips are synthesized during the run, so flite and espeak-ng must be installed.
"""

import argparse
import asyncio
import json
import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from deployments.engines.registry import recognizer
from deployments.engines.whisper.settings import WhisperArgs, WhisperConfig
from deployments.messages import Audio
from pocket.asr import noise, text, voices
from pocket.asr.score import word_error_rate

WEIGHTS = Path(__file__).with_name("weights")
MIN_WINDOW_S = 6.0
"""The shortest window of the training."""
BEAM = 5
"""The default of `--beam`. Five hypotheses take a tenth more time than one and make a fifth to a third fewer errors."""
SEED = 7
SNR_DB = 15.0
NATURAL_SHARE = 0.7
"""The share of flite's voices, as in the training data."""


class Recognizer:
    """The bundled model in the Whisper engine, with the settings of configs/pocket.yaml."""

    def __init__(self, folder: Path = WEIGHTS, threads: int = 2, beam: int = BEAM) -> None:
        args = WhisperArgs(model=str(folder.resolve()), min_window_s=MIN_WINDOW_S, threads=threads, workers=1)
        self._engine, self._beam = recognizer(args), beam

    def transcribe(self, clip: noise.Samples, vad: bool = True) -> str:
        """Return the transcript of 16 kHz mono float32 samples; empty without speech."""
        return asyncio.run(self._transcribe(Audio(clip, voices.RATE_HZ), vad))

    async def _transcribe(self, audio: Audio, vad: bool) -> str:
        config = WhisperConfig(vad=vad, beam_size=self._beam)
        return " ".join([segment.text async for segment in self._engine.transcribe(audio, config)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--sentences", type=int, default=200, help="held-out sentences for each figure")
    parser.add_argument("--sounds", type=int, default=120, help="clips without speech")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--beam", type=int, default=BEAM)
    parser.add_argument("--mistakes", action="store_true", help="also print wrong transcripts to standard error")
    args = parser.parse_args()
    try:
        figures = evaluate(args)
    except voices.VoiceMissing as missing:
        sys.exit(str(missing))
    print(json.dumps(figures))


def evaluate(args: argparse.Namespace) -> dict[str, float]:
    """Return word error rates, the share of empty transcripts for sounds, and the seconds to transcribe a 5 s clip."""
    asr = Recognizer(args.weights, args.threads, args.beam)
    rng = random.Random(SEED)
    sentences = text.held_out_sentences(rng)

    def rate(spoken: Iterator[tuple[str, noise.Samples]], vad: bool = True) -> float:
        pairs = [(reference, asr.transcribe(clip, vad)) for reference, clip in spoken]
        if args.mistakes:
            for reference, hypothesis in pairs:
                if text.words(reference) != text.words(hypothesis):
                    print(f"{reference!r} -> {hypothesis!r}", file=sys.stderr)
        return round(word_error_rate(pairs), 4)

    def spoken(voice: Callable[[], voices.Voice], snr_db: float | None = None) -> Iterator[tuple[str, noise.Samples]]:
        return ((line, clip(line, voice(), rng, snr_db)) for line in islice(sentences, args.sentences))

    return {
        "sentences": args.sentences,
        "wer_training_voices": rate(spoken(lambda: training_voice(rng))),
        "wer_training_voices_without_vad": rate(spoken(lambda: training_voice(rng)), vad=False),
        "wer_unknown_variant": rate(spoken(lambda: voices.HELD_OUT_VARIANT)),
        "wer_unknown_variant_15_db": rate(spoken(lambda: voices.HELD_OUT_VARIANT, SNR_DB)),
        "wer_unknown_voice": rate(spoken(lambda: voices.HELD_OUT)),
        "wer_unknown_voice_15_db": rate(spoken(lambda: voices.HELD_OUT, SNR_DB)),
        "wer_long_clips": rate(long_clips(sentences, rng, max(1, args.sentences // 8))),
        "sounds": args.sounds,
        "empty_for_sounds": empty_share(asr, args.sounds, vad=True),
        "empty_for_sounds_without_vad": empty_share(asr, args.sounds, vad=False),
        "seconds_for_5_s": transcription_s(asr, rng),
    }


def training_voice(rng: random.Random) -> voices.Voice:
    """Return a voice with the shares of training, but flite's voices with equal probabilities."""
    return rng.choice(voices.FLITE if rng.random() < NATURAL_SHARE else voices.ESPEAK)


def clip(sentence: str, voice: voices.Voice, rng: random.Random, snr_db: float | None = None) -> noise.Samples:
    """Return a sentence as float32 samples at a random level, between silences, with noise if `snr_db` is given."""
    speech = voices.speak(sentence, voice, speed=rng.uniform(0.85, 1.2)).astype(np.float32) / 32768
    if snr_db is not None:
        generator = np.random.default_rng(rng.getrandbits(32))
        speech = noise.mix(speech, noise.coloured(generator, len(speech)), snr_db)
    ends = [np.zeros(int(rng.uniform(0, 0.6) * voices.RATE_HZ), np.float32) for _ in range(2)]
    level = np.float32(10 ** (rng.uniform(-25, 0) / 20) / np.abs(speech).max())
    return np.concatenate([ends[0], speech * level, ends[1]])


def long_clips(sentences: Iterator[str], rng: random.Random, count: int) -> Iterator[tuple[str, noise.Samples]]:
    """Yield `count` clips (transcript, samples) of several sentences in one voice, 15 to 25 s each."""
    for _ in range(count):
        voice, lines, parts = training_voice(rng), [], []
        wanted = rng.uniform(15, 20) * voices.RATE_HZ
        while sum(map(len, parts)) < wanted:
            lines.append(next(sentences))
            parts.append(clip(lines[-1], voice, rng))
        yield " ".join(lines), np.concatenate(parts)[: 29 * voices.RATE_HZ]


def empty_share(asr: Recognizer, count: int, vad: bool) -> float:
    """Return the share of `count` clips of silence, noise and music (0.5 to 25 s) with an empty transcript."""
    rng = np.random.default_rng(SEED)
    empty = 0
    for index in range(count):
        samples = int(rng.uniform(0.5, 25) * voices.RATE_HZ)
        make = (*noise.KINDS.values(), lambda _, length: np.zeros(length, np.float32))[index % (len(noise.KINDS) + 1)]
        sound = make(rng, samples) * np.float32(10 ** (rng.uniform(-50, 0) / 20))
        empty += asr.transcribe(sound, vad) == ""
    return round(empty / count, 4)


def transcription_s(asr: Recognizer, rng: random.Random) -> float:
    """Return the seconds to transcribe a clip of 5 s, the median of nine runs."""
    speech = clip("What is the capital of France, and how much is seven plus five?", voices.FLITE[0], rng)
    five = np.resize(speech, 5 * voices.RATE_HZ)
    asr.transcribe(five)
    times = []
    for _ in range(9):
        started = time.perf_counter()
        asr.transcribe(five)
        times.append(time.perf_counter() - started)
    return round(sorted(times)[4], 3)


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    main()
