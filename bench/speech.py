"""What hearing and speaking give to many callers at once, each figure beside the same engine with one caller.

    python -m bench.speech [--callers 8] [--voices 4] [--sentences 100] [--rounds 3] [--seconds 4]

The engines alone: no Ray, no HTTP. Loops are closed: a caller asks again as soon as he is answered.

``hearing``: clips of tests/data per second with one caller and with ``--callers``, in turns, ``--rounds`` times, and
the median of the ratio; ``same`` is how many of the clips heard in company have the transcript that they have alone.
``speaking``: from asking for a first sentence to its sound, with one caller and with ``--voices``; each asks for an
answer of three sentences, one call per sentence with its number, the next one once the one before it has come.
``reading``: ``--sentences`` different ones of 3 to 14 words, one after another: the time to the first sound of each and
how many seconds a second of sound takes. What was said before costs a library less that compiles for each length.
``cores`` is how much of the processor the company's rounds got: on a machine with other work the ratios are worth as
much as it is near the number of workers. The last line is JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import yaml

from bench.client import median_ratio, read_wav, report, spread_ms
from deployments.engines.base import Recognizer, Synthesizer, recognizer, synthesizer
from deployments.messages import Audio
from deployments.settings import AppArgs, SpeechToTextConfig, TextToSpeechConfig

CLIPS = Path(__file__).resolve().parent.parent / "tests" / "data"
ANSWER = ("I see two red circles.", "There is a blue square beside them.", "Would you like to know more?")

WORDS = (
    *("the", "a", "small", "brown", "dog", "lived", "in", "house", "by", "river", "with", "seven", "red", "apples"),
    *("and", "one", "green", "tree", "while", "its", "friend", "was", "singing", "old", "songs", "about", "rain"),
)

Loop = Callable[[float], Awaitable[int]]


async def hear(ear: Recognizer, clip: Audio) -> str:
    """The transcript."""
    return " ".join([segment.text async for segment in ear.transcribe(clip, SpeechToTextConfig())])


async def rate(loops: list[Loop], seconds: float) -> tuple[float, float]:
    """What all loops do per second in about so many seconds, and the cores that this process had meanwhile."""
    start, work = time.perf_counter(), time.process_time()
    done = sum(await asyncio.gather(*(loop(start + seconds) for loop in loops)))
    took = time.perf_counter() - start
    return done / took, (time.process_time() - work) / took


async def measure_hearing(ear: Recognizer, callers: int, rounds: int, seconds: float) -> dict[str, object]:
    """Clips per second, and whether company changes a transcript."""
    clips = [read_wav(file.read_bytes()) for file in sorted(CLIPS.glob("*.wav"))]
    alone = [await hear(ear, clip) for clip in clips]
    verdicts: list[bool] = []

    def caller(first: int) -> Loop:
        async def loop(until: float) -> int:
            asked = 0
            while time.perf_counter() < until:
                which = (first + asked) % len(clips)
                verdicts.append(await hear(ear, clips[which]) == alone[which])
                asked += 1
            return asked

        return loop

    pairs = [
        (await rate([caller(0)], seconds), await rate([caller(first) for first in range(callers)], seconds))
        for _ in range(rounds)
    ]
    return {
        "alone_per_s": [round(one, 2) for (one, _), _ in pairs],
        "together_per_s": [round(many, 2) for _, (many, _) in pairs],
        "ratio": median_ratio([many for _, (many, _) in pairs], [one for (one, _), _ in pairs]),
        "cores": [round(cores, 2) for _, (_, cores) in pairs],
        "same": {"clips": sum(verdicts), "of": len(verdicts)},
    }


async def measure_speaking(voice: Synthesizer, callers: int, rounds: int, seconds: float) -> dict[str, object]:
    """Seconds to the first sound of an answer."""

    def caller(firsts: list[float]) -> Loop:
        async def loop(until: float) -> int:
            spoken = 0
            while time.perf_counter() < until:
                asked = time.perf_counter()
                for number, sentence in enumerate(ANSWER):
                    async for _ in voice.speak(sentence, TextToSpeechConfig(), number):
                        pass
                    if number == 0:
                        firsts.append(time.perf_counter() - asked)
                    spoken += 1
            return spoken

        return loop

    alone: list[float] = []
    together: list[float] = []
    pairs = [
        (await rate([caller(alone)], seconds), await rate([caller(together)] * callers, seconds)) for _ in range(rounds)
    ]
    first_alone, first_together = spread_ms(alone), spread_ms(together)
    return {
        "first_sound_alone": first_alone,
        "first_sound_together": first_together,
        "p95_ratio": round(first_together["p95_ms"] / first_alone["p95_ms"], 2),
        "sentences_ratio": median_ratio([many for _, (many, _) in pairs], [one for (one, _), _ in pairs]),
        "cores": [round(cores, 2) for _, (_, cores) in pairs],
    }


async def measure_reading(voice: Synthesizer, sentences: int) -> dict[str, object]:
    """Different sentences, each once."""
    chance = random.Random(1)
    firsts: list[float] = []
    took = sound = 0.0
    for _ in range(sentences):
        text = " ".join(chance.choices(WORDS, k=chance.randint(3, 14))).capitalize() + "."
        asked, first = time.perf_counter(), None
        async for piece in voice.speak(text, TextToSpeechConfig()):
            first = first or time.perf_counter() - asked
            sound += piece.duration_s
        took += time.perf_counter() - asked
        firsts.append(first or 0.0)
    return {"first_sound": spread_ms(firsts), "of_real_time": round(took / sound, 4)}


async def measure(args: argparse.Namespace) -> dict[str, object]:
    """All figures."""
    application = yaml.safe_load(args.config.read_text())["applications"][0]
    settings = AppArgs.model_validate(application["args"])
    ear, voice = recognizer(settings.speech_to_text), synthesizer(settings.text_to_speech)
    hearing = await measure_hearing(ear, args.callers, args.rounds, args.seconds)
    reading = await measure_reading(voice, args.sentences)
    speaking = await measure_speaking(voice, args.voices, args.rounds, args.seconds)
    await ear.close()
    await voice.close()
    return {
        "callers": args.callers,
        "voices": args.voices,
        "hearing": hearing,
        "reading": reading,
        "speaking": speaking,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="serve_config.yaml", type=Path, help="whose engines are measured")
    parser.add_argument("--callers", type=int, default=8)
    parser.add_argument("--voices", type=int, default=4)
    parser.add_argument("--sentences", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4)
    report("speech", asyncio.run(measure(parser.parse_args())))


if __name__ == "__main__":
    main()
