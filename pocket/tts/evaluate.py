"""The shipped voice, through Coqui's Synthesizer, on sentences that training never had. Prints one JSON line.

    python -m pocket.tts.evaluate

An independent recognizer (pocketsphinx with its own model) hears the teacher and the voice read the same sentences; the
pocket recognizer hears the voice. Needs flite; without the pocket recognizer's weights its figures are null.
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
TALK = (
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
Hear = Callable[[Samples], str]


def held_out_sentences(kinds: Sequence[text.Maker], count: int) -> list[str]:
    """`count` different sentences of `kinds` in turn, all kept out of training."""
    rng = random.Random(SEED)
    made = (kind(rng) for kind in itertools.cycle(kinds))
    return list(itertools.islice(_unique(filter(text.held_out, made)), count))


def _unique(lines: Iterator[str]) -> Iterator[str]:
    seen = set()
    for line in lines:
        if line not in seen:
            seen.add(line)
            yield line


def independent_recognizer() -> Hear:
    """pocketsphinx with the model and dictionary of its package."""
    from pocketsphinx import Decoder

    decoder = Decoder(samprate=teacher.RATE_HZ, loglevel="FATAL")

    def hear(clip: Samples) -> str:
        decoder.start_utt()
        decoder.process_raw(_padded(clip).tobytes(), full_utt=True)
        decoder.end_utt()
        return decoder.hyp().hypstr if decoder.hyp() else ""

    return hear


def pocket_recognizer() -> Hear | None:
    """The pocket recognizer with the settings of a short turn, if its weights are there."""
    from pocket.asr import evaluate as asr

    if not (asr.WEIGHTS / "model.bin").exists():
        return None
    recognizer = asr.Recognizer(threads=1)
    return lambda clip: recognizer.hear(_padded(clip).astype(np.float32) / 32768)


def _padded(clip: Samples) -> Samples:
    """int16, with a quarter of a second of silence around it, as a recording would have."""
    return np.pad((clip * 32767).round().astype(np.int16), teacher.RATE_HZ // 4)


def teach(line: str) -> Samples:
    """The teacher's reading of the same words, float32."""
    return teacher.read_aloud(text.clean(line)).pcm.astype(np.float32) / 32768


def error_rate(lines: Sequence[str], clips: Sequence[Samples], hear: Hear | None, show: str = "") -> float | None:
    """Word error rate of what `hear` makes of `clips`; None without a recognizer."""
    if hear is None:
        return None
    pairs = [(text.clean(line), hear(clip)) for line, clip in zip(lines, clips, strict=True)]
    if show:
        for said, heard in pairs:
            print(f"{show}: {said!r} -> {heard!r}", file=sys.stderr)
    return round(word_error_rate(pairs), 4)


def roughest_join(clips: Sequence[Samples]) -> float:
    """The largest step between the last sample of a clip and the first of the next, full scale being 1."""
    return float(max(abs(after[0] - before[-1]) for before, after in itertools.pairwise(clips)))


def evaluate(folder: Path, count: int, show: bool) -> dict[str, float | int | None]:
    """All figures of the card. Error rates are shares of words."""
    voice, sphinx, pocket = Voice(folder), independent_recognizer(), pocket_recognizer()
    voice.say("Ready 1.")
    figures: dict[str, float | int | None] = {}
    spoken: list[Samples] = []
    busy_s = 0.0
    sets = {"talk": (TALK, count), "figures": ((text.figures,), count // 4), "one_word": ((text.one_word,), count // 4)}
    for name, (kinds, size) in sets.items():
        lines = held_out_sentences(kinds, size)
        began = time.process_time()
        clips = [voice.say(line) for line in lines]
        busy_s += time.process_time() - began
        spoken += clips
        taught = [teach(line) for line in lines]
        figures[f"{name}_sentences"] = len(lines)
        figures[f"{name}_sphinx_teacher"] = error_rate(lines, taught, sphinx, "sphinx, teacher" * show)
        figures[f"{name}_sphinx_voice"] = error_rate(lines, clips, sphinx, "sphinx, voice" * show)
        figures[f"{name}_pocket_teacher"] = error_rate(lines, taught, pocket, "pocket, teacher" * show)
        figures[f"{name}_pocket_voice"] = error_rate(lines, clips, pocket, "pocket, voice" * show)
    figures["peak"] = round(float(max(np.abs(clip).max() for clip in spoken)), 3)
    figures["roughest_join"] = round(roughest_join(spoken), 5)
    figures["cpu_per_second_of_speech"] = round(busy_s * voice.rate_hz / sum(map(len, spoken)), 3)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--sentences", type=int, default=100)
    parser.add_argument("--show", action="store_true", help="print what was said and heard to standard error")
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(json.dumps(evaluate(args.weights, args.sentences, args.show)))


if __name__ == "__main__":
    main()
