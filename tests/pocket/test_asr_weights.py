import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from faster_whisper import WhisperModel

from pocket.asr import evaluate, noise, text
from pocket.asr.voices import RATE_HZ

DATA = Path(__file__).parent.parent / "data"


class FasterWhisper:
    """The bundled weights in faster-whisper, with windows of 30 s."""

    def __init__(self) -> None:
        self.model = WhisperModel(str(evaluate.WEIGHTS), device="cpu", compute_type="int8", cpu_threads=2)

    def transcribe(self, samples: noise.Samples, vad: bool = False, timestamps: bool = True) -> str:
        segments, _ = self.model.transcribe(
            samples,
            language="en",
            beam_size=1,
            temperature=0.0,
            without_timestamps=not timestamps,
            vad_filter=vad,
        )
        return "".join(segment.text for segment in segments).strip()


@pytest.fixture(scope="module")
def model() -> FasterWhisper:
    return FasterWhisper()


def clip(name: str) -> noise.Samples:
    samples, rate_hz = soundfile.read(DATA / f"{name}.wav", dtype="float32")
    assert rate_hz == RATE_HZ
    return samples


@pytest.mark.parametrize("timestamps", [False, True])
@pytest.mark.parametrize("vad", [False, True])
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("question", "what is the capital of france"),
        ("what_do_you_see", "what do you see"),
        ("hello", "hello how are you"),
        ("what_is_your_name", "what is your name"),
        ("seven_plus_five", "what is seven plus five"),
        ("how_many_red_circles", "how many red circles are there"),
    ],
)
def test_transcribes_questions(model: FasterWhisper, name: str, expected: str, vad: bool, timestamps: bool) -> None:
    assert " ".join(text.words(model.transcribe(clip(name), vad=vad, timestamps=timestamps))) == expected


@pytest.mark.parametrize("name", ["question", "hello", "seven_plus_five"])
def test_engine_with_short_windows_gives_the_same_transcript(name: str, model: FasterWhisper) -> None:
    assert text.words(evaluate.Recognizer(threads=1).transcribe(clip(name))) == text.words(model.transcribe(clip(name)))


@pytest.mark.parametrize("timestamps", [False, True])
@pytest.mark.parametrize("kind", noise.KINDS)
def test_sounds_give_an_empty_transcript(model: FasterWhisper, kind: str, timestamps: bool) -> None:
    rng = np.random.default_rng(11)
    for seconds in (0.5, 8):
        assert model.transcribe(noise.KINDS[kind](rng, int(seconds * RATE_HZ)) * 0.3, timestamps=timestamps) == ""


def test_silence_gives_an_empty_transcript(model: FasterWhisper) -> None:
    assert model.transcribe(clip("silence")) == ""
    assert model.transcribe(clip("silence"), vad=True) == ""


def test_weights_folder_is_complete_and_small() -> None:
    names = {"model.bin", "config.json", "vocabulary.json", "tokenizer.json", "preprocessor_config.json"}
    assert names <= {path.name for path in evaluate.WEIGHTS.iterdir()}
    assert sum(path.stat().st_size for path in evaluate.WEIGHTS.iterdir()) < 12e6
    assert json.loads((evaluate.WEIGHTS / "config.json").read_text())["alignment_heads"]


def test_segments_and_words_have_times(model: FasterWhisper) -> None:
    pause = np.zeros(RATE_HZ, np.float32)
    both = np.concatenate([clip("question"), pause, clip("seven_plus_five")])
    segments, _ = model.model.transcribe(both, beam_size=1, temperature=0.0, word_timestamps=True)
    first, second = segments
    middle = (len(clip("question")) + len(pause) / 2) / RATE_HZ
    assert 0 <= first.start < first.end < middle < second.start < second.end <= len(both) / RATE_HZ + 0.1
    words = [word.word.strip(" .?!,").lower() for word in second.words]
    assert words == ["what", "is", "seven", "plus", "five"]


def test_an_initial_prompt_does_not_change_the_transcript(model: FasterWhisper) -> None:
    segments, _ = model.model.transcribe(
        clip("question"), beam_size=1, temperature=0.0, initial_prompt="We talk about countries and towns."
    )
    assert text.words("".join(segment.text for segment in segments)) == text.words("What is the capital of France?")
