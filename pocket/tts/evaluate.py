"""Measure the bundled voice in Coqui's Synthesizer on held-out sentences. Print one JSON line.

    python -m pocket.tts.evaluate

An independent recognizer (pocketsphinx with its own model) and the pocket recognizer transcribe the same sentences of
the teacher and of the voice. Requires flite. Without weights of the pocket recognizer its figures are null.
"""

import argparse
import itertools
import json
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from pocket.asr.score import word_error_rate
from pocket.tts import teacher, text
from pocket.tts.voice import WEIGHTS, Voice

SEED = 1_000_003
CONVERSATION = (
    text.answer,
    text.capital,
    text.arithmetic,
    text.counting,
    text.calendar,
    text.knowledge,
    text.memory,
    text.picture,
    text.story,
)
Samples = np.ndarray
Transcribe = Callable[[Samples], str]


def held_out_sentences(kinds: Sequence[text.Maker], count: int) -> list[str]:
    """Return `count` distinct held-out sentences, of each of `kinds` in turn."""
    rng = random.Random(SEED)
    lines = (kind(rng) for kind in itertools.cycle(kinds))
    return list(itertools.islice(_unique(filter(text.held_out, lines)), count))


def _unique(lines: Iterator[str]) -> Iterator[str]:
    seen = set()
    for line in lines:
        if line not in seen:
            seen.add(line)
            yield line


def independent_recognizer() -> Transcribe:
    """Return pocketsphinx with the model and dictionary of its package."""
    from pocketsphinx import Decoder

    decoder = Decoder(samprate=teacher.RATE_HZ, loglevel="FATAL")

    def transcribe(clip: Samples) -> str:
        decoder.start_utt()
        decoder.process_raw(_padded(clip).tobytes(), full_utt=True)
        decoder.end_utt()
        return decoder.hyp().hypstr if decoder.hyp() else ""

    return transcribe


def pocket_recognizer() -> Transcribe | None:
    """Return the pocket recognizer, or None without its weights."""
    from pocket.asr import evaluate as asr

    if not (asr.WEIGHTS / "model.bin").exists():
        return None
    recognizer = asr.Recognizer(threads=1)
    return lambda clip: recognizer.transcribe(_padded(clip).astype(np.float32) / 32768)


def _padded(clip: Samples) -> Samples:
    """Return int16 samples with a quarter of a second of silence at both ends, as in a recording."""
    return np.pad((clip * 32767).round().astype(np.int16), teacher.RATE_HZ // 4)


def teacher_speech(line: str) -> Samples:
    """Return the teacher's speech of the same text, float32."""
    return teacher.synthesize(text.clean(line)).pcm.astype(np.float32) / 32768


def error_rate(
    lines: Sequence[str], clips: Sequence[Samples], transcribe: Transcribe | None, show: str = ""
) -> float | None:
    """Return the word error rate of the transcripts of `clips`; None without a recognizer.

    A non-empty `show` prints references and transcripts to standard error with this label.
    """
    if transcribe is None:
        return None
    pairs = [(text.clean(line), transcribe(clip)) for line, clip in zip(lines, clips, strict=True)]
    if show:
        for reference, transcript in pairs:
            print(f"{show}: {reference!r} -> {transcript!r}", file=sys.stderr)
    return round(word_error_rate(pairs), 4)


def largest_join(clips: Sequence[Samples]) -> float:
    """Return the largest difference between the last sample of a clip and the first of the next (full scale is 1)."""
    return float(max(abs(after[0] - before[-1]) for before, after in itertools.pairwise(clips)))


def evaluate(folder: Path, count: int, show: bool) -> dict[str, float | int | None]:
    """Return all measurements of the card. Error rates are fractions of the words."""
    voice, sphinx, pocket = Voice(folder), independent_recognizer(), pocket_recognizer()
    voice.speak("Ready 1.")
    figures: dict[str, float | int | None] = {}
    all_clips: list[Samples] = []
    busy_s = 0.0
    sets = {
        "talk": (CONVERSATION, count),
        "figures": ((text.figures,), count // 4),
        "one_word": ((text.one_word,), count // 4),
    }
    for name, (kinds, size) in sets.items():
        lines = held_out_sentences(kinds, size)
        started = time.process_time()
        clips = [voice.speak(line) for line in lines]
        busy_s += time.process_time() - started
        all_clips += clips
        teacher_clips = [teacher_speech(line) for line in lines]
        figures[f"{name}_sentences"] = len(lines)
        figures[f"{name}_sphinx_teacher"] = error_rate(lines, teacher_clips, sphinx, "sphinx, teacher" * show)
        figures[f"{name}_sphinx_voice"] = error_rate(lines, clips, sphinx, "sphinx, voice" * show)
        figures[f"{name}_pocket_teacher"] = error_rate(lines, teacher_clips, pocket, "pocket, teacher" * show)
        figures[f"{name}_pocket_voice"] = error_rate(lines, clips, pocket, "pocket, voice" * show)
    figures["peak"] = round(float(max(np.abs(clip).max() for clip in all_clips)), 3)
    figures["largest_join"] = round(largest_join(all_clips), 5)
    figures["cpu_per_second_of_speech"] = round(busy_s * voice.rate_hz / sum(map(len, all_clips)), 3)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--sentences", type=int, default=100)
    parser.add_argument("--show", action="store_true", help="print references and transcripts to standard error")
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(json.dumps(evaluate(args.weights, args.sentences, args.show)))


if __name__ == "__main__":
    main()
