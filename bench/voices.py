"""How fast is each voice on how many threads, and how early is its first sound?

    python -m bench.voices [--config configs/kokoro.yaml,serve_config.yaml] [--threads 1,2,4] [--rounds 3]

Method: the voice of each ``--config`` runs in this process, without Ray and HTTP, with ``--threads`` in place of the
configuration's. In every round each voice speaks ``SENTENCES``, one after another; of the rounds the fastest counts, as
other work on the machine only delays. ``cpu_factor`` counts the time of the processor instead, which other work hardly
changes; with one thread it is about the real-time factor of an idle machine. ``first_ms`` is the time to the first
sound of ``ANSWER``, a long sentence, as the deployment splits it, and ``gap_ms`` the longest silence between its pieces
as they are played; ``whole_ms`` is the time to the first sound without splitting.

JSON: ``rows``, each with ``config``, ``threads``, ``real_time_factor`` (seconds per second of speech), ``cpu_factor``,
``first_ms``, ``gap_ms`` and ``whole_ms``.
"""

from __future__ import annotations

import asyncio
import math
import time
from pathlib import Path

from bench.command import argument_parser, comma_separated, report
from bench.direct import Configuration
from deployments.engines.base import Synthesizer
from deployments.engines.registry import synthesizer
from deployments.sentence import prepare
from deployments.settings import TextToSpeechConfig

SENTENCES = (
    "Good morning, and welcome.",
    "The train to the coast leaves at a quarter past nine.",
    "Plants turn light, water and air into sugar, and give off the oxygen that we breathe.",
)
ANSWER = (
    "The sky looks blue to us because the air scatters the short waves of sunlight more than the long ones, so that "
    "blue light reaches our eyes from all directions."
)


async def seconds_of(engine: Synthesizer, config: TextToSpeechConfig, text: str) -> tuple[float, float, float]:
    """Return the time to the first sound of a text, to its last one, and how long it is."""
    start_s, first_s, audio_s = time.perf_counter(), math.nan, 0.0
    async for chunk in engine.speak(text, config):
        first_s = time.perf_counter() - start_s if audio_s == 0 else first_s
        audio_s += chunk.duration_s
    return first_s, time.perf_counter() - start_s, audio_s


async def first_sound_and_gap_s(
    engine: Synthesizer, config: TextToSpeechConfig, first_chars: int | None
) -> tuple[float, float]:
    """Return the time to the first sound of ``ANSWER``, and the longest silence between its pieces when played."""
    language = config.language or engine.language(config.voice)
    prepared = prepare(ANSWER, language, engine.characters, config.max_sentence_chars, first_chars)
    answer_first_s, gap_s = math.nan, 0.0
    start_s = end_s = 0.0  # of the synthesis of a piece, and of its sound
    for piece in prepared.pieces:
        first_s, took_s, audio_s = await seconds_of(engine, config, piece)
        sound_s = start_s + first_s
        if math.isnan(answer_first_s):
            answer_first_s = sound_s
        else:
            gap_s = max(gap_s, sound_s - end_s)
        end_s = max(end_s, sound_s) + audio_s
        start_s += took_s
    return answer_first_s, gap_s


class Voice:
    """One configuration with a number of threads, and its fastest figures so far."""

    def __init__(self, file: str, threads: int) -> None:
        configuration = Configuration.load(Path(file))
        args = configuration.args.text_to_speech
        self.config = configuration.live_settings("TextToSpeech", args, TextToSpeechConfig)
        self.engine = synthesizer(args.model_copy(update={"threads": threads, "niceness": 0}))
        self.row: dict[str, object] = {"config": file, "threads": threads}
        self.factor = self.cpu_factor = self.first_s = self.gap_s = self.whole_s = math.inf

    async def measure(self) -> None:
        cpu_s = time.process_time()
        times = [await seconds_of(self.engine, self.config, sentence) for sentence in SENTENCES]
        cpu_s = time.process_time() - cpu_s
        audio_s = sum(audio for _, _, audio in times)
        self.factor = min(self.factor, sum(took for _, took, _ in times) / audio_s)
        self.cpu_factor = min(self.cpu_factor, cpu_s / audio_s)
        first_s, gap_s = await first_sound_and_gap_s(self.engine, self.config, self.config.first_piece_chars)
        self.first_s, self.gap_s = min(self.first_s, first_s), min(self.gap_s, gap_s)
        whole_s, _ = await first_sound_and_gap_s(self.engine, self.config, None)
        self.whole_s = min(self.whole_s, whole_s)

    def figures(self) -> dict[str, object]:
        seconds = {"first_ms": self.first_s, "gap_ms": self.gap_s, "whole_ms": self.whole_s}
        times = {name: round(1000 * value) for name, value in seconds.items()}
        factors = {"real_time_factor": round(self.factor, 3), "cpu_factor": round(self.cpu_factor, 3)}
        return self.row | factors | times


async def main() -> None:
    parser = argument_parser(__doc__)
    configs = ["configs/kokoro.yaml", "serve_config.yaml"]
    parser.add_argument("--config", type=comma_separated(str), default=configs, help="default: %(default)s")
    parser.add_argument("--threads", type=comma_separated(int), default=[1, 2, 4], help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    rows = []
    for threads in args.threads:  # torch has one number of threads in a process
        voices = [Voice(file, threads) for file in args.config]
        for _ in range(args.rounds):
            for voice in voices:
                await voice.measure()
        for voice in voices:
            rows.append(voice.figures())
            print(" ".join(f"{name} {value}" for name, value in rows[-1].items()), flush=True)
            await voice.engine.close()
    report("voices", {"rows": rows})


if __name__ == "__main__":
    asyncio.run(main())
