from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from deployments.engines.coqui.engine import CoquiSynthesizer, _split, _with_symbols_as_words
from deployments.errors import InvalidRequest
from deployments.messages import Audio
from deployments.settings import AppArgs, CoquiArgs, TextToSpeechConfig
from tests.deployments.engines import tiny

Run = Callable[[Any], Any]


@pytest.fixture(scope="module")
def voice(tmp_path_factory: pytest.TempPathFactory) -> CoquiSynthesizer:
    return CoquiSynthesizer(tiny.voice(tmp_path_factory.mktemp("coqui")))


async def spoken(engine: CoquiSynthesizer, text: str, **config: Any) -> list[Audio]:
    return [chunk async for chunk in engine.speak(text, TextToSpeechConfig(**config))]


@pytest.fixture(scope="module")
def pocket() -> CoquiSynthesizer:
    return CoquiSynthesizer(AppArgs().text_to_speech)  # type: ignore[arg-type]


SAID = (
    ("The capital of France is Paris.", 1.0),
    ("I see 1,234,567 red circles, and 21 blue squares!", 2.0),
    ("Mr. Smith paid $5.20. Did he? Yes.", 0.5),
    ("Hello.", 1.5),
)


def test_many_at_once_sound_as_if_alone(run: Run, pocket: CoquiSynthesizer) -> None:
    async def body() -> tuple[list[list[Audio]], list[list[Audio]]]:
        alone = [await spoken(pocket, text, speed=speed) for text, speed in SAID]
        return alone, await asyncio.gather(*(spoken(pocket, text, speed=speed) for text, speed in SAID * 5))

    alone, together = run(body())
    for i, chunks in enumerate(together):
        expected = alone[i % len(SAID)]
        assert len(chunks) == len(expected)
        for one, other in zip(chunks, expected, strict=True):
            np.testing.assert_array_equal(one.samples, other.samples)


def test_on_a_processor_the_vocoder_is_laid_out_for_it(pocket: CoquiSynthesizer) -> None:
    layers = [layer for layer in pocket._synthesizer.vocoder_model.model_g.modules() if hasattr(layer, "kernel_size")]
    assert layers
    assert all(layer.weight.stride(1) == 1 for layer in layers)


def test_a_sentence_is_heard_before_all_of_it_is_made(run: Run, pocket: CoquiSynthesizer) -> None:
    text = "Once upon a time there was a small brown dog who lived in a house by the river."
    first, *others = run(spoken(pocket, text))
    assert first.duration_s < 0.5 < seconds(others)


def test_a_sentence_sounds_the_same_in_pieces(
    run: Run, pocket: CoquiSynthesizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    pieces = run(spoken(pocket, "The capital of France is Paris."))
    assert pocket._vocoder is not None
    monkeypatch.setattr(pocket._vocoder, "window", None)
    (whole,) = run(spoken(pocket, "The capital of France is Paris."))
    assert len(pieces) > 1
    np.testing.assert_allclose(np.concatenate([piece.samples for piece in pieces]), whole.samples, atol=1e-3)


def test_a_first_sentence_goes_before_a_third(run: Run, voice: CoquiSynthesizer) -> None:
    async def body() -> list[int]:
        order: list[int] = []

        async def one(sentence: int) -> None:
            async for _ in voice.speak("Here are some words.", TextToSpeechConfig(), sentence):
                order.append(sentence)

        await asyncio.gather(*(one(sentence) for sentence in (0, 0, 2, 2, 2, 0)))
        return order

    assert run(body()).index(2) >= 2


def test_a_model_that_keeps_a_state_speaks_one_sentence_at_a_time(voice: CoquiSynthesizer) -> None:
    class Tacotron2:
        pass

    kept, voice._model = voice._model, Tacotron2()
    try:
        assert voice._parallel(4) == 1
    finally:
        voice._model = kept
    assert voice._parallel(4) == 4


def seconds(chunks: list[Audio]) -> float:
    return sum(chunk.duration_s for chunk in chunks)


@pytest.mark.parametrize("text", ["", " ", "\n\t", "...", "?!", "—", "😀", "日本", "\u200b", "\x00"])
def test_what_has_no_sound_is_silently_nothing(run: Run, voice: CoquiSynthesizer, text: str) -> None:
    assert run(spoken(voice, text)) == []


@pytest.mark.parametrize("text", ["a", "I", "7", "Ok", "x.", "Hi!", "ünïcode & 日本 — test", "Mr. Smith paid $5.20."])
def test_the_shortest_and_strangest_text_is_spoken(run: Run, voice: CoquiSynthesizer, text: str) -> None:
    before = voice.produced
    chunks = run(spoken(voice, text))
    assert voice.produced == before + 1
    assert seconds(chunks) > 0.2


def sentences(run: Run, voice: CoquiSynthesizer, text: str, **config: Any) -> int:
    """How many were made of ``text``."""
    before = voice.produced
    run(spoken(voice, text, **config))
    return voice.produced - before


def test_each_sentence_is_made_alone(run: Run, voice: CoquiSynthesizer) -> None:
    assert sentences(run, voice, "Mr. Smith is here. Is he? Yes!\nOh no") == 4


def test_numbers_are_read_out(run: Run, voice: CoquiSynthesizer) -> None:
    assert seconds(run(spoken(voice, "It is 1999."))) > 1.5 * seconds(run(spoken(voice, "It is new.")))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("7 + 5 = 12", "7 plus 5 equals 12"),
        ("9-5, or 9 - 5?", "9-5, or 9 minus 5?"),
        ("3*4 and 3 × 4", "3 times 4 and 3 times 4"),
        ("5% of 20°", "5 percent of 20 degrees"),
        ("€3.50, please", "3.50 euros, please"),
        ("yes/no on 3/4", "yes or no on 3/4"),
        ("a well-known *word*", "a well-known *word*"),
    ],
)
def test_symbols_are_said_as_words(text: str, said: str) -> None:
    assert _with_symbols_as_words(text) == said


def test_a_long_sentence_is_split(run: Run, voice: CoquiSynthesizer) -> None:
    assert sentences(run, voice, "one two three four five, " * 5, max_sentence_chars=30) == 5


def test_faster_is_shorter(run: Run, voice: CoquiSynthesizer) -> None:
    text = "here are several words to say"
    slow, normal, fast = (seconds(run(spoken(voice, text, speed=speed, pause_s=0.0))) for speed in (0.5, 1.0, 2.0))
    assert slow > 1.5 * normal
    assert normal > 1.5 * fast
    assert seconds(run(spoken(voice, text, pause_s=0.0))) == normal


def test_speech_begins_and_ends_in_silence_and_never_clips(run: Run, voice: CoquiSynthesizer) -> None:
    for sentence in ("One sentence.", "And another."):
        chunks = run(spoken(voice, sentence, volume=4.0, pause_s=0.1))
        samples = np.concatenate([chunk.samples for chunk in chunks])
        assert samples[0] == samples[-1] == 0
        assert np.abs(samples).max() <= 0.96
        assert not samples[-int(0.1 * chunks[-1].rate_hz) :].any()


def test_an_unknown_voice_is_the_clients_error(run: Run, voice: CoquiSynthesizer) -> None:
    with pytest.raises(InvalidRequest, match="no voice 'nobody'; it has only one") as caught:
        run(spoken(voice, "Hello.", voice="nobody"))
    assert caught.value.param == "voice"


def test_a_missing_file_is_named() -> None:
    with pytest.raises(FileNotFoundError, match=r"no-voice\.pth"):
        CoquiSynthesizer(CoquiArgs(model="no-voice.pth", config="no-voice.json"))


@pytest.mark.parametrize("text", ["a" * 50, "word " * 20, "some words, then some more; and (at last) the end", ""])
def test_splitting_loses_no_letter(text: str) -> None:
    pieces = list(_split(text, 20))
    assert "".join(pieces).replace(" ", "") == text.replace(" ", "")
    assert all(len(piece) <= 20 for piece in pieces)
