"""Which stages are ready. A stage is ready if its deployment answers a ping, or a call of it yielded a value lately.

A replica answers a ping only if its engine has computed something lately. All callers share a result, so that it costs
little and needs no API key.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from graphs.pipeline.plan import Stage
from graphs.pipeline.shared import Shared
from graphs.pipeline.stages import Handles


@dataclass(frozen=True, slots=True)
class Report:
    """``unresponsive`` has the names of the deployments that do not answer, ``refused`` the refusals of
    ``user_config`` by deployment."""

    unresponsive: tuple[str, ...]
    refused: Mapping[str, str]


class Health:
    """The state of all stages."""

    def __init__(self, handles: Handles) -> None:
        self._handles = handles
        self._shared = Shared[Report]()

    async def report(self, timeout_s: float, stage_timeout_s: float) -> Report:
        """Return the current state, at most ``CACHE_S`` of ``shared`` old. ``timeout_s`` is the time limit of one ping.

        While a queue is full, which refuses pings too, its stage is ready if one of its calls has yielded a value in
        ``stage_timeout_s``.
        """
        return await self._shared.get(lambda: self._check_all(timeout_s, stage_timeout_s))

    async def _check_all(self, timeout_s: float, stage_timeout_s: float) -> Report:
        refused: dict[str, str] = {}
        stages = list(self._handles)
        ready = await asyncio.gather(*(self._is_ready(stage, timeout_s, stage_timeout_s, refused) for stage in stages))
        names = [self._handles.name(stage) for stage in stages]
        return Report(tuple(name for name, is_ready in zip(names, ready, strict=True) if not is_ready), refused)

    async def _is_ready(self, stage: Stage, timeout_s: float, stage_timeout_s: float, refused: dict[str, str]) -> bool:
        activity = self._handles.activity[stage]
        pong = await self._handles.ping(stage, timeout_s, new_check=activity.stalled)
        if pong.refusal is not None:
            refused[self._handles.name(stage)] = pong.refusal
        if pong.answered:
            activity.stalled = False
        if activity.stalled:
            return False
        if pong.queue_full:
            return activity.unanswered_s() < stage_timeout_s
        return pong.answered or activity.answered_within(timeout_s)
