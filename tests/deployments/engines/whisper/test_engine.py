from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from contextlib import aclosing
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from deployments.engines.whisper.engine import WhisperRecognizer
from deployments.engines.whisper.model import _folder
from deployments.engines.whisper.settings import WhisperArgs, WhisperConfig
from deployments.errors import InvalidRequest
from deployments.messages import Audio, Segment
from models.errors import NotPulled
from tests.deployments.engines.cases import DATA
from tests.deployments.engines.whisper import tiny
from tests.deployments.engines.whisper.contract import KEEP_ALL

Run = Callable[[Any], Any]
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


def long_recording(times: int = 5) -> Audio:
    """Return every clip ``times`` times with pauses in between: several windows."""
    pause = np.zeros(12_000, np.float32)
    parts = [part for name in CLIPS * times for part in (clip(name).samples, pause)]
    return Audio(np.concatenate(parts), 16_000)


@pytest.fixture(scope="module")
def pocket() -> WhisperRecognizer:
    return WhisperRecognizer(WhisperArgs(workers=2, min_window_s=30, pad_with="zeros"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.recognizer(tmp_path_factory.mktemp("whisper"))


@pytest.fixture(scope="module")
def engine(folder: Path) -> WhisperRecognizer:
    return WhisperRecognizer(WhisperArgs(model=str(folder)))


async def collect(engine: WhisperRecognizer, audio: Audio, config: WhisperConfig) -> list[Segment]:
    return [segment async for segment in engine.transcribe(audio, config)]


@pytest.mark.parametrize("seconds", [0.0, 0.00007, 0.01, 0.5, 31.0])
def test_transcribes_audio_of_any_length(run: Run, engine: WhisperRecognizer, seconds: float) -> None:
    segments = run(collect(engine, tiny.noise(seconds=seconds), KEEP_ALL))
    assert all(segment.text == segment.text.strip() != "" for segment in segments)
    assert seconds or not segments


@pytest.mark.parametrize("level", [0.0, 1e-4])
def test_silence_gives_no_segments(run: Run, engine: WhisperRecognizer, level: float) -> None:
    noise = np.random.default_rng(0).normal(0, 1, 32_000).astype(np.float32)
    assert run(collect(engine, Audio(noise * np.float32(level), 16_000), WhisperConfig())) == []


def test_a_segment_reports_probabilities_and_tokens(run: Run, engine: WhisperRecognizer) -> None:
    for segment in run(collect(engine, tiny.noise(), KEEP_ALL)):
        assert segment.tokens
        assert segment.avg_logprob is not None
        assert segment.avg_logprob <= 0
        assert segment.compression_ratio is not None
        assert segment.compression_ratio > 0
        assert segment.no_speech_prob is not None
        assert 0 <= segment.no_speech_prob <= 1
        assert segment.temperature == KEEP_ALL.temperature


def test_repetitive_text_is_kept(run: Run, engine: WhisperRecognizer) -> None:
    strict = KEEP_ALL.model_copy(update={"compression_ratio_threshold": 1e-6})
    assert run(collect(engine, tiny.noise(), KEEP_ALL)) == run(collect(engine, tiny.noise(), strict)) != []


def test_a_segment_names_its_language(run: Run, engine: WhisperRecognizer) -> None:
    segments = run(collect(engine, tiny.noise(), KEEP_ALL.model_copy(update={"language": None})))
    assert {segment.language for segment in segments} == {"en"}


def test_rejects_a_language_that_the_model_does_not_have(run: Run, engine: WhisperRecognizer) -> None:
    with pytest.raises(InvalidRequest, match="'de'; it has en") as caught:
        run(collect(engine, tiny.noise(), WhisperConfig(language="de")))
    assert caught.value.param == "language"


def test_rejects_another_sample_rate(run: Run, engine: WhisperRecognizer) -> None:
    with pytest.raises(InvalidRequest, match="8,000"):
        run(collect(engine, Audio(np.zeros(100, np.float32), 8_000), KEEP_ALL))


def test_rejects_a_folder_without_a_tokenizer(folder: Path, tmp_path: Path) -> None:
    for name in ("model.bin", "config.json"):
        (tmp_path / name).symlink_to(folder / name)
    with pytest.raises(FileNotFoundError, match=r"has no tokenizer\.json"):
        WhisperRecognizer(WhisperArgs(model=str(tmp_path)))


@pytest.mark.parametrize("model", ["/nowhere/model", "no/such/folder"])
def test_a_missing_folder_is_named_in_the_error(model: str) -> None:
    with pytest.raises(FileNotFoundError, match="no model folder"):
        WhisperRecognizer(WhisperArgs(model=model))


@pytest.mark.parametrize("revision", [None, "0123abc"])
@pytest.mark.parametrize("name", ["large-v3-turbo", "someone/whisper-ct2"])
def test_a_name_on_the_hub_means_its_folder_in_the_hubs_cache(
    folder: Path, name: str, revision: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str | None]] = []

    def download(size_or_id: str, revision: str | None, local_files_only: bool) -> str:
        assert local_files_only
        asked.append((size_or_id, revision))
        return str(folder)

    monkeypatch.setattr("faster_whisper.utils.download_model", download)
    assert _folder(name, revision) == folder
    assert asked == [(name, revision)]


@pytest.mark.parametrize("name", ["large-v3-turbo", "someone/no-such-model"])
def test_a_name_on_the_hub_that_was_not_pulled_is_an_error_with_the_command(name: str) -> None:
    with pytest.raises(NotPulled, match="run: python -m models pull --config FILE"):
        WhisperRecognizer(WhisperArgs(model=name))


@pytest.mark.parametrize("options", [{}, {"words": True}, {"vad": False, "words": True}, {"prompt": "Paris."}], ids=str)
def test_transcribes_as_the_library_does(run: Run, pocket: WhisperRecognizer, options: dict[str, Any]) -> None:
    from faster_whisper import WhisperModel

    audio, config = long_recording(3), WhisperConfig(tries=1, **options)
    library = WhisperModel(str(_folder(WhisperArgs().model, None)), compute_type="int8", cpu_threads=1)
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
    expected = list(segments)
    found = run(collect(pocket, audio, config))
    assert len(found) > 1
    assert [(one.text, one.start_s, one.end_s) for one in found] == [
        (one.text.strip(), one.start, one.end) for one in expected
    ]
    assert [[(word.text, word.start_s, word.end_s) for word in one.words] for one in found] == [
        [(word.word.strip(), word.start, word.end) for word in one.words or ()] for one in expected
    ]


def test_short_audio_is_padded_to_the_shortest_window(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = WhisperRecognizer(WhisperArgs(min_window_s=6, window_pad_s=1, pad_with="zeros"))
    encode, seconds = engine._model.encode, []

    def recorded(features: NDArray[np.float32], window: int) -> Any:
        seconds.append(window / 100)
        return encode(features, window)

    monkeypatch.setattr(engine._model, "encode", recorded)
    config = WhisperConfig(vad=False, words=True)
    short, long = run(collect(engine, clip("question"), config)), run(collect(engine, long_recording(1), config))
    assert short[0].text == "What is the capital of France?"
    assert [word.text for word in short[0].words] == ["What", "is", "the", "capital", "of", "France?"]
    assert "red circles" in " ".join(segment.text for segment in long)
    assert seconds[0] == 6
    assert all(6 < window <= long_recording(1).duration_s + 1.1 for window in seconds[1:2])
    run(engine.close())


def test_eight_concurrent_requests_get_the_segments_of_separate_ones(run: Run, pocket: WhisperRecognizer) -> None:
    requests = [(clip(CLIPS[i % len(CLIPS)]), WhisperConfig(**options)) for i, options in enumerate(OPTIONS)]

    async def body() -> tuple[list[list[Segment]], list[list[Segment]]]:
        alone = [await collect(pocket, *one) for one in requests]
        return alone, list(await asyncio.gather(*(collect(pocket, *one) for one in requests)))

    alone, together = run(body())
    assert all(alone)
    assert together == alone


def test_an_invalid_request_does_not_affect_a_concurrent_one(run: Run, pocket: WhisperRecognizer) -> None:
    async def body() -> list[Any]:
        german = collect(pocket, clip("hello"), WhisperConfig(language="de"))
        return await asyncio.gather(german, collect(pocket, clip("hello"), WhisperConfig()), return_exceptions=True)

    refused, answer = run(body())
    assert isinstance(refused, InvalidRequest)
    assert answer


def test_a_short_recording_is_done_before_long_ones(run: Run, pocket: WhisperRecognizer) -> None:
    async def body() -> list[str]:
        order: list[str] = []

        async def one(name: str, audio: Audio) -> None:
            await collect(pocket, audio, WhisperConfig())
            order.append(name)

        longs = [asyncio.create_task(one("long", long_recording())) for _ in range(3)]
        await asyncio.sleep(0.1)
        await one("short", clip("hello"))
        await asyncio.gather(*longs)
        return order

    assert run(body())[0] == "short"


def test_closing_a_request_ends_it_after_the_running_step(
    run: Run, pocket: WhisperRecognizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed: list[list[Segment]] = []
    steps = pocket._steps

    def recorded(audio: Audio, config: WhisperConfig, stopped: Event) -> Generator[list[Segment], None, None]:
        for step in steps(audio, config, stopped):
            computed.append(step)
            yield step

    async def body() -> int:
        async with aclosing(pocket.transcribe(long_recording(), WhisperConfig())) as segments:
            await anext(segments)
            before = len(computed)
        while pocket.load().active:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        return before

    monkeypatch.setattr(pocket, "_steps", recorded)
    before = run(body())
    assert len(computed) <= before + 1
