"""The stages over fake deployment handles: translation of errors, queue waits, and cancellation. Ray is not started."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Generator
from typing import Any

import numpy as np
import pytest
from grpc import RpcError  # type: ignore[import-untyped]
from ray.exceptions import ActorDiedError, ActorUnavailableError, RayTaskError
from ray.serve.exceptions import BackPressureError

from deployments.errors import ContextOverflow, EngineUnavailable, Overloaded, ParleyError
from deployments.messages import (
    Audio,
    ChatMessage,
    ChatOptions,
    Heartbeat,
    QueueWait,
    SpeakOptions,
    TextDelta,
    TranscribeOptions,
)
from graphs.pipeline.plan import Stage
from graphs.pipeline.stages import Handles, HandleStages, Pong

AUDIO = Audio(np.zeros(160, np.float32), 16_000)


class FakeCall:
    """A call to a replica: yields ``values``, then raises ``error`` or never ends."""

    def __init__(
        self,
        values: list[Any],
        error: Exception | None = None,
        *,
        hangs: bool = False,
        period_s: float = 0,
        result: Any = None,
    ) -> None:
        self.values = values
        self.error = error
        self.hangs = hangs
        self.period_s = period_s  # before each value
        self.result = result
        self.cancelled = False

    async def __aiter__(self) -> AsyncIterator[Any]:
        for value in self.values:
            await asyncio.sleep(self.period_s)
            yield value
        await self._end()

    def __await__(self) -> Generator[Any, None, Any]:
        return self._end().__await__()

    async def _end(self) -> Any:
        if self.hangs:
            await asyncio.Event().wait()
        if self.error:
            raise self.error
        return self.result

    def cancel(self) -> None:
        self.cancelled = True


class FakeHandle:
    """A deployment's handle; all calls of its methods are ``call``, and their names and arguments are recorded."""

    def __init__(self, call: FakeCall, name: str = "TextLLM") -> None:
        self.call = call
        self.deployment_name = name
        self.methods: list[str] = []
        self.arguments: tuple[Any, ...] = ()
        self.keywords: dict[str, Any] = {}

    def options(self, *, stream: bool) -> FakeHandle:
        assert stream
        return self

    def __getattr__(self, method: str) -> FakeHandle:
        self.methods.append(method)
        return self

    def remote(self, *arguments: Any, **keywords: Any) -> FakeCall:
        self.arguments = arguments
        self.keywords = keywords
        return self.call


def handles(**calls: FakeCall) -> Handles:
    return Handles({Stage(name): FakeHandle(call, name) for name, call in calls.items()})  # type: ignore[misc]


async def collect(stages: HandleStages, most: int = 100) -> list[Any]:
    """Return up to ``most`` values of a call to the LLM stage, then close it."""
    found = []
    values = stages.chat(Stage.LLM, [], ChatOptions())
    async for value in values:
        found.append(value)
        if len(found) == most:
            break
    await values.aclose()
    return found


def stages_of(handles: Handles, stage_timeout_s: float = 30) -> HandleStages:
    return HandleStages(handles, retry_after_s=2, stage_timeout_s=stage_timeout_s)


def chat(call: FakeCall, most: int = 100) -> list[Any]:
    return asyncio.run(collect(stages_of(handles(llm=call)), most))


def task_error(cause: Exception) -> RayTaskError:
    return RayTaskError("chat", "traceback", cause).as_instanceof_cause()


ERRORS: list[tuple[Exception, type[ParleyError], float | None]] = [
    (task_error(ContextOverflow("too long", param="text")), ContextOverflow, None),
    (task_error(RuntimeError("a bug")), EngineUnavailable, 2),
    (BackPressureError(3, 2), Overloaded, 2),
    (BackPressureError(3, 2, retry_after_s=7), Overloaded, 7),
    (ActorDiedError(), EngineUnavailable, 2),
    (ActorUnavailableError("gone", None), EngineUnavailable, 2),
    (RpcError("reset"), EngineUnavailable, 2),
]


@pytest.mark.parametrize(("error", "kind", "retry_after_s"), ERRORS, ids=lambda e: type(e).__name__)
def test_translates_rays_errors(error: Exception, kind: type[ParleyError], retry_after_s: float | None) -> None:
    with pytest.raises(ParleyError) as caught:
        chat(FakeCall([], error))
    assert type(caught.value) is kind
    assert caught.value.retry_after_s == retry_after_s


def test_keeps_the_message_and_the_field_of_an_engines_error() -> None:
    with pytest.raises(ContextOverflow, match=r"^too long$") as caught:
        chat(FakeCall([], task_error(ContextOverflow("too long", param="text"))))
    assert caught.value.param == "text"


def test_yields_the_values_and_does_not_cancel_a_call_that_has_ended() -> None:
    call = FakeCall([TextDelta("a"), TextDelta("b")])
    assert chat(call) == [TextDelta("a"), TextDelta("b")]
    assert not call.cancelled


def test_closing_a_stage_cancels_the_call() -> None:
    call = FakeCall([TextDelta("a"), TextDelta("b")])
    chat(call, most=1)
    assert call.cancelled


def test_cancelling_a_task_that_waits_for_a_value_cancels_the_call() -> None:
    call = FakeCall([], hangs=True)

    async def cancel() -> None:
        waiting = asyncio.create_task(collect(stages_of(handles(llm=call))))
        await asyncio.sleep(0.01)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

    asyncio.run(cancel())
    assert call.cancelled


def test_sums_the_queue_waits_of_each_stage_and_does_not_yield_them() -> None:
    call = FakeCall([QueueWait(0.25), TextDelta("a")])
    stages = stages_of(handles(llm=call, asr=FakeCall([])))
    for _ in range(2):
        assert asyncio.run(collect(stages)) == [TextDelta("a")]
    assert stages.queued_s == {Stage.LLM: 0.5}


@pytest.mark.parametrize(
    ("stage", "method", "call", "arguments"),
    [
        (Stage.ASR, "transcribe", lambda s, _: s.transcribe(AUDIO, TranscribeOptions()), (AUDIO, TranscribeOptions())),
        *(
            (
                stage,
                "chat",
                lambda s, stage: s.chat(stage, [ChatMessage("user", "hi")], ChatOptions()),
                ((ChatMessage("user", "hi"),), ChatOptions()),
            )
            for stage in (Stage.LLM, Stage.VISION)
        ),
        (Stage.TTS, "speak", lambda s, _: s.speak("Hi.", SpeakOptions()), ("Hi.", SpeakOptions())),
    ],
    ids=["asr", "llm", "vision", "tts"],
)
def test_each_stage_calls_its_deployment_with_the_time_and_the_period_of_heartbeats(
    stage: Stage, method: str, call: Any, arguments: tuple[Any, ...]
) -> None:
    handle = FakeHandle(FakeCall([]))

    async def exhaust(values: AsyncGenerator[Any, None]) -> None:
        async for _ in values:
            pass

    before = time.time()
    asyncio.run(exhaust(call(stages_of(Handles({stage: handle})), stage)))  # type: ignore[dict-item]
    assert handle.methods == [method]
    assert handle.arguments == arguments
    assert handle.keywords.keys() == {"called_at", "heartbeat_s"}
    assert handle.keywords["heartbeat_s"] == 10
    assert before <= handle.keywords["called_at"] <= time.time()


# --- replicas that hang -----------------------------------------------------------------------------------------------

HANGING = [
    FakeCall([], hangs=True),
    FakeCall([QueueWait(0.0)], hangs=True),
    FakeCall([QueueWait(0.0), TextDelta("a")], hangs=True),
    FakeCall([Heartbeat()], hangs=True),
]


@pytest.mark.parametrize("call", HANGING, ids=["at once", "after the queue", "after a value", "after a heartbeat"])
def test_a_silent_replica_is_a_503_within_the_time_limit_and_its_call_is_cancelled(call: FakeCall) -> None:
    all_handles = handles(llm=call)
    started_s = time.monotonic()
    with pytest.raises(EngineUnavailable, match=r"The llm stage has sent nothing for 0\.1 s") as caught:
        asyncio.run(collect(stages_of(all_handles, stage_timeout_s=0.1)))
    assert 0.1 <= time.monotonic() - started_s < 1
    assert caught.value.retry_after_s == 2
    assert call.cancelled
    assert all_handles.activity[Stage.LLM].stalled


def test_heartbeats_keep_a_slow_call_and_are_not_yielded() -> None:
    call = FakeCall([QueueWait(0.0), *[Heartbeat()] * 4, TextDelta("a")], period_s=0.05)
    assert asyncio.run(collect(stages_of(handles(llm=call), stage_timeout_s=0.15))) == [TextDelta("a")]
    assert not call.cancelled


def test_a_call_in_the_queue_waits_while_its_stage_answers_other_calls() -> None:
    """Before its first value a call may wait for a free replica."""
    all_handles = handles(llm=FakeCall([TextDelta("a")], period_s=0.4))

    async def with_other_calls() -> list[Any]:
        waiting = asyncio.create_task(collect(stages_of(all_handles, stage_timeout_s=0.15)))
        while not waiting.done():
            await asyncio.sleep(0.05)
            all_handles.activity[Stage.LLM].record(answered=True)
        return waiting.result()

    assert asyncio.run(with_other_calls()) == [TextDelta("a")]


def test_a_slow_consumer_is_no_stall() -> None:
    async def slowly() -> list[Any]:
        found = []
        async for value in stages_of(handles(llm=call), stage_timeout_s=0.05).chat(Stage.LLM, [], ChatOptions()):
            found.append(value)
            await asyncio.sleep(0.1)
        return found

    call = FakeCall([TextDelta("a"), TextDelta("b")])
    assert asyncio.run(slowly()) == [TextDelta("a"), TextDelta("b")]


def test_a_timeout_error_of_the_engine_is_no_stall() -> None:
    all_handles = handles(llm=FakeCall([], task_error(TimeoutError("of the engine"))))
    with pytest.raises(EngineUnavailable, match="failed before its answer was complete"):
        asyncio.run(collect(stages_of(all_handles)))
    assert not all_handles.activity[Stage.LLM].stalled


# --- pings ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (FakeCall([]), Pong(answered=True)),
        (FakeCall([], result="refused: speed"), Pong(answered=True, refusal="refused: speed")),
        (FakeCall([], BackPressureError(3, 2)), Pong(queue_full=True)),
        (FakeCall([], ActorDiedError()), Pong()),
        (FakeCall([], task_error(EngineUnavailable("hangs"))), Pong()),
        (FakeCall([], hangs=True), Pong()),
    ],
    ids=["answers", "refused", "full queue", "dead", "engine fails", "hangs"],
)
def test_a_ping_has_the_state_of_the_deployment(call: FakeCall, expected: Pong) -> None:
    assert asyncio.run(handles(llm=call).ping(Stage.LLM, 0.02)) == expected


@pytest.mark.parametrize(
    ("call", "voices"),
    [
        (FakeCall([], result=("a", "b")), ("a", "b")),
        (FakeCall([], hangs=True), ()),
        (FakeCall([], ActorDiedError()), ()),
        (FakeCall([], BackPressureError(3, 2)), ()),
    ],
)
def test_the_voices_are_those_of_the_voice_model_or_none_without_an_answer(
    call: FakeCall, voices: tuple[str, ...]
) -> None:
    assert asyncio.run(handles(tts=call).voices(timeout_s=0.05)) == voices


def test_many_questions_for_the_voices_are_one_call() -> None:
    handle = FakeHandle(FakeCall([], result=("a",)))
    asked = Handles({Stage.TTS: handle})  # type: ignore[dict-item]

    async def ask() -> None:
        for _ in range(2):
            assert await asyncio.gather(*(asked.voices(timeout_s=1) for _ in range(100))) == [("a",)] * 100

    asyncio.run(ask())
    assert handle.methods == ["voices"]


def test_a_ping_may_require_a_new_check() -> None:
    handle = FakeHandle(FakeCall([]))
    pinged = Handles({Stage.LLM: handle})  # type: ignore[dict-item]
    asyncio.run(pinged.ping(Stage.LLM, 0.02))
    assert handle.arguments == ()
    asyncio.run(pinged.ping(Stage.LLM, 0.02, new_check=True))
    assert handle.arguments == (0.0,)
