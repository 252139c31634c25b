"""What Ray Serve says becomes one of our errors, and leaving a stage cancels the call behind it. No Ray is started."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Generator
from typing import Any

import pytest
from grpc import RpcError  # type: ignore[import-untyped]
from ray.exceptions import ActorDiedError, ActorUnavailableError, RayTaskError
from ray.serve.exceptions import BackPressureError

from deployments.errors import ContextOverflow, EngineUnavailable, Overloaded, ParleyError
from deployments.messages import ChatOptions, TextDelta
from graphs.pipeline.plan import Stage
from graphs.pipeline.stages import HandleStages


class Call:
    """A call to a replica: yields ``values``, then raises ``error`` or waits forever."""

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


class Handle:
    """Stands for a deployment's handle; every method of it is the one call."""

    def __init__(self, call: Call, name: str = "TextLLM") -> None:
        self.call = call
        self.deployment_name = name

    def options(self, *, stream: bool) -> Handle:
        assert stream
        return self

    def __getattr__(self, method: str) -> Handle:
        return self

    def remote(self, *arguments: Any) -> Call:
        return self.call


def stages(call: Call) -> HandleStages:
    return HandleStages({Stage.LLM: Handle(call)}, retry_after_s=2)  # type: ignore[dict-item]


async def listen(call: Call, most: int = 100) -> list[Any]:
    heard = []
    values = stages(call).chat(Stage.LLM, [], ChatOptions())
    async for value in values:
        heard.append(value)
        if len(heard) == most:
            break
    await values.aclose()
    return heard


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
def test_an_error_of_ray_becomes_one_of_ours(
    error: Exception, kind: type[ParleyError], retry_after_s: float | None
) -> None:
    with pytest.raises(ParleyError) as caught:
        asyncio.run(listen(Call([], error)))
    assert type(caught.value) is kind
    assert caught.value.retry_after_s == retry_after_s


def test_the_message_and_the_field_of_an_engine_are_kept() -> None:
    with pytest.raises(ContextOverflow, match=r"^too long$") as caught:
        asyncio.run(listen(Call([], task_error(ContextOverflow("too long", param="text")))))
    assert caught.value.param == "text"


def test_values_come_through_and_a_call_that_ended_is_left_alone() -> None:
    call = Call([TextDelta("a"), TextDelta("b")])
    assert asyncio.run(listen(call)) == [TextDelta("a"), TextDelta("b")]
    assert not call.cancelled


def test_closing_a_stage_cancels_the_call() -> None:
    call = Call([TextDelta("a"), TextDelta("b")])
    asyncio.run(listen(call, most=1))
    assert call.cancelled


def test_cancelling_a_task_that_waits_cancels_the_call() -> None:
    call = Call([], hangs=True)

    async def cancel() -> None:
        waiting = asyncio.create_task(listen(call))
        await asyncio.sleep(0.01)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

    asyncio.run(cancel())
    assert call.cancelled


@pytest.mark.parametrize(
    ("call", "silent"),
    [
        (Call([]), []),
        (Call([], BackPressureError(3, 2)), []),  # busy is alive
        (Call([], ActorDiedError()), ["TextLLM"]),
        (Call([], hangs=True), ["TextLLM"]),
    ],
    ids=["answers", "busy", "dead", "hangs"],
)
def test_who_does_not_answer(call: Call, silent: list[str]) -> None:
    assert asyncio.run(stages(call).silent(0.02)) == silent
