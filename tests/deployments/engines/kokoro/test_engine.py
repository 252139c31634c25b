from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deployments.engines.kokoro.engine import LANGUAGES, KokoroSynthesizer
from deployments.engines.kokoro.settings import KokoroArgs
from deployments.errors import InvalidRequest
from deployments.messages import Audio
from deployments.settings import TextToSpeechConfig
from tests.deployments.engines.kokoro import tiny

Run = Callable[[Any], Any]

SENTENCES = {
    "en": "Hello, world.",
    "en-us": "Hello, world.",
    "en-gb": "Hello, world.",
    "es": "Hola, mundo.",
    "fr": "Bonjour, le monde.",
    "hi": "नमस्ते दुनिया।",
    "it": "Ciao, mondo.",
    "ja": "こんにちは。",
    "pt": "Olá, mundo.",
    "pt-br": "Olá, mundo.",
    "zh": "你好。",
}


@pytest.fixture(scope="module")
def args(tmp_path_factory: pytest.TempPathFactory) -> KokoroArgs:
    return tiny.voice(tmp_path_factory.mktemp("kokoro"))


@pytest.fixture(scope="module")
def voice(args: KokoroArgs) -> KokoroSynthesizer:
    return KokoroSynthesizer(args)


async def collect(engine: KokoroSynthesizer, sentence: str, **config: Any) -> list[Audio]:
    return [chunk async for chunk in engine.speak(sentence, TextToSpeechConfig(**config))]


def phonemes_of(
    run: Run, engine: KokoroSynthesizer, monkeypatch: pytest.MonkeyPatch, sentence: str, **config: Any
) -> str:
    """Return the phonemes that the model gets for a sentence."""
    seen: list[str] = []
    tokenize = engine._kokoro.tokenizer.tokenize
    with monkeypatch.context() as patch:
        patch.setattr(
            engine._kokoro.tokenizer, "tokenize", lambda phonemes: seen.append(phonemes) or tokenize(phonemes)
        )
        run(collect(engine, sentence, **config))
    return "".join(seen)


def pitch_hz(audio: Audio) -> float:
    spectrum = np.abs(np.fft.rfft(audio.samples))
    return float(spectrum.argmax() / audio.duration_s)


def test_a_sentence_is_one_chunk_at_24_khz(run: Run, voice: KokoroSynthesizer) -> None:
    (audio,) = run(collect(voice, "Mr. Smith paid $5.20, and left."))
    assert audio.rate_hz == voice.rate_hz == 24_000
    assert audio.samples.dtype == np.float32
    assert audio.duration_s > 1


@pytest.mark.parametrize(("code", "sentence"), SENTENCES.items())
def test_speaks_every_language(run: Run, voice: KokoroSynthesizer, code: str, sentence: str) -> None:
    (audio,) = run(collect(voice, sentence, language=code))
    assert audio.duration_s > 0.3


def test_every_language_has_a_sentence_here() -> None:
    assert SENTENCES.keys() == LANGUAGES.keys()


def test_the_default_language_is_american_english(
    run: Run, voice: KokoroSynthesizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def phonemes(**config: Any) -> str:
        return phonemes_of(run, voice, monkeypatch, "Hello.", **config)

    assert phonemes() == phonemes(language="en") == phonemes(language="en-us") == "həlˈoʊ."
    assert phonemes(language="en-gb") == "həlˈəʊ."


def test_lists_its_voices(voice: KokoroSynthesizer) -> None:
    assert voice.voices == tiny.VOICES


def test_a_voice_reads_in_its_own_language_unless_one_is_set(
    run: Run, voice: KokoroSynthesizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [voice.language(name) for name in (None, "bm_test", "ff_siwis", "xx")] == ["en-us", "en-gb", "fr", "en"]
    assert phonemes_of(run, voice, monkeypatch, "Hello.", voice="bm_test") == "həlˈəʊ."
    assert phonemes_of(run, voice, monkeypatch, "Hello.", voice="bm_test", language="en-us") == "həlˈoʊ."


def test_marks_of_another_language_are_not_spoken(
    run: Run, voice: KokoroSynthesizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = phonemes_of(run, voice, monkeypatch, "Le software (en fait) est bon.", language="fr")
    assert "sˈɒftweə" in found
    assert "(en)" not in found
    assert "(fr)" not in found
    assert "(ɑ̃ fˈɛ)" in found


def test_the_first_voice_is_the_default(run: Run, voice: KokoroSynthesizer) -> None:
    (default,), (first,), (second,) = (
        run(collect(voice, "Hello, world.", voice=name)) for name in (None, *tiny.VOICES)
    )
    np.testing.assert_array_equal(default.samples, first.samples)
    assert pitch_hz(second) > 1.5 * pitch_hz(first)


@pytest.mark.parametrize("speed", [0.5, 2.0])
def test_speed_divides_the_duration(run: Run, voice: KokoroSynthesizer, speed: float) -> None:
    (normal,), (changed,) = (run(collect(voice, "Hello, world.", speed=value)) for value in (1.0, speed))
    assert changed.duration_s == pytest.approx(normal.duration_s / speed, rel=0.1)


@pytest.mark.parametrize("text", ["", " ", "...", "?!", "—", "\x00"])
def test_text_without_phonemes_gives_no_audio(run: Run, voice: KokoroSynthesizer, text: str) -> None:
    assert run(collect(voice, text)) == []


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"voice": "af_none"}, "no voice 'af_none'; it has af_test, bm_test"),
        ({"language": "de"}, "no language 'de'; it has en, en-us, en-gb"),
        ({"speed": 0.25}, "from 0.5 to 2"),
        ({"speed": 4.0}, "from 0.5 to 2"),
    ],
)
def test_rejects_what_the_model_does_not_have(
    run: Run, voice: KokoroSynthesizer, config: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidRequest, match=message) as caught:
        run(collect(voice, "Hello.", **config))
    assert caught.value.param == next(iter(config))


def test_a_missing_model_file_is_named(args: KokoroArgs, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.npz"):
        KokoroSynthesizer(args.model_copy(update={"voices": str(tmp_path / "none.npz")}))


def test_without_the_library_the_error_says_how_to_install_it(
    args: KokoroArgs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "kokoro_onnx", None)
    with pytest.raises(ImportError, match="--extra kokoro"):
        KokoroSynthesizer(args)
