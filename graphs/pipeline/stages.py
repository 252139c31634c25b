"""The stages as async generators over deployment handles.

Every failure of a call becomes one of ``deployments.errors``. Closing a generator cancels the call, and the replica
stops working on it. The order of stages is decided by ``plan`` and executed by ``run``.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from grpc import RpcError  # type: ignore[import-untyped]
from ray.exceptions import RayError, RayTaskError
from ray.serve.exceptions import BackPressureError, RayServeException
from ray.serve.handle import DeploymentHandle

from deployments.errors import EngineUnavailable, Overloaded, ParleyError
from deployments.messages import (
    Audio,
    ChatEnd,
    ChatMessage,
    ChatOptions,
    QueueWait,
    Segment,
    SpeakOptions,
    TextDelta,
    TranscribeOptions,
)
from graphs.pipeline.plan import Stage

FAILURES = (RayError, RayServeException, RpcError)  # of a call over Ray's object store or over gRPC

logger = logging.getLogger("ray.serve")


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
    ) -> AsyncGenerator[TextDelta | ChatEnd, None]:
        """Yield the next message of a conversation from the model of ``stage`` (LLM or VISION)."""
        ...

    def speak(self, sentence: str, options: SpeakOptions) -> AsyncGenerator[Audio, None]:
        """Yield the audio of a sentence."""
        ...


class Handles:
    """The deployment handles of the stages."""

    def __init__(self, handles: Mapping[Stage, DeploymentHandle]) -> None:
        self._handles = handles
        self._methods: dict[tuple[Stage, str], DeploymentHandle] = {}

    @property
    def names(self) -> list[str]:
        """The names of the deployments."""
        return [handle.deployment_name for handle in self._handles.values()]

    def method(self, stage: Stage, name: str) -> DeploymentHandle:
        """Return a streaming method of a stage. Cached: creating one takes Ray a millisecond."""
        if (stage, name) not in self._methods:
            self._methods[stage, name] = getattr(self._handles[stage].options(stream=True), name)
        return self._methods[stage, name]

    async def unresponsive(self, timeout_s: float) -> list[str]:
        """Return the names of the deployments that do not answer in time. A full queue counts as an answer."""
        answers = await asyncio.gather(*(_answers(handle, timeout_s) for handle in self._handles.values()))
        return [name for name, answered in zip(self.names, answers, strict=True) if not answered]


@dataclass(frozen=True, slots=True)
class HandleStages:
    """The stages behind deployment handles, for one run. ``retry_after_s`` is the advice in errors."""

    handles: Handles
    retry_after_s: float
    queued_s: dict[Stage, float] = field(default_factory=lambda: defaultdict(float))

    def transcribe(self, audio: Audio, options: TranscribeOptions) -> AsyncGenerator[Segment, None]:
        return self._call(Stage.ASR, "transcribe", audio, options)

    def chat(
        self, stage: Stage, messages: Sequence[ChatMessage], options: ChatOptions
    ) -> AsyncGenerator[TextDelta | ChatEnd, None]:
        return self._call(stage, "chat", tuple(messages), options)

    def speak(self, sentence: str, options: SpeakOptions) -> AsyncGenerator[Audio, None]:
        return self._call(Stage.TTS, "speak", sentence, options)

    async def _call(self, stage: Stage, method: str, *arguments: Any) -> AsyncGenerator[Any, None]:
        """Yield the values of a call, consuming ``QueueWait``."""
        try:
            response = self.handles.method(stage, method).remote(*arguments, called_at=time.time())
            try:
                async for value in response:
                    if isinstance(value, QueueWait):
                        self.queued_s[stage] += value.seconds
                    else:
                        yield value
            except BaseException:  # closed, cancelled or failed: the replica stops
                response.cancel()
                raise
        except FAILURES as error:
            raise translated(stage, error, self.retry_after_s) from error


async def _answers(handle: DeploymentHandle, timeout_s: float) -> bool:
    response = handle.ping.remote()
    try:
        async with asyncio.timeout(timeout_s):
            await response
    except BackPressureError:
        return True
    except (TimeoutError, *FAILURES):
        response.cancel()
        return False
    return True


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
