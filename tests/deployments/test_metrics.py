"""What a request records, in words of Prometheus; that it arrives there is tested in tests/serve."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import numpy as np
import pytest

from deployments.asr import SpeechToText
from deployments.errors import EngineUnavailable
from deployments.llm import ChatLLM
from deployments.messages import Audio, ChatMessage, ChatOptions, Load, SpeakOptions, TranscribeOptions
from deployments.metrics import ALL, Metric, record_load
from deployments.settings import FakeChatArgs, FakeRecognizerArgs, FakeSynthesizerArgs
from deployments.tts import TextToSpeech

Run = Callable[[Any], Any]
Records = dict[str, list[tuple[float, dict[str, str]]]]

HELLO = (ChatMessage("user", "one two three four"),)
SECOND = Audio(np.ones(16_000, np.float32), 16_000)


@pytest.fixture
def records(monkeypatch: pytest.MonkeyPatch) -> Records:
    """Every recording by the metric's name, instead of Ray's."""
    told: Records = {}
    monkeypatch.setattr(
        Metric, "record", lambda self, value, **labels: told.setdefault(self.name, []).append((value, labels))
    )
    return told


async def exhaust(values: Any) -> None:
    async for _ in values:
        pass


@pytest.mark.parametrize("metric", ALL, ids=lambda metric: metric.name)
def test_names_say_whose_they_are_and_in_what_unit(metric: Metric) -> None:
    assert re.fullmatch(r"parley(_[a-z]+)+", metric.name)
    assert metric.name.rsplit("_", 1)[1] in {"seconds", "tokens", "requests", "refusals", "slots", "factor"}
    assert bool(metric.buckets) == (metric.kind == "histogram")
    assert metric.meaning.endswith(".")


def test_names_are_unique() -> None:
    assert len({metric.name for metric in ALL}) == len(ALL)


def test_an_answer_records_its_tokens_and_its_first_words_once(run: Run, records: Records) -> None:
    replica = ChatLLM.func_or_class(FakeChatArgs(first_s=0.02))
    run(exhaust(replica.chat(HELLO, ChatOptions())))
    assert records["parley_prompt_tokens"] == records["parley_completion_tokens"] == [(4, {})]
    assert records["parley_requests"] == [(1, {"outcome": "finished"})]
    (((first_s, _),), ((whole_s, _),)) = records["parley_first_token_seconds"], records["parley_request_seconds"]
    assert 0.02 <= first_s <= whole_s


def test_the_wait_is_counted_from_the_gateways_call(run: Run, records: Records) -> None:
    replica = ChatLLM.func_or_class(FakeChatArgs())
    run(exhaust(replica.chat(HELLO, ChatOptions(), time.time() - 3)))
    ((wait_s, _),) = records["parley_queue_wait_seconds"]
    assert 3 <= wait_s < 60


def test_a_clock_that_runs_ahead_gives_no_negative_wait(run: Run, records: Records) -> None:
    replica = ChatLLM.func_or_class(FakeChatArgs())
    run(exhaust(replica.chat(HELLO, ChatOptions(), time.time() + 60)))
    assert records["parley_queue_wait_seconds"] == [(0.0, {})]


def test_what_is_heard_has_a_real_time_factor(run: Run, records: Records) -> None:
    replica = SpeechToText.func_or_class(FakeRecognizerArgs(first_s=0.02))
    run(exhaust(replica.transcribe(SECOND, TranscribeOptions())))
    ((factor, _),) = records["parley_real_time_factor"]
    assert factor == pytest.approx(records["parley_request_seconds"][0][0])  # of one second of sound
    assert records["parley_audio_seconds"] == [(1.0, {})]


def test_what_is_spoken_has_a_first_sound_and_a_real_time_factor(run: Run, records: Records) -> None:
    replica = TextToSpeech.func_or_class(FakeSynthesizerArgs(word_s=0.25))
    run(exhaust(replica.speak("one two three four", SpeakOptions())))
    assert records["parley_audio_seconds"] == [(pytest.approx(1.0), {})]
    assert len(records["parley_first_audio_seconds"]) == len(records["parley_real_time_factor"]) == 1


def test_an_engine_that_fails_and_a_caller_who_leaves_are_told_apart(run: Run, records: Records) -> None:
    async def body() -> None:
        with pytest.raises(EngineUnavailable):
            await exhaust(ChatLLM.func_or_class(FakeChatArgs(fail_after=1)).chat(HELLO, ChatOptions()))
        async with aclosing(ChatLLM.func_or_class(FakeChatArgs()).chat(HELLO, ChatOptions())) as values:
            await anext(values)

    run(body())
    assert records["parley_requests"] == [(1, {"outcome": "failed"}), (1, {"outcome": "cancelled"})]
    assert "parley_completion_tokens" not in records


def test_the_load_is_that_at_the_beginnings_and_the_ends(run: Run, records: Records) -> None:
    replica = ChatLLM.func_or_class(FakeChatArgs(step_s=0.01))

    async def body() -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(3):
                group.create_task(exhaust(replica.chat(HELLO, ChatOptions())))
                await asyncio.sleep(0.001)  # the engine takes it up

    run(body())
    active = [value for value, _ in records["parley_engine_active_requests"]]
    assert len(active) == 6
    assert max(active) == 2  # the last of three found two others
    assert active[-1] == 0


def test_an_engine_without_a_cache_tells_of_none(records: Records) -> None:
    record_load(Load(active=1, waiting=0, slots=1))
    assert not [name for name in records if "cache" in name]
    record_load(Load(active=1, waiting=0, slots=1, cache_used=0, cache_size=512))
    assert records["parley_cache_used_tokens"] == [(0, {})]
    assert records["parley_cache_size_tokens"] == [(512, {})]
