from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deployments.engines.coqui.engine import CoquiSynthesizer
from deployments.engines.coqui.settings import CoquiArgs
from deployments.errors import InvalidRequest
from deployments.messages import Audio
from deployments.postprocess import AudioPostprocessor
from deployments.settings import TextToSpeechConfig
from graphs.settings import POCKET_TTS
from tests.deployments.engines.coqui import tiny

Run = Callable[[Any], Any]

SENTENCES = (
    ("The capital of France is Paris.", 1.0),
    ("I see 1,234,567 red circles, and 21 blue squares!", 2.0),
    ("Mr. Smith paid $5.20. Did he? Yes.", 0.5),
    ("Hello.", 1.5),
)


@pytest.fixture(scope="module")
def voice(tmp_path_factory: pytest.TempPathFactory) -> CoquiSynthesizer:
    return CoquiSynthesizer(tiny.voice(tmp_path_factory.mktemp("coqui")))


@pytest.fixture(scope="module")
def pocket() -> CoquiSynthesizer:
    return CoquiSynthesizer(CoquiArgs.model_validate(POCKET_TTS))


async def collect(engine: CoquiSynthesizer, sentence: str, **config: Any) -> list[Audio]:
    return [chunk async for chunk in engine.speak(sentence, TextToSpeechConfig(**config))]


def seconds(chunks: list[Audio]) -> float:
    return sum(chunk.duration_s for chunk in chunks)


def joined(chunks: list[Audio]) -> Any:
    return np.concatenate([chunk.samples for chunk in chunks])


def test_rejects_local_files_of_a_model_whose_loader_runs_code_of_its_file(tmp_path: Path) -> None:
    (tmp_path / "bark.pth").write_bytes(b"")
    (tmp_path / "config.json").write_text('{"model": "bark"}')
    with pytest.raises(ValueError, match="bark is not supported"):
        CoquiSynthesizer(CoquiArgs(model=str(tmp_path / "bark.pth"), config=str(tmp_path / "config.json")))


def test_has_the_sample_rate_and_the_language_of_the_model(voice: CoquiSynthesizer) -> None:
    assert voice.rate_hz == 16_000
    assert voice.language(None) == "en"  # of its text cleaner


def test_the_characters_are_those_of_the_model_unless_it_reads_phonemes(
    pocket: CoquiSynthesizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert pocket.characters == set("abcdefghijklmnopqrstuvwxyz!',.? ")
    monkeypatch.setattr(pocket._model.tokenizer, "use_phonemes", True)
    assert pocket.characters is None


def test_without_an_english_cleaner_the_language_is_the_models_first(
    voice: CoquiSynthesizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(voice._model.tokenizer, "text_cleaner", None)
    monkeypatch.setattr(voice, "_languages", ["de", "fr"])
    assert voice.language(None) == "de"
    monkeypatch.setattr(voice, "_languages", [])
    assert voice.language(None) is None


def test_concurrent_sentences_sound_as_separate_ones(run: Run, pocket: CoquiSynthesizer) -> None:
    async def body() -> tuple[list[list[Audio]], list[list[Audio]]]:
        alone = [await collect(pocket, text, speed=speed) for text, speed in SENTENCES]
        return alone, await asyncio.gather(*(collect(pocket, text, speed=speed) for text, speed in SENTENCES * 5))

    alone, together = run(body())
    for i, chunks in enumerate(together):
        expected = alone[i % len(SENTENCES)]
        assert len(chunks) == len(expected)
        for one, other in zip(chunks, expected, strict=True):
            np.testing.assert_array_equal(one.samples, other.samples)


def test_on_a_cpu_the_vocoder_has_the_layout_channels_last(pocket: CoquiSynthesizer) -> None:
    layers = [layer for layer in pocket._synthesizer.vocoder_model.model_g.modules() if hasattr(layer, "weight")]
    assert layers
    assert all(layer.weight.stride(1) == 1 for layer in layers)


def test_the_first_chunk_is_short(run: Run, pocket: CoquiSynthesizer) -> None:
    text = "Once upon a time there was a small brown dog who lived in a house by the river."
    first, *others = run(collect(pocket, text))
    assert first.duration_s < 0.5 < seconds(others)


def test_chunks_give_the_audio_of_the_whole(
    run: Run, pocket: CoquiSynthesizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    chunks = run(collect(pocket, "The capital of France is Paris."))
    assert pocket._vocoder is not None
    monkeypatch.setattr(pocket._vocoder, "window", None)
    (whole,) = run(collect(pocket, "The capital of France is Paris."))
    assert len(chunks) > 1
    np.testing.assert_allclose(joined(chunks), whole.samples, atol=1e-3)


def test_synthesizes_a_first_sentence_before_a_third(run: Run, voice: CoquiSynthesizer) -> None:
    async def body() -> list[int]:
        order: list[int] = []

        async def one(rank: int) -> None:
            async for _ in voice.speak("Here are some words.", TextToSpeechConfig(), rank):
                order.append(rank)

        await asyncio.gather(*(one(rank) for rank in (0, 0, 2, 2, 2, 0)))
        return order

    assert run(body()).index(2) >= 2


def test_a_model_that_is_not_thread_safe_synthesizes_one_sentence_at_a_time(
    voice: CoquiSynthesizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Tacotron2:
        pass

    assert voice._concurrency(4) == 4
    monkeypatch.setattr(voice, "_model", Tacotron2())
    assert voice._concurrency(4) == 1


@pytest.mark.parametrize("text", ["", " ", "\n\t", "...", "?!", "—", "😀", "日本", "\u200b", "\x00"])
def test_text_that_the_model_cannot_pronounce_gives_no_audio(run: Run, voice: CoquiSynthesizer, text: str) -> None:
    assert run(collect(voice, text)) == []


@pytest.mark.parametrize("text", ["a", "I", "7", "Ok", "x.", "Hi!", "ünïcode & 日本 — test", "Mr. Smith paid $5.20."])
def test_speaks_very_short_and_unusual_text(run: Run, voice: CoquiSynthesizer, text: str) -> None:
    before = voice.produced
    chunks = run(collect(voice, text))
    assert voice.produced == before + 1
    assert seconds(chunks) > 0.2


def test_reads_numbers_as_words(run: Run, voice: CoquiSynthesizer) -> None:
    assert seconds(run(collect(voice, "It is 1999."))) > 1.5 * seconds(run(collect(voice, "It is new.")))


def test_a_higher_speed_gives_shorter_audio(run: Run, voice: CoquiSynthesizer) -> None:
    text = "here are several words to say"
    slow, normal, fast = (seconds(run(collect(voice, text, speed=speed))) for speed in (0.5, 1.0, 2.0))
    assert slow > 1.5 * normal
    assert normal > 1.5 * fast
    assert seconds(run(collect(voice, text))) == normal


def test_processed_audio_starts_and_ends_with_silence_and_does_not_clip(run: Run, voice: CoquiSynthesizer) -> None:
    for sentence in ("One sentence.", "And another."):
        processor = AudioPostprocessor(voice.rate_hz, volume=4.0, pause_s=0.1)
        chunks = [processor.add(chunk.samples) for chunk in run(collect(voice, sentence))]
        samples = np.concatenate([*chunks, processor.finish()])
        assert samples[0] == samples[-1] == 0
        assert np.abs(samples).max() <= 0.96
        assert not samples[-int(0.1 * voice.rate_hz) :].any()


def test_rejects_an_unknown_voice(run: Run, voice: CoquiSynthesizer) -> None:
    with pytest.raises(InvalidRequest, match="no voice 'unknown'; it has only one") as caught:
        run(collect(voice, "Hello.", voice="unknown"))
    assert caught.value.param == "voice"


def test_a_missing_model_file_is_named() -> None:
    with pytest.raises(FileNotFoundError, match=r"no-voice\.pth"):
        CoquiSynthesizer(CoquiArgs(model="no-voice.pth", config="no-voice.json"))
