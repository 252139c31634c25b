"""Readiness of the stages over fake handles."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from graphs.pipeline import shared as sharing
from graphs.pipeline.health import Health, Report
from graphs.pipeline.plan import Stage
from graphs.pipeline.stages import Handles, Pong

TIMEOUT_S = 10
STAGE_TIMEOUT_S = 30


class FakeHandles(Handles):
    """Handles whose pings have set results. ``pings`` are the stages pinged, with whether a new check was required."""

    def __init__(self, **pongs: Pong) -> None:
        super().__init__(dict.fromkeys(map(Stage, pongs)))  # type: ignore[arg-type]
        self.pongs = {Stage(name): pong for name, pong in pongs.items()}
        self.pings: list[tuple[Stage, bool]] = []

    def name(self, stage: Stage) -> str:
        return f"Deployment of {stage}"

    async def ping(self, stage: Stage, timeout_s: float, *, new_check: bool = False) -> Pong:
        assert timeout_s == TIMEOUT_S
        self.pings.append((stage, new_check))
        await asyncio.sleep(0)
        return self.pongs[stage]


def report(handles: FakeHandles) -> Report:
    return asyncio.run(Health(handles).report(TIMEOUT_S, STAGE_TIMEOUT_S))


def is_ready(pong: Pong, prepare: Callable[[Any], object] = lambda _: None) -> bool:
    handles = FakeHandles(asr=Pong(answered=True), llm=pong)
    prepare(handles.activity[Stage.LLM])
    unresponsive = report(handles).unresponsive
    assert unresponsive in ((), ("Deployment of llm",))
    return not unresponsive


@pytest.mark.parametrize(
    ("pong", "ready"), [(Pong(answered=True), True), (Pong(), False), (Pong(queue_full=True), True)]
)
def test_an_idle_stage_is_ready_if_it_answers_a_ping_or_has_a_full_queue(pong: Pong, ready: bool) -> None:
    assert is_ready(pong) is ready


def test_a_stage_that_answers_calls_is_ready_without_an_answer_to_the_ping() -> None:
    assert is_ready(Pong(), lambda activity: activity.record(answered=True))


def test_heartbeats_are_no_answer() -> None:
    assert not is_ready(Pong(), lambda activity: activity.record(answered=False))


def test_an_answer_of_long_ago_does_not_count() -> None:
    def answered(activity: Any) -> None:
        activity.record(answered=True)
        activity.answered_s -= TIMEOUT_S

    assert not is_ready(Pong(), answered)


def test_a_full_queue_without_an_answer_for_long_is_not_ready() -> None:
    def stuck(activity: Any) -> None:
        activity.begin()
        activity.busy_since_s -= STAGE_TIMEOUT_S

    assert not is_ready(Pong(queue_full=True), stuck)


def test_a_stalled_stage_becomes_ready_by_a_new_check() -> None:
    handles = FakeHandles(llm=Pong(answered=True))
    handles.activity[Stage.LLM].stalled = True
    assert report(handles).unresponsive == ()
    assert handles.pings == [(Stage.LLM, True)]
    assert not handles.activity[Stage.LLM].stalled


@pytest.mark.parametrize("pong", [Pong(), Pong(queue_full=True)])
def test_a_stalled_stage_without_an_answer_is_not_ready(pong: Pong) -> None:
    def stalled(activity: Any) -> None:
        activity.record(answered=True)
        activity.stalled = True

    assert not is_ready(pong, stalled)


def test_a_value_ends_a_stall() -> None:
    def stalled_and_answered(activity: Any) -> None:
        activity.stalled = True
        activity.record(answered=True)

    assert is_ready(Pong(), stalled_and_answered)


def test_reports_refusals_by_deployment() -> None:
    handles = FakeHandles(asr=Pong(answered=True), tts=Pong(answered=True, refusal="speed: too high"))
    assert report(handles) == Report((), {"Deployment of tts": "speed: too high"})


def test_concurrent_callers_share_one_check_which_is_cached(monkeypatch: pytest.MonkeyPatch) -> None:
    handles = FakeHandles(llm=Pong(answered=True))

    async def ask(times: int) -> None:
        await asyncio.gather(*(shared.report(TIMEOUT_S, STAGE_TIMEOUT_S) for _ in range(times)))

    async def twice() -> None:
        await ask(100)
        await ask(100)
        assert len(handles.pings) == 1
        monkeypatch.setattr(sharing, "CACHE_S", 0)
        await ask(1)

    shared = Health(handles)
    asyncio.run(twice())
    assert len(handles.pings) == 2


def test_a_caller_that_is_cancelled_does_not_cancel_the_check_of_the_others() -> None:
    handles = FakeHandles(llm=Pong(answered=True))

    async def cancel_the_first() -> Report:
        shared = Health(handles)
        first, second = (asyncio.create_task(shared.report(TIMEOUT_S, STAGE_TIMEOUT_S)) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        return await second

    assert asyncio.run(cancel_the_first()) == Report((), {})
