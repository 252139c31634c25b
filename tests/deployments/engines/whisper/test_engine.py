from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from deployments.engines.whisper.engine import WhisperRecognizer, _folder_or_name
from deployments.errors import InvalidRequest
from deployments.messages import Audio, Segment
from deployments.settings import SpeechToTextConfig, WhisperArgs
from tests.deployments.engines import tiny
from tests.deployments.engines.cases import HEAR_ALL

Run = Callable[[Any], Any]
DATA = Path(__file__).resolve().parents[1] / "data"
CLIPS = ("hello", "how_many_red_circles", "question", "seven_plus_five", "what_do_you_see", "what_is_your_name")
OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"words": True},
    {"prompt": "Paris, France."},
    {"vad": False},
    {"language": None},
    {"beam_size": 3},
    {"repetition_penalty": 1.2},
    {"words": True, "vad": False},
)


def clip(name: str) -> Audio:
    return Audio(soundfile.read(DATA / f"{name}.wav", dtype="float32")[0], 16_000)


def long_talk(times: int = 5) -> Audio:
    """Every clip ``times`` times, with pauses between: several windows."""
    pause = np.zeros(12_000, np.float32)
    sounds = [part for name in CLIPS * times for part in (clip(name).samples, pause)]
    return Audio(np.concatenate(sounds), 16_000)


@pytest.fixture(scope="module")
def pocket() -> WhisperRecognizer:
    return WhisperRecognizer(WhisperArgs(workers=2))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.recognizer(tmp_path_factory.mktemp("whisper"))


@pytest.fixture(scope="module")
def ear(folder: Path) -> WhisperRecognizer:
    return WhisperRecognizer(WhisperArgs(model=str(folder)))


async def heard(ear: WhisperRecognizer, audio: Audio, config: SpeechToTextConfig) -> list[Segment]:
    return [segment async for segment in ear.transcribe(audio, config)]


@pytest.mark.parametrize("seconds", [0.0, 0.00007, 0.01, 0.5, 31.0])
def test_sound_of_any_length_is_taken(run: Run, ear: WhisperRecognizer, seconds: float) -> None:
    segments = run(heard(ear, tiny.sound(seconds=seconds), HEAR_ALL))
    assert all(segment.text == segment.text.strip() != "" for segment in segments)
    assert seconds or not segments


@pytest.mark.parametrize("level", [0.0, 1e-4])
def test_silence_holds_no_words(run: Run, ear: WhisperRecognizer, level: float) -> None:
    noise = np.random.default_rng(0).normal(0, 1, 32_000).astype(np.float32)
    assert run(heard(ear, Audio(noise * np.float32(level), 16_000), SpeechToTextConfig())) == []


def test_a_segment_says_how_sure_the_model_was(run: Run, ear: WhisperRecognizer) -> None:
    for segment in run(heard(ear, tiny.sound(), HEAR_ALL)):
        assert segment.tokens
        assert segment.avg_logprob is not None
        assert segment.avg_logprob <= 0
        assert segment.compression_ratio is not None
        assert segment.compression_ratio > 0
        assert segment.no_speech_prob is not None
        assert 0 <= segment.no_speech_prob <= 1
        assert segment.temperature == HEAR_ALL.temperature


def test_a_text_that_repeats_itself_is_dropped(run: Run, ear: WhisperRecognizer) -> None:
    strict = HEAR_ALL.model_copy(update={"compression_ratio_threshold": 1e-6})
    assert run(heard(ear, tiny.sound(), HEAR_ALL))
    assert run(heard(ear, tiny.sound(), strict)) == []


def test_a_language_that_the_model_does_not_know_is_the_clients_error(run: Run, ear: WhisperRecognizer) -> None:
    with pytest.raises(InvalidRequest, match="'de'; it knows en") as caught:
        run(heard(ear, tiny.sound(), SpeechToTextConfig(language="de")))
    assert caught.value.param == "language"


def test_another_rate_is_refused_and_not_misheard(run: Run, ear: WhisperRecognizer) -> None:
    with pytest.raises(InvalidRequest, match="8,000"):
        run(heard(ear, Audio(np.zeros(100, np.float32), 8_000), HEAR_ALL))


def test_a_folder_without_its_tokenizer_is_refused_and_not_looked_up(folder: Path, tmp_path: Path) -> None:
    for name in ("model.bin", "config.json"):
        (tmp_path / name).symlink_to(folder / name)
    with pytest.raises(FileNotFoundError, match=r"lacks tokenizer\.json"):
        WhisperRecognizer(WhisperArgs(model=str(tmp_path)))


@pytest.mark.parametrize("model", ["/nowhere/model", "no/such/folder"])
def test_a_missing_folder_is_named(model: str) -> None:
    with pytest.raises(FileNotFoundError, match="no model folder"):
        WhisperRecognizer(WhisperArgs(model=model))


@pytest.mark.parametrize("name", ["large-v3-turbo", "someone/whisper-ct2"])
def test_a_name_of_the_hub_stays_a_name(name: str) -> None:
    assert _folder_or_name(name) == name


@pytest.mark.parametrize("options", [{}, {"words": True}, {"vad": False, "words": True}, {"prompt": "Paris."}], ids=str)
def test_it_hears_what_the_library_hears(run: Run, pocket: WhisperRecognizer, options: dict[str, Any]) -> None:
    from faster_whisper import WhisperModel

    audio, config = long_talk(3), SpeechToTextConfig(**options)
    library = WhisperModel(_folder_or_name(WhisperArgs().model), compute_type="int8", cpu_threads=1)
    segments, _ = library.transcribe(
        audio.samples,
        language="en",
        initial_prompt=config.prompt,
        beam_size=config.beam_size,
        temperature=0.0,
        word_timestamps=config.words,
        condition_on_previous_text=False,
        vad_filter=config.vad,
        vad_parameters={"min_speech_duration_ms": 100, "min_silence_duration_ms": 500, "speech_pad_ms": 300},
    )
    expected = [segment for segment in segments if segment.compression_ratio <= config.compression_ratio_threshold]
    found = run(heard(pocket, audio, config))
    assert len(found) > 1
    assert [(one.text, one.start_s, one.end_s) for one in found] == [
        (one.text.strip(), one.start, one.end) for one in expected
    ]
    assert [[(word.text, word.start_s, word.end_s) for word in one.words] for one in found] == [
        [(word.word.strip(), word.start, word.end) for word in one.words or ()] for one in expected
    ]


def test_a_model_that_was_taught_short_windows_is_given_no_more_silence(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    ear = WhisperRecognizer(WhisperArgs(min_window_s=6))
    encode, seconds = ear._model.encode, []

    def watched(features: NDArray[np.float32]) -> Any:
        seconds.append(features.shape[-1] / 100)
        return encode(features)

    monkeypatch.setattr(ear._model, "encode", watched)
    config = SpeechToTextConfig(vad=False, words=True)
    short, long = run(heard(ear, clip("question"), config)), run(heard(ear, long_talk(1), config))
    assert short[0].text == "What is the capital of France?"
    assert [word.text for word in short[0].words] == ["What", "is", "the", "capital", "of", "France?"]
    assert "red circles" in " ".join(segment.text for segment in long)
    assert seconds[0] == 6
    assert all(6 < window <= long_talk(1).duration_s + 1.1 for window in seconds[1:2])
    run(ear.close())


def test_eight_at_once_are_heard_as_if_alone(run: Run, pocket: WhisperRecognizer) -> None:
    asked = [(clip(CLIPS[i % len(CLIPS)]), SpeechToTextConfig(**options)) for i, options in enumerate(OPTIONS)]

    async def body() -> tuple[list[list[Segment]], list[list[Segment]]]:
        alone = [await heard(pocket, *one) for one in asked]
        return alone, list(await asyncio.gather(*(heard(pocket, *one) for one in asked)))

    alone, together = run(body())
    assert all(alone)
    assert together == alone


def test_a_wrong_request_leaves_those_beside_it_alone(run: Run, pocket: WhisperRecognizer) -> None:
    async def body() -> list[Any]:
        german = heard(pocket, clip("hello"), SpeechToTextConfig(language="de"))
        return await asyncio.gather(german, heard(pocket, clip("hello"), SpeechToTextConfig()), return_exceptions=True)

    refused, answered = run(body())
    assert isinstance(refused, InvalidRequest)
    assert answered


def test_a_short_turn_is_answered_before_long_recordings_are_done(run: Run, pocket: WhisperRecognizer) -> None:
    async def body() -> list[str]:
        order: list[str] = []

        async def one(name: str, audio: Audio) -> None:
            await heard(pocket, audio, SpeechToTextConfig())
            order.append(name)

        longs = [asyncio.create_task(one("long", long_talk())) for _ in range(3)]
        await asyncio.sleep(0.1)
        await one("short", clip("hello"))
        await asyncio.gather(*longs)
        return order

    assert run(body())[0] == "short"


def test_one_who_leaves_is_heard_no_further_than_the_window_in_hand(
    run: Run, pocket: WhisperRecognizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[list[Segment]] = []
    windows = pocket._windows

    def noted(audio: Audio, config: SpeechToTextConfig) -> Generator[list[Segment], None, None]:
        for window in windows(audio, config):
            made.append(window)
            yield window

    async def body() -> int:
        async with aclosing(pocket.transcribe(long_talk(), SpeechToTextConfig())) as segments:
            await anext(segments)
            before = len(made)
        while pocket.load().active:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        return before

    monkeypatch.setattr(pocket, "_windows", noted)
    before = run(body())
    assert len(made) <= before + 1
