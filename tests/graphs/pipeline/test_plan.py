"""The plan of every kind of turn, the refusals, and the rows of GET /graph."""

from __future__ import annotations

from itertools import chain, combinations

import pytest

from deployments.errors import InvalidRequest
from graphs.pipeline.plan import Plan, Row, Stage, plan, rows
from graphs.pipeline.turn import Input, Output

TEXT, SPEECH, IMAGE = Input.TEXT, Input.SPEECH, Input.IMAGE
SUBSETS = [frozenset(s) for s in chain.from_iterable(combinations(Input, n) for n in range(1, len(Input) + 1))]
ROWS = list(rows())


def joined(inputs: frozenset[Input]) -> str:
    return "+".join(sorted(inputs))


def matches(row: Row, inputs: frozenset[Input], output: Output, model: Stage | None) -> bool:
    needs = frozenset(row.needs)
    return needs <= inputs <= needs | frozenset(row.may) and row.output is output and row.model is model


@pytest.mark.parametrize(
    ("inputs", "output", "stages"),
    [
        ({TEXT}, Output.TEXT, "llm"),
        ({TEXT}, Output.VOICE, "llm,tts"),
        ({SPEECH}, Output.TEXT, "asr,llm"),
        ({SPEECH, TEXT}, Output.TEXT, "asr,llm"),
        ({SPEECH}, Output.VOICE, "asr,llm,tts"),
        ({IMAGE, TEXT}, Output.TEXT, "vision"),
        ({IMAGE}, Output.VOICE, "vision,tts"),
        ({IMAGE, SPEECH}, Output.TEXT, "asr,vision"),
        ({IMAGE, SPEECH, TEXT}, Output.VOICE, "asr,vision,tts"),
    ],
)
def test_plans_a_turn_by_its_inputs_and_output(inputs: set[Input], output: Output, stages: str) -> None:
    assert str(plan(frozenset(inputs), output)) == stages


@pytest.mark.parametrize("output", Output)
@pytest.mark.parametrize(
    ("inputs", "model"),
    [(inputs, model) for inputs in SUBSETS for model in (None, Stage.VISION)]
    + [(inputs, Stage.LLM) for inputs in SUBSETS if IMAGE not in inputs],
    ids=lambda value: joined(value) if isinstance(value, frozenset) else str(value),
)
def test_every_chat_plan_follows_the_rules(inputs: frozenset[Input], output: Output, model: Stage | None) -> None:
    planned = plan(inputs, output, model)
    assert (Stage.ASR in planned) == (SPEECH in inputs)
    assert (Stage.VISION in planned) == (IMAGE in inputs or model is Stage.VISION)
    assert (Stage.LLM in planned) == (Stage.VISION not in planned)
    assert (Stage.TTS in planned) == (output is Output.VOICE)
    assert list(planned.stages) == sorted(planned.stages, key=list(Stage).index)


@pytest.mark.parametrize(
    ("inputs", "output", "stages"),
    [({TEXT}, Output.TEXT, "vision"), ({TEXT, SPEECH}, Output.VOICE, "asr,vision,tts")],
)
def test_the_vision_model_answers_without_a_picture_if_it_is_named(
    inputs: set[Input], output: Output, stages: str
) -> None:
    assert str(plan(frozenset(inputs), output, Stage.VISION)) == stages


def test_speech_to_text_is_the_asr_stage_alone() -> None:
    assert plan(frozenset({SPEECH}), Output.TEXT, Stage.ASR) == Plan((Stage.ASR,))


def test_text_to_voice_is_the_tts_stage_alone() -> None:
    assert plan(frozenset({TEXT}), Output.VOICE, Stage.TTS) == Plan((Stage.TTS,))


@pytest.mark.parametrize("output", Output)
@pytest.mark.parametrize("model", [None, *Stage], ids=str)
def test_refuses_a_turn_without_input(output: Output, model: Stage | None) -> None:
    with pytest.raises(InvalidRequest):
        plan(frozenset(), output, model)


@pytest.mark.parametrize("output", Output)
@pytest.mark.parametrize("inputs", [inputs for inputs in SUBSETS if IMAGE in inputs], ids=joined)
def test_refuses_pictures_for_the_text_model(inputs: frozenset[Input], output: Output) -> None:
    with pytest.raises(InvalidRequest, match="pictures") as caught:
        plan(inputs, output, Stage.LLM)
    assert caught.value.param == "model"


@pytest.mark.parametrize("output", Output)
@pytest.mark.parametrize("inputs", SUBSETS, ids=joined)
@pytest.mark.parametrize(
    ("model", "only"), [(Stage.ASR, ({SPEECH}, Output.TEXT)), (Stage.TTS, ({TEXT}, Output.VOICE))], ids=["asr", "tts"]
)
def test_refuses_all_but_one_conversion_for_a_named_asr_or_tts_model(
    inputs: frozenset[Input], output: Output, model: Stage, only: tuple[set[Input], Output]
) -> None:
    if (inputs, output) == only:
        assert plan(inputs, output, model) == Plan((model,))
        return
    with pytest.raises(InvalidRequest, match=f"{model} model") as caught:
        plan(inputs, output, model)
    assert caught.value.param == "model"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.model or joined(row.needs)} to {row.output}")
def test_all_inputs_that_a_row_allows_have_its_plan(row: Row) -> None:
    allowed = [inputs for inputs in SUBSETS if matches(row, inputs, row.output, row.model)]
    assert allowed
    assert {plan(inputs, row.output, row.model) for inputs in allowed} == {Plan(row.stages)}


@pytest.mark.parametrize("output", Output)
@pytest.mark.parametrize("inputs", SUBSETS, ids=joined)
def test_exactly_one_row_matches_each_turn_that_names_no_model(inputs: frozenset[Input], output: Output) -> None:
    assert len([row for row in ROWS if matches(row, inputs, output, None)]) == 1


def test_the_rows_with_a_model_are_transcription_and_speech() -> None:
    assert [(row.model, row.needs, row.may, row.output) for row in ROWS if row.model is not None] == [
        (Stage.ASR, (SPEECH,), (), Output.TEXT),
        (Stage.TTS, (TEXT,), (), Output.VOICE),
    ]


@pytest.mark.parametrize(
    ("stages", "chat"),
    [
        ((Stage.ASR, Stage.VISION), Stage.VISION),
        ((Stage.LLM, Stage.TTS), Stage.LLM),
        ((Stage.ASR,), None),
        ((Stage.TTS,), None),
    ],
    ids=str,
)
def test_the_chat_stage_is_the_one_that_generates_the_answer(stages: tuple[Stage, ...], chat: Stage | None) -> None:
    assert Plan(stages).chat is chat
