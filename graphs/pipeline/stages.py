"""The stages as async generators over deployment handles.

Every failure of a call becomes one of ``deployments.errors``. Closing a generator cancels the call, and the replica
stops working on it. The order of stages is decided by ``plan`` and executed by ``run``.

A replica sends a ``Heartbeat`` while a value takes long, so a call without either has a replica that hangs: the call is
cancelled after ``stage_timeout_s``. Before its first value a call may wait for a replica; then the limit applies to the
silence of all replicas of the stage.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Protocol

from grpc import RpcError  # type: ignore[import-untyped]
from ray.exceptions import RayError, RayTaskError
from ray.serve.exceptions import BackPressureError, RayServeException
from ray.serve.handle import DeploymentHandle

from deployments.errors import EngineUnavailable, Overloaded, ParleyError
from deployments.messages import (
    Audio,
    ChatMessage,
    ChatOptions,
    ChatValue,
    Heartbeat,
    Omitted,
    QueueWait,
    Segment,
    SpeakOptions,
    TranscribeOptions,
)
from graphs.pipeline.activity import Activity
from graphs.pipeline.plan import Stage
from graphs.pipeline.shared import Shared

HEARTBEATS = 3  # that a replica sends within stage_timeout_s
FAILURES = (RayError, RayServeException, RpcError)  # of a call over Ray's object store or over gRPC

logger = logging.getLogger("ray.serve")

_END = object()


class Stages(Protocol):
    """The calls of one run to its stages. Closing a generator stops the work behind it."""

    @property
    def queued_s(self) -> Mapping[Stage, float]:
        """Seconds that the calls of each stage waited for a replica so far."""

    def transcribe(self, audio: Audio, options: TranscribeOptions) -> AsyncGenerator[Segment, None]:
        """Yield the segments of speech; none when there is no speech."""
        ...

    def chat(
        self, stage: Stage, messages: Sequence[ChatMessage], options: ChatOptions
    ) -> AsyncGenerator[ChatValue, None]:
        """Yield the next message of a conversation from the model of ``stage`` (LLM or VISION)."""
        ...

    def speak(self, sentence: str, options: SpeakOptions) -> AsyncGenerator[Omitted | Audio, None]:
        """Yield what is left out of a sentence, if anything is, and its audio."""
        ...


@dataclass(frozen=True, slots=True)
class Pong:
    """The result of a ping. ``refusal`` is why the replica refused its last ``user_config``."""

    answered: bool = False
    queue_full: bool = False
    refusal: str | None = None


class Handles:
    """The deployment handles of the stages, and the activity of their calls."""

    def __init__(self, handles: Mapping[Stage, DeploymentHandle]) -> None:
        self._handles = handles
        self._methods: dict[tuple[Stage, str], DeploymentHandle] = {}
        self._voices = Shared[tuple[str, ...]]()
        self.activity = {stage: Activity() for stage in handles}

    def __iter__(self) -> Iterator[Stage]:
        return iter(self._handles)

    def name(self, stage: Stage) -> str:
        """Return the name of a stage's deployment."""
        return str(self._handles[stage].deployment_name)

    def method(self, stage: Stage, name: str) -> DeploymentHandle:
        """Return a streaming method of a stage. Cached: creating one takes Ray a millisecond."""
        if (stage, name) not in self._methods:
            self._methods[stage, name] = getattr(self._handles[stage].options(stream=True), name)
        return self._methods[stage, name]

    async def ping(self, stage: Stage, timeout_s: float, *, new_check: bool = False) -> Pong:
        """Ping one replica of a stage; with ``new_check`` its earlier checks do not count."""
        response = self._handles[stage].ping.remote(*((0.0,) if new_check else ()))
        try:
            async with asyncio.timeout(timeout_s):
                return Pong(answered=True, refusal=await response)
        except BackPressureError:
            return Pong(queue_full=True)
        except (TimeoutError, *FAILURES):
            response.cancel()
            return Pong()

    async def voices(self, timeout_s: float) -> tuple[str, ...]:
        """Return the names of the voices; empty if there is only one, or no answer within ``timeout_s``.

        All callers share a result, as these calls count in no limit of requests.
        """
        return await self._voices.get(lambda: self._named_voices(timeout_s))

    async def _named_voices(self, timeout_s: float) -> tuple[str, ...]:
        response = self._handles[Stage.TTS].voices.remote()
        try:
            async with asyncio.timeout(timeout_s):
                return tuple(await response)
        except (TimeoutError, BackPressureError, *FAILURES):
            response.cancel()
            return ()


@dataclass(frozen=True, slots=True)
class HandleStages:
    """The stages behind deployment handles, for one run. ``retry_after_s`` is the advice in errors."""

    handles: Handles
    retry_after_s: float
    stage_timeout_s: float
    queued_s: dict[Stage, float] = field(default_factory=lambda: defaultdict(float))

    def transcribe(self, audio: Audio, options: TranscribeOptions) -> AsyncGenerator[Segment, None]:
        return self._call(Stage.ASR, "transcribe", audio, options)

    def chat(
        self, stage: Stage, messages: Sequence[ChatMessage], options: ChatOptions
    ) -> AsyncGenerator[ChatValue, None]:
        return self._call(stage, "chat", tuple(messages), options)

    def speak(self, sentence: str, options: SpeakOptions) -> AsyncGenerator[Omitted | Audio, None]:
        return self._call(Stage.TTS, "speak", sentence, options)

    async def _call(self, stage: Stage, method: str, *arguments: Any) -> AsyncGenerator[Any, None]:
        """Yield the values of a call, consuming ``QueueWait`` and heartbeats."""
        activity = self.handles.activity[stage]
        activity.begin()
        try:
            response = self.handles.method(stage, method).remote(
                *arguments, called_at=time.time(), heartbeat_s=self.stage_timeout_s / HEARTBEATS
            )
            try:
                async with aclosing(self._values(stage, aiter(response))) as values:
                    async for value in values:
                        activity.record(answered=not isinstance(value, QueueWait | Heartbeat))
                        if isinstance(value, QueueWait):
                            self.queued_s[stage] += value.seconds
                        elif not isinstance(value, Heartbeat):
                            yield value
            except BaseException:  # closed, cancelled or failed: the replica stops
                response.cancel()
                raise
        except FAILURES as error:
            raise translated(stage, error, self.retry_after_s) from error
        finally:
            activity.end()

    async def _values(self, stage: Stage, values: AsyncIterator[Any]) -> AsyncGenerator[Any, None]:
        """Yield the values of a call. Raise ``EngineUnavailable`` if its replica hangs."""
        value = await self._first(stage, values)
        while value is not _END:
            yield value
            try:
                async with asyncio.timeout(self.stage_timeout_s) as timer:
                    value = await anext(values, _END)
            except TimeoutError:
                if not timer.expired():
                    raise
                raise self._stalled(stage) from None

    async def _first(self, stage: Stage, values: AsyncIterator[Any]) -> Any:
        """Return the first value, or ``_END``."""
        started_s = time.monotonic()
        first = asyncio.ensure_future(anext(values, _END))
        try:
            while not first.done():
                silent_s = time.monotonic() - max(started_s, self.handles.activity[stage].last_message_s)
                if silent_s >= self.stage_timeout_s:
                    raise self._stalled(stage)
                await asyncio.wait([first], timeout=self.stage_timeout_s - silent_s)
            return first.result()
        finally:
            first.cancel()

    def _stalled(self, stage: Stage) -> EngineUnavailable:
        self.handles.activity[stage].stalled = True
        logger.error("the %s stage has sent nothing for %g s", stage, self.stage_timeout_s)
        return EngineUnavailable(
            f"The {stage} stage has sent nothing for {self.stage_timeout_s:g} s. If its replica hangs, it is replaced; "
            "try again soon.",
            retry_after_s=self.retry_after_s,
        )


def translated(stage: Stage, error: Exception, retry_after_s: float) -> ParleyError:
    """Return the error of ``deployments.errors`` for an exception that Ray raises from a call."""
    if isinstance(error, RayTaskError) and isinstance(error.cause, ParleyError):
        return error.cause
    if isinstance(error, BackPressureError):
        return Overloaded(
            f"The queue of the {stage} stage is full. Try again in a moment.",
            retry_after_s=error.retry_after_s or retry_after_s,
        )
    logger.error("the %s stage failed", stage, exc_info=error)
    return EngineUnavailable(
        f"The {stage} stage failed before its answer was complete. Its replica is being replaced; try again soon.",
        retry_after_s=retry_after_s,
    )
