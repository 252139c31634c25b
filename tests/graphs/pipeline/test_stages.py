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
    QueueWait,
    SpeakOptions,
    TextDelta,
    TranscribeOptions,
)
from graphs.pipeline.plan import Stage
from graphs.pipeline.stages import Handles, HandleStages

AUDIO = Audio(np.zeros(160, np.float32), 16_000)


class FakeCall:
    """A call to a replica: yields ``values``, then raises ``error`` or never ends."""

    def __init__(self, values: list[Any], error: Exception | None = None, *, hangs: bool = False) -> None:
        self.values = values
        self.error = error
        self.hangs = hangs
        self.cancelled = False

    async def __aiter__(self) -> AsyncIterator[Any]:
        for value in self.values:
            yield value
        await self._end()

    def __await__(self) -> Generator[Any, None, None]:
        return self._end().__await__()

    async def _end(self) -> None:
        if self.hangs:
            await asyncio.Event().wait()
        if self.error:
            raise self.error

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


def chat(call: FakeCall, most: int = 100) -> list[Any]:
    return asyncio.run(collect(HandleStages(handles(llm=call), retry_after_s=2), most))


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
        waiting = asyncio.create_task(collect(HandleStages(handles(llm=call), retry_after_s=2)))
        await asyncio.sleep(0.01)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

    asyncio.run(cancel())
    assert call.cancelled


def test_sums_the_queue_waits_of_each_stage_and_does_not_yield_them() -> None:
    call = FakeCall([QueueWait(0.25), TextDelta("a")])
    stages = HandleStages(handles(llm=call, asr=FakeCall([])), retry_after_s=2)
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
def test_each_stage_calls_its_deployment_with_the_time_of_the_call(
    stage: Stage, method: str, call: Any, arguments: tuple[Any, ...]
) -> None:
    handle = FakeHandle(FakeCall([]))

    async def exhaust(values: AsyncGenerator[Any, None]) -> None:
        async for _ in values:
            pass

    before = time.time()
    asyncio.run(exhaust(call(HandleStages(Handles({stage: handle}), retry_after_s=2), stage)))  # type: ignore[dict-item]
    assert handle.methods == [method]
    assert handle.arguments == arguments
    assert handle.keywords.keys() == {"called_at"}
    assert before <= handle.keywords["called_at"] <= time.time()


@pytest.mark.parametrize(
    ("call", "unresponsive"),
    [
        (FakeCall([]), []),
        (FakeCall([], BackPressureError(3, 2)), []),  # a full queue counts as an answer
        (FakeCall([], ActorDiedError()), ["llm"]),
        (FakeCall([], hangs=True), ["llm"]),
    ],
    ids=["answers", "full queue", "dead", "hangs"],
)
def test_names_the_deployments_that_do_not_answer(call: FakeCall, unresponsive: list[str]) -> None:
    assert asyncio.run(handles(llm=call).unresponsive(0.02)) == unresponsive
    assert asyncio.run(handles(asr=FakeCall([]), llm=call).unresponsive(0.02)) == unresponsive
