"""Which stages a turn runs through: one pure function, the only place that decides it.

Knows neither deployments nor HTTP.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from deployments.errors import InvalidRequest
from graphs.pipeline.turn import Input, Output


class Stage(StrEnum):
    """A step of the graph; each is one deployment."""

    ASR = "asr"
    LLM = "llm"
    VISION = "vision"
    TTS = "tts"


@dataclass(frozen=True, slots=True)
class Plan:
    """The stages of one turn, in order."""

    stages: tuple[Stage, ...]

    @property
    def chat(self) -> Stage | None:
        """The stage that generates the answer, if the plan has one."""
        return next((stage for stage in self.stages if stage in (Stage.LLM, Stage.VISION)), None)

    def __contains__(self, stage: Stage) -> bool:
        return stage in self.stages

    def __str__(self) -> str:
        return ",".join(self.stages)


def plan(inputs: frozenset[Input], output: Output, model: Stage | None = None) -> Plan:
    """Return the plan for ``inputs`` and ``output``. ``model`` is the stage whose model the request names, if any.

    To name the model of ASR or TTS is to transcribe or to read aloud, without an answer. Otherwise speech is
    transcribed, the vision model answers if there are pictures or if it is named, and the voice speaks the answer.

    Raises ``InvalidRequest`` where no plan exists: no input, pictures for a model without vision, anything but speech
    to text for ASR, anything but text to voice for TTS.
    """
    if not inputs:
        raise InvalidRequest("The request has no input. Send text, audio or a picture.")
    if model is Stage.ASR or model is Stage.TTS:
        return _single(inputs, output, model)
    if model is Stage.LLM and Input.IMAGE in inputs:
        raise InvalidRequest("This model accepts no pictures. Name the vision model, or parley.", param="model")
    chat = Stage.VISION if Input.IMAGE in inputs or model is Stage.VISION else Stage.LLM
    before = (Stage.ASR,) if Input.SPEECH in inputs else ()
    after = (Stage.TTS,) if output is Output.VOICE else ()
    return Plan((*before, chat, *after))


_SINGLE = {Stage.ASR: (Input.SPEECH, Output.TEXT), Stage.TTS: (Input.TEXT, Output.VOICE)}


def _single(inputs: frozenset[Input], output: Output, model: Stage) -> Plan:
    takes, gives = _SINGLE[model]
    if inputs != {takes} or output is not gives:
        raise InvalidRequest(f"The {model} model converts {takes} to {gives} only.", param="model")
    return Plan((model,))


@dataclass(frozen=True, slots=True)
class Row:
    """One row of GET /graph: turns with all of ``needs``, and possibly ``may``, run through ``stages``."""

    needs: tuple[Input, ...]
    may: tuple[Input, ...]
    output: Output
    model: Stage | None
    stages: tuple[Stage, ...]


def rows() -> Iterator[Row]:
    """Yield the plans of all kinds of turns that name no chat model."""
    for needs in ((Input.TEXT,), (Input.SPEECH,), (Input.IMAGE,), (Input.IMAGE, Input.SPEECH)):
        may = () if Input.TEXT in needs else (Input.TEXT,)
        for output in Output:
            yield Row(needs, may, output, None, plan(frozenset(needs), output).stages)
    for model, (takes, gives) in _SINGLE.items():
        yield Row((takes,), (), gives, model, plan(frozenset({takes}), gives, model).stages)
