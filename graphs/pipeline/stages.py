"""One async generator per stage, over a deployment handle.

What goes wrong on the way to a replica or on it comes out as one of ``deployments.errors``. Closing a generator
cancels the call, so that the replica stops too. It knows nothing of order or of tasks: that is ``run``.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Sequence
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
    Segment,
    SpeakOptions,
    Taken,
    TextDelta,
    TranscribeOptions,
)
from graphs.pipeline.plan import Stage

FAILURES = (RayError, RayServeException, RpcError)  # what Ray says of a call, over either of its transports

logger = logging.getLogger("ray.serve")


class Stages(Protocol):
    """What ``run`` calls. Each generator may be closed at any time; then the work behind it stops.

    Behind a queue, its first value tells how long the call waited there.
    """

    def transcribe(self, audio: Audio, options: TranscribeOptions) -> AsyncGenerator[Taken | Segment, None]:
        """Speech to segments of text; none when nobody speaks."""
        ...

    def chat(
        self, stage: Stage, messages: Sequence[ChatMessage], options: ChatOptions
    ) -> AsyncGenerator[Taken | TextDelta | ChatEnd, None]:
        """A conversation to its next message, by the model of ``stage`` (LLM or VISION)."""
        ...

    def speak(self, text: str, options: SpeakOptions) -> AsyncGenerator[Taken | Audio, None]:
        """A sentence to chunks of sound."""
        ...


@dataclass(frozen=True, slots=True)
class HandleStages:
    """The stages behind Ray Serve handles."""

    handles: dict[Stage, DeploymentHandle]
    retry_after_s: float
    _methods: dict[tuple[Stage, str], DeploymentHandle] = field(default_factory=dict, init=False)

    def transcribe(self, audio: Audio, options: TranscribeOptions) -> AsyncGenerator[Taken | Segment, None]:
        return self._call(Stage.ASR, "transcribe", audio, options)

    def chat(
        self, stage: Stage, messages: Sequence[ChatMessage], options: ChatOptions
    ) -> AsyncGenerator[Taken | TextDelta | ChatEnd, None]:
        return self._call(stage, "chat", tuple(messages), options)

    def speak(self, text: str, options: SpeakOptions) -> AsyncGenerator[Taken | Audio, None]:
        return self._call(Stage.TTS, "speak", text, options)

    @property
    def names(self) -> list[str]:
        """The names of the deployments."""
        return [handle.deployment_name for handle in self.handles.values()]

    async def silent(self, timeout_s: float) -> list[str]:
        """The names of those deployments that do not answer within ``timeout_s``; a full queue is an answer."""
        answers = await asyncio.gather(*(_answers(handle, timeout_s) for handle in self.handles.values()))
        return [name for name, answered in zip(self.names, answers, strict=True) if not answered]

    def _method(self, stage: Stage, name: str) -> DeploymentHandle:
        """The method of a stage, to be called for a stream. Kept, because Ray takes a while to make one."""
        method = self._methods.get((stage, name))
        if method is None:
            method = self._methods[stage, name] = getattr(self.handles[stage].options(stream=True), name)
        return method

    async def _call(self, stage: Stage, method: str, *arguments: Any) -> AsyncGenerator[Any, None]:
        try:
            called_at = time.time()  # by which the replica knows how long it waited
            response = self._method(stage, method).remote(*arguments, called_at)
            try:
                async for value in response:
                    yield value
            except BaseException:  # closed, cancelled or failed: the replica need not go on
                response.cancel()
                raise
        except FAILURES as error:
            raise translated(stage, error, self.retry_after_s) from error


async def _answers(handle: DeploymentHandle, timeout_s: float) -> bool:
    response = handle.stats.remote()
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
    """What Ray says, in words of ``deployments.errors``."""
    if isinstance(error, RayTaskError) and isinstance(error.cause, ParleyError):
        return error.cause
    if isinstance(error, BackPressureError):
        return Overloaded(
            f"Every place in the queue of the {stage} stage is taken. Try again in a moment.",
            retry_after_s=error.retry_after_s or retry_after_s,
        )
    logger.error("the %s stage failed", stage, exc_info=error)
    return EngineUnavailable(
        f"The {stage} stage stopped before it had answered. Its replica is being replaced; try again in a moment.",
        retry_after_s=retry_after_s,
    )
