"""How many words does the recognizer get wrong, and how long does it take, in windows of different lengths?

    python -m bench.hearing [--model whisper-base] [--windows 30+4,12+4,8+3,5+2] [--tries 6] [--speech FOLDER]

Method: each of several voices reads every other sentence of ``SENTENCES``, which last from half a second to twelve:
those of the programs ``flite`` and ``espeak-ng`` if they are installed, the bundled voice, and Kokoro if it has been
pulled (``python -m models pull kokoro-82m``). ``--speech`` adds recordings of people: a folder whose README.md has a
table of files and words. A second of silence surrounds each sentence. It is heard clean, with white noise at 15 dB, and
in a room (convolved with the file room.wav of ``--speech``, else with decaying noise).

A window ``12+4`` lasts as long as the speech and 4 s more, at least 12 s and at most 30. All windows hear the same
audio in turn, in this process, as SpeechToText does: without what is not speech, with beams of 5, and again as long as
the transcript is doubtful, at most ``--tries`` times. Word errors are insertions, deletions and substitutions per
spoken word, without capitals and punctuation.

JSON: ``windows``: for each window ``errors`` and ``words`` by source and by sound, and in total; the CPU ``seconds``
per recording, mean, by the length of the recording (with one thread: the time on an idle machine); ``repeated``, the
recordings that were heard more than once.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.audio import ASR_RATE_HZ, concatenate, read_wav, resample
from bench.command import CONFIG, argument_parser, comma_separated, report
from bench.direct import Configuration
from deployments.engines.base import Synthesizer
from deployments.engines.kokoro.settings import KokoroArgs
from deployments.engines.registry import synthesizer
from deployments.engines.whisper.engine import WhisperRecognizer
from deployments.engines.whisper.settings import WhisperArgs, WhisperConfig
from deployments.messages import Audio
from deployments.settings import TextToSpeechConfig
from models import cache, catalogue
from pocket.asr.score import errors

SENTENCES = (
    "Stop.",
    "Good morning.",
    "Play some music.",
    "What time is it?",
    "Please turn off the lamp.",
    "Who wrote the story of the white whale?",
    "Remind me to call my mother tomorrow after lunch.",
    "How many planets are there in our solar system, and which is the largest?",
    "The old man walked slowly along the river while the children played near the bridge.",
    "I would like to book a table for two people on Friday evening, if you still have one near the window.",
    "When the rain had stopped, we opened the door and saw that the garden was full of small birds looking for food.",
    "Can you explain to me in simple words why the sky is blue during the day, but turns red and orange in the evening "
    "when the sun goes down, and why it is black at night?",
)
FLITE = ("slt", "rms")
ESPEAK = ("en-us", "en-gb")
KOKORO = ("af_heart", "am_michael")
SOUNDS = ("clean", "noise", "room")
NOISE_DB = 15
LENGTHS_S = (2, 4, 8)  # the bounds between the rows of times

_WORD = re.compile(r"[\w']+")


@dataclass(frozen=True, slots=True)
class Recording:
    """A sentence as it was spoken, at 16 kHz."""

    source: str
    words: str
    audio: Audio


def recorded(folder: Path) -> Iterator[Recording]:
    """Yield the recordings of the table in a folder's README.md."""
    import av

    for name, words in re.findall(r"^\| ([\w.-]+\.\w+) \| (.+) \|$", (folder / "README.md").read_text(), re.MULTILINE):
        with av.open(str(folder / name)) as file:
            resampler = av.AudioResampler(format="flt", layout="mono", rate=ASR_RATE_HZ)
            frames = [part for frame in file.decode(audio=0) for part in resampler.resample(frame)]
        samples = np.concatenate([frame.to_ndarray()[0] for frame in frames])
        yield Recording("people", words, Audio(samples, ASR_RATE_HZ))


def read_aloud(sentences: Sequence[str], source: str, *command: str) -> Iterator[Recording]:
    """Yield sentences as a program speaks them; ``command`` has ``{text}`` and ``{file}``."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "spoken.wav"
        for text in sentences:
            subprocess.run([part.format(text=text, file=file) for part in command], check=True)
            yield Recording(source, text, resample(read_wav(file.read_bytes()), ASR_RATE_HZ))


async def spoken(sentences: Sequence[str], source: str, engine: Synthesizer, voice: str | None) -> list[Recording]:
    """Return sentences as an engine speaks them."""
    config = TextToSpeechConfig(voice=voice)
    found = []
    for text in sentences:
        audio = concatenate([chunk async for chunk in engine.speak(text, config)])
        found.append(Recording(source, text, resample(audio, ASR_RATE_HZ)))
    return found


async def recordings(speech: Path | None, voices: int) -> list[Recording]:
    """Return all recordings; of ``voices`` of a source one reads the first, third... sentence, the next the rest."""
    halves = (SENTENCES[::2], SENTENCES[1::2])
    found = list(recorded(speech)) if speech else []
    if shutil.which("flite"):
        for index, voice in enumerate(FLITE[:voices]):
            found += read_aloud(halves[index % 2], "flite", "flite", "-voice", voice, "-t", "{text}", "-o", "{file}")
    if shutil.which("espeak-ng"):
        for index, voice in enumerate(ESPEAK[:voices]):
            found += read_aloud(halves[index % 2], "espeak-ng", "espeak-ng", "-v", voice, "-w", "{file}", "{text}")
    bundled = Configuration.load(Path(CONFIG)).args.text_to_speech
    pocket = synthesizer(
        bundled.model_copy(update={"niceness": 0})
    )  # else the recognizers of this process have it, too
    found += await spoken(SENTENCES[::2], "pocket", pocket, None)
    await pocket.close()
    if cache.is_complete(catalogue.entries()["kokoro-82m"]):
        kokoro = synthesizer(KokoroArgs(model="kokoro-82m", voices="kokoro-82m", niceness=0))
        for index, voice in enumerate(KOKORO[:voices]):
            found += await spoken(halves[index % 2], "kokoro", kokoro, voice)
        await kokoro.close()
    return found


def heard_as(audio: Audio, sound: str, seed: int, response: NDArray[np.floating]) -> Audio:
    """Return audio with half a second of silence around it, as it sounds with noise or in a room."""
    rng = np.random.default_rng(seed)
    samples: NDArray[np.floating] = np.pad(audio.samples, ASR_RATE_HZ // 2)
    if sound == "noise":
        power = float((audio.samples**2).mean())
        samples = samples + rng.normal(0, np.sqrt(power / 10 ** (NOISE_DB / 10)), len(samples))
    elif sound == "room":
        length = len(samples) + len(response)
        samples = np.fft.irfft(np.fft.rfft(samples, length) * np.fft.rfft(response, length), length)
        samples *= np.abs(audio.samples).max() / np.abs(samples).max()
    return Audio(samples.astype(np.float32), ASR_RATE_HZ)


def room(speech: Path | None) -> NDArray[np.floating]:
    """Return the response of a room, from its first reflection on."""
    if speech and (file := speech / "room.wav").is_file():
        samples = resample(read_wav(file.read_bytes()), ASR_RATE_HZ).samples
        return samples[np.abs(samples).argmax() :]
    seconds = np.arange(ASR_RATE_HZ // 2) / ASR_RATE_HZ
    return np.random.default_rng(0).normal(0, 1, len(seconds)) * np.exp(-14 * seconds)  # 60 dB in half a second


def word_errors(spoken: str, heard: str) -> tuple[int, int]:
    """Return the insertions, deletions and substitutions, and the number of spoken words."""
    expected, found = (_WORD.findall(text.casefold()) for text in (spoken, heard))
    return errors(expected, found), len(expected)


class Tally:
    """The figures of one window."""

    def __init__(self) -> None:
        self.errors, self.words = Counter[str](), Counter[str]()
        self.seconds: dict[str, list[float]] = {}
        self.repeated = 0

    def add(self, recording: Recording, sound: str, heard: str, seconds: float, tries: int) -> None:
        wrong, words = word_errors(recording.words, heard)
        for key in (recording.source, sound, "all"):
            self.errors[key] += wrong
            self.words[key] += words
        bound = next((bound for bound in LENGTHS_S if recording.audio.duration_s < bound), None)
        self.seconds.setdefault(f"<{bound}" if bound else f">{LENGTHS_S[-1]}", []).append(seconds)
        self.repeated += tries > 1

    def figures(self) -> dict[str, Any]:
        return {
            "errors": dict(self.errors),
            "words": dict(self.words),
            "seconds": {length: round(sum(s) / len(s), 3) for length, s in sorted(self.seconds.items())},
            "repeated": self.repeated,
        }

    def row(self, name: str, keys: Sequence[str]) -> str:
        rates = [f"{100 * self.errors[key] / max(self.words[key], 1):.1f}" for key in keys]
        return " | ".join([name, *rates, *(str(s) for s in self.figures()["seconds"].values()), str(self.repeated)])


async def measure(options: argparse.Namespace) -> dict[str, object]:
    found = await recordings(options.speech, options.voices)
    sources = list(dict.fromkeys(recording.source for recording in found))
    response = room(options.speech)
    engines = {}
    for name in options.windows:
        shortest, pad = map(float, name.split("+"))
        args = WhisperArgs(
            model=options.model, threads=options.threads, workers=1, min_window_s=shortest, window_pad_s=pad, niceness=0
        )
        engines[name] = WhisperRecognizer(args)
    config = WhisperConfig(beam_size=5, tries=options.tries)
    tallies = {name: Tally() for name in engines}
    print(f"{len(found)} recordings of {', '.join(sources)}", flush=True)
    for index, recording in enumerate(found):
        for sound in SOUNDS:
            audio = heard_as(recording.audio, sound, index, response)
            for name, engine in engines.items():
                before, start_s = engine.produced, time.process_time()
                segments = [segment async for segment in engine.transcribe(audio, config)]
                seconds, tries = time.process_time() - start_s, engine.produced - before - len(segments) + 1
                heard = " ".join(segment.text for segment in segments)
                tallies[name].add(recording, sound, heard, seconds, tries)
                if options.verbose and word_errors(recording.words, heard)[0]:
                    print(f"{name} {recording.source} {sound}: {heard!r}, not {recording.words!r}", flush=True)
    for engine in engines.values():
        await engine.close()
    keys = [*sources, *SOUNDS, "all"]
    lengths = list(next(iter(tallies.values())).figures()["seconds"])
    print(" | ".join(["window", *(f"{key} %" for key in keys), *(f"{length} s" for length in lengths), "repeated"]))
    for name, tally in tallies.items():
        print(tally.row(name, keys))
    figures = {name: tally.figures() for name, tally in tallies.items()}
    return {"model": options.model, "tries": options.tries, "recordings": len(found), "windows": figures}


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--model", default="whisper-base")
    parser.add_argument("--windows", type=comma_separated(str), default=["30+4", "12+4", "8+3", "5+2"])
    parser.add_argument("--tries", type=int, default=6)
    parser.add_argument("--voices", type=int, default=2, help="voices of each source that has several")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--speech", type=Path, help="a folder with recordings of people")
    parser.add_argument("--verbose", action="store_true", help="print each transcript with errors")
    report("hearing", asyncio.run(measure(parser.parse_args())))


if __name__ == "__main__":
    main()
