"""How many recordings and sentences do the speech engines process concurrently, compared with one at a time?

    python -m bench.speech [--asr-concurrency 8] [--tts-concurrency 4] [--sentences 100] [--rounds 3] [--seconds 4]

Method: the recognizer and the synthesizer of ``--config`` run in this process, without Ray and HTTP. One client and
many alternate for ``--rounds`` rounds of ``--seconds``, each in a closed loop; a client of the synthesizer speaks an
answer of three sentences, one call per sentence. ``cores`` is the CPU time that the concurrent rounds had: the ratios
hold only if it is close to the number of workers.

JSON:
``asr``: recordings of tests/data per second (``single_per_s``, ``concurrent_per_s``, ``ratio``), and how many
transcripts are the ``same`` as alone.
``tts``: time from the call to the end of the first sentence of an answer, single and concurrent, and the ratio of
sentences per second.
``sentences``: different sentences of 3 to 14 words, one after another (libraries that compile for each input length
are slower on new lengths): the time to the first chunk, and ``real_time_factor``, seconds per second of audio.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from bench.audio import CLIPS, read_wav
from bench.command import CONFIG, argument_parser, report
from bench.direct import Configuration
from bench.figures import median_ratio, spread_ms
from deployments.engines.base import Recognizer, Synthesizer
from deployments.engines.registry import recognizer, synthesizer
from deployments.messages import Audio
from deployments.settings import SpeechToTextConfig, TextToSpeechConfig

# Short sentences without symbols: deployments.sentence.prepare would return them unchanged.
ANSWER = ("I see two red circles.", "There is a blue square beside them.", "Would you like to know more?")
WORDS = (
    *("the", "a", "small", "brown", "dog", "lived", "in", "house", "by", "river", "with", "seven", "red", "apples"),
    *("and", "one", "green", "tree", "while", "its", "friend", "was", "singing", "old", "songs", "about", "rain"),
)

Loop = Callable[[float], Awaitable[int]]
"""Works until a time of ``perf_counter``, and returns how many values it has processed."""


async def transcribe(engine: Recognizer, clip: Audio, config: SpeechToTextConfig) -> str:
    return " ".join([segment.text async for segment in engine.transcribe(clip, config)])


async def rate(loops: list[Loop], seconds: float) -> tuple[float, float]:
    """Return the values per second of all loops, and the cores that this process used meanwhile."""
    start_s, cpu_s = time.perf_counter(), time.process_time()
    values = sum(await asyncio.gather(*(loop(start_s + seconds) for loop in loops)))
    wall_s = time.perf_counter() - start_s
    return values / wall_s, (time.process_time() - cpu_s) / wall_s


async def measure_asr(
    engine: Recognizer, config: SpeechToTextConfig, concurrency: int, rounds: int, seconds: float
) -> dict[str, object]:
    clips = [read_wav(file.read_bytes()) for file in sorted(CLIPS.glob("*.wav"))]
    alone = [await transcribe(engine, clip, config) for clip in clips]
    same: list[bool] = []

    def client(first: int) -> Loop:
        async def loop(until: float) -> int:
            clips_done = 0
            while time.perf_counter() < until:
                index = (first + clips_done) % len(clips)
                same.append(await transcribe(engine, clips[index], config) == alone[index])
                clips_done += 1
            return clips_done

        return loop

    pairs = [
        (await rate([client(0)], seconds), await rate([client(first) for first in range(concurrency)], seconds))
        for _ in range(rounds)
    ]
    return {
        "single_per_s": [round(single, 2) for (single, _), _ in pairs],
        "concurrent_per_s": [round(concurrent, 2) for _, (concurrent, _) in pairs],
        "ratio": median_ratio([concurrent for _, (concurrent, _) in pairs], [single for (single, _), _ in pairs]),
        "cores": [round(cores, 2) for _, (_, cores) in pairs],
        "same": {"clips": sum(same), "of": len(same)},
    }


async def measure_tts(
    engine: Synthesizer, config: TextToSpeechConfig, concurrency: int, rounds: int, seconds: float
) -> dict[str, object]:
    def client(first_sentences_s: list[float]) -> Loop:
        async def loop(until: float) -> int:
            sentences = 0
            while time.perf_counter() < until:
                start_s = time.perf_counter()
                for index, sentence in enumerate(ANSWER):
                    async for _ in engine.speak(sentence, config, index):
                        pass
                    if index == 0:
                        first_sentences_s.append(time.perf_counter() - start_s)
                    sentences += 1
            return sentences

        return loop

    single_s, concurrent_s = list[float](), list[float]()
    pairs = [
        (await rate([client(single_s)], seconds), await rate([client(concurrent_s)] * concurrency, seconds))
        for _ in range(rounds)
    ]
    single, concurrent = spread_ms(single_s), spread_ms(concurrent_s)
    return {
        "first_sentence_single": single,
        "first_sentence_concurrent": concurrent,
        "p95_ratio": round(concurrent["p95_ms"] / single["p95_ms"], 2),
        "sentences_ratio": median_ratio([many for _, (many, _) in pairs], [one for (one, _), _ in pairs]),
        "cores": [round(cores, 2) for _, (_, cores) in pairs],
    }


async def measure_sentences(engine: Synthesizer, config: TextToSpeechConfig, count: int) -> dict[str, object]:
    rng = random.Random(1)
    first_chunks_s: list[float] = []
    total_s = audio_s = 0.0
    for _ in range(count):
        sentence = " ".join(rng.choices(WORDS, k=rng.randint(3, 14))).capitalize() + "."
        start_s, first_s = time.perf_counter(), None
        async for chunk in engine.speak(sentence, config):
            first_s = first_s or time.perf_counter() - start_s
            audio_s += chunk.duration_s
        total_s += time.perf_counter() - start_s
        first_chunks_s.append(first_s or 0.0)
    return {"first_chunk": spread_ms(first_chunks_s), "real_time_factor": round(total_s / audio_s, 4)}


async def measure(options: argparse.Namespace) -> dict[str, object]:
    configuration = Configuration.load(options.config)
    asr_args, tts_args = configuration.args.speech_to_text, configuration.args.text_to_speech
    asr_config = configuration.live_settings("SpeechToText", asr_args, SpeechToTextConfig)
    tts_config = configuration.live_settings("TextToSpeech", tts_args, TextToSpeechConfig)
    asr, tts = recognizer(asr_args), synthesizer(tts_args)
    figures = {
        "asr_concurrency": options.asr_concurrency,
        "tts_concurrency": options.tts_concurrency,
        "asr": await measure_asr(asr, asr_config, options.asr_concurrency, options.rounds, options.seconds),
        "sentences": await measure_sentences(tts, tts_config, options.sentences),
        "tts": await measure_tts(tts, tts_config, options.tts_concurrency, options.rounds, options.seconds),
    }
    await asr.close()
    await tts.close()
    return figures


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--config", default=CONFIG, type=Path, help="the configuration whose engines are measured")
    parser.add_argument("--asr-concurrency", type=int, default=8)
    parser.add_argument("--tts-concurrency", type=int, default=4)
    parser.add_argument("--sentences", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4)
    report("speech", asyncio.run(measure(parser.parse_args())))


if __name__ == "__main__":
    main()
