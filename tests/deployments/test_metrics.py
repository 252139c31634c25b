"""What a replica records for a request. tests/serve/test_metrics_endpoint.py tests that Prometheus receives it."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import numpy as np
import pytest

from deployments import metrics
from deployments.asr import SpeechToText
from deployments.engines.fake.settings import FakeChatArgs, FakeRecognizerArgs, FakeSynthesizerArgs
from deployments.errors import EngineUnavailable
from deployments.llm import ChatLLM
from deployments.messages import Audio, ChatMessage, ChatOptions, Load, SpeakOptions, TranscribeOptions
from deployments.metrics import Metric, record_load
from deployments.tts import TextToSpeech

Run = Callable[[Any], Any]
ALL = [value for value in vars(metrics).values() if isinstance(value, Metric)]
Records = dict[str, list[tuple[float, dict[str, str]]]]

HELLO = (ChatMessage("user", "one two three four"),)
SECOND = Audio(np.ones(16_000, np.float32), 16_000)


async def exhaust(values: Any) -> None:
    async for _ in values:
        pass


@pytest.mark.parametrize("metric", ALL, ids=lambda metric: metric.name)
def test_a_name_has_the_prefix_parley_and_ends_with_the_unit(metric: Metric) -> None:
    assert re.fullmatch(r"parley(_[a-z]+)+", metric.name)
    assert metric.name.rsplit("_", 1)[1] in {"seconds", "tokens", "requests", "refusals", "slots", "factor"}
    assert bool(metric.buckets) == (metric.kind == "histogram")
    assert metric.meaning.endswith(".")


def test_names_are_unique() -> None:
    assert len({metric.name for metric in ALL}) == len(ALL)


def test_an_answer_records_its_tokens_and_the_time_to_its_first_delta_once(run: Run, records: Records) -> None:
    replica = ChatLLM.func_or_class(FakeChatArgs(first_s=0.02))
    run(exhaust(replica.chat(HELLO, ChatOptions())))
    assert records["parley_prompt_tokens"] == records["parley_completion_tokens"] == [(4, {})]
    assert records["parley_requests"] == [(1, {"outcome": "finished"})]
    (((first_s, _),), ((whole_s, _),)) = records["parley_first_token_seconds"], records["parley_request_seconds"]
    assert 0.02 <= first_s <= whole_s


def test_the_queue_wait_starts_at_the_gateways_call(run: Run, records: Records) -> None:
    replica = ChatLLM.func_or_class(FakeChatArgs())
    run(exhaust(replica.chat(HELLO, ChatOptions(), called_at=time.time() - 3)))
    ((wait_s, _),) = records["parley_queue_wait_seconds"]
    assert 3 <= wait_s < 60


def test_a_call_time_in_the_future_is_a_queue_wait_of_zero(run: Run, records: Records) -> None:
    replica = ChatLLM.func_or_class(FakeChatArgs())
    run(exhaust(replica.chat(HELLO, ChatOptions(), called_at=time.time() + 60)))
    assert records["parley_queue_wait_seconds"] == [(0.0, {})]


def test_a_transcription_records_its_real_time_factor(run: Run, records: Records) -> None:
    replica = SpeechToText.func_or_class(FakeRecognizerArgs(first_s=0.02))
    run(exhaust(replica.transcribe(SECOND, TranscribeOptions())))
    ((factor, _),) = records["parley_real_time_factor"]
    assert factor == pytest.approx(records["parley_request_seconds"][0][0])  # the audio lasts one second
    assert records["parley_audio_seconds"] == [(1.0, {})]


def test_a_synthesis_records_the_time_to_its_first_audio_and_its_real_time_factor(run: Run, records: Records) -> None:
    replica = TextToSpeech.func_or_class(FakeSynthesizerArgs(word_s=0.25))
    replica.reconfigure({"pause_s": 0})
    run(exhaust(replica.speak("one two three four", SpeakOptions())))
    assert records["parley_audio_seconds"] == [(pytest.approx(1.0), {})]
    assert len(records["parley_first_audio_seconds"]) == len(records["parley_real_time_factor"]) == 1


def test_a_failed_and_a_cancelled_request_have_different_outcomes(run: Run, records: Records) -> None:
    async def body() -> None:
        with pytest.raises(EngineUnavailable):
            await exhaust(ChatLLM.func_or_class(FakeChatArgs(fail_after=1)).chat(HELLO, ChatOptions()))
        async with aclosing(ChatLLM.func_or_class(FakeChatArgs()).chat(HELLO, ChatOptions())) as values:
            await anext(values)

    run(body())
    assert records["parley_requests"] == [(1, {"outcome": "failed"}), (1, {"outcome": "cancelled"})]
    assert "parley_completion_tokens" not in records


def test_the_load_is_recorded_at_the_start_and_the_end_of_each_request(run: Run, records: Records) -> None:
    replica = ChatLLM.func_or_class(FakeChatArgs(step_s=0.01))

    async def body() -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(3):
                group.create_task(exhaust(replica.chat(HELLO, ChatOptions())))
                await asyncio.sleep(0.001)  # the engine starts the request

    run(body())
    active = [value for value, _ in records["parley_engine_active_requests"]]
    assert len(active) == 6
    assert max(active) == 2  # at the start of the third request
    assert active[-1] == 0


def test_an_engine_without_a_cache_records_no_cache(records: Records) -> None:
    record_load(Load(active=1, waiting=0, slots=1))
    assert not [name for name in records if "cache" in name]
    record_load(Load(active=1, waiting=0, slots=1, cache_used=0, cache_size=512))
    assert records["parley_cache_used_tokens"] == [(0, {})]
    assert records["parley_cache_size_tokens"] == [(512, {})]
