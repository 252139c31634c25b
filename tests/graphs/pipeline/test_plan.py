"""Every kind of request has one way through the graph."""

from __future__ import annotations

from itertools import chain, combinations

import pytest

from graphs.pipeline.plan import TABLE, Plan, Stage, plan
from graphs.pipeline.turn import Input, Output

TEXT, SPEECH, IMAGE = Input.TEXT, Input.SPEECH, Input.IMAGE
SUBSETS = [frozenset(s) for s in chain.from_iterable(combinations(Input, n) for n in range(1, len(Input) + 1))]


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
def test_the_way_of_a_request(inputs: set[Input], output: Output, stages: str) -> None:
    assert str(plan(frozenset(inputs), output)) == stages


@pytest.mark.parametrize("output", Output)
@pytest.mark.parametrize("inputs", SUBSETS, ids=lambda s: "+".join(sorted(s)))
def test_every_mixture_has_exactly_one_row(inputs: frozenset[Input], output: Output) -> None:
    assert len([row for row in TABLE if row.fits(inputs, output)]) == 1


def test_nothing_has_no_way() -> None:
    with pytest.raises(LookupError):
        plan(frozenset(), Output.TEXT)


def test_pictures_are_answered_by_the_model_that_sees() -> None:
    assert Plan((Stage.ASR, Stage.VISION)).chat is Stage.VISION
    assert Plan((Stage.LLM, Stage.TTS)).chat is Stage.LLM
