"""Who is called for what: the table of the graph as data, and the one pure function that reads it.

This is the only place that decides which stages a request walks through. It knows nothing of deployments or HTTP.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from graphs.pipeline.turn import Input, Output


class Stage(StrEnum):
    """A step of the graph; each is one deployment."""

    ASR = "asr"
    LLM = "llm"
    VISION = "vision"
    TTS = "tts"


@dataclass(frozen=True, slots=True)
class Plan:
    """The stages of one request, in order."""

    stages: tuple[Stage, ...]

    @property
    def chat(self) -> Stage:
        """The stage that thinks: the language model, or the one that also sees."""
        return Stage.VISION if Stage.VISION in self.stages else Stage.LLM

    def thought_by(self, stage: Stage) -> Plan:
        """The same way, with ``stage`` to think."""
        return Plan(tuple(stage if each is self.chat else each for each in self.stages))

    def __contains__(self, stage: Stage) -> bool:
        return stage in self.stages

    def __str__(self) -> str:
        return ",".join(self.stages)


@dataclass(frozen=True, slots=True)
class Row:
    """``needs`` must all have come in; ``may`` can come along without changing the way."""

    needs: frozenset[Input]
    may: frozenset[Input]
    output: Output
    plan: Plan

    def fits(self, inputs: frozenset[Input], output: Output) -> bool:
        return output is self.output and self.needs <= inputs <= self.needs | self.may


def _row(needs: set[Input], may: set[Input], output: Output, *stages: Stage) -> Row:
    return Row(frozenset(needs), frozenset(may), output, Plan(stages))


TABLE: tuple[Row, ...] = (
    _row({Input.TEXT}, set(), Output.TEXT, Stage.LLM),
    _row({Input.TEXT}, set(), Output.VOICE, Stage.LLM, Stage.TTS),
    _row({Input.SPEECH}, {Input.TEXT}, Output.TEXT, Stage.ASR, Stage.LLM),
    _row({Input.SPEECH}, {Input.TEXT}, Output.VOICE, Stage.ASR, Stage.LLM, Stage.TTS),
    _row({Input.IMAGE}, {Input.TEXT}, Output.TEXT, Stage.VISION),
    _row({Input.IMAGE}, {Input.TEXT}, Output.VOICE, Stage.VISION, Stage.TTS),
    _row({Input.IMAGE, Input.SPEECH}, {Input.TEXT}, Output.TEXT, Stage.ASR, Stage.VISION),
    _row({Input.IMAGE, Input.SPEECH}, {Input.TEXT}, Output.VOICE, Stage.ASR, Stage.VISION, Stage.TTS),
)


def plan(inputs: frozenset[Input], output: Output) -> Plan:
    """The way of a request. Raises ``LookupError`` for nothing at all, the only case without a row."""
    for row in TABLE:
        if row.fits(inputs, output):
            return row.plan
    raise LookupError(f"no way from {sorted(inputs)} to {output}")
