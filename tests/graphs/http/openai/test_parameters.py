"""Parameters of OpenAI's API that Parley does not support, ignores, or accepts in two forms."""

from __future__ import annotations

from typing import Any

import pytest

from deployments.errors import InvalidRequest
from graphs.http.body import RequestModel, validated
from graphs.http.openai.parameters import Ignored, Unsupported, VoiceName


class Parameters(RequestModel):
    tools: Unsupported = None
    metadata: Ignored = None
    voice: VoiceName = None


@pytest.mark.parametrize("value", [None, False, 0, 0.0, [], {}, "none", "auto"])
def test_accepts_an_unsupported_parameter_that_is_empty(value: Any) -> None:
    assert validated(Parameters, {"tools": value}).tools is None


@pytest.mark.parametrize("value", [True, 1, [{}], {"a": 1}, "required", ""])
def test_rejects_an_unsupported_parameter_by_its_name(value: Any) -> None:
    with pytest.raises(InvalidRequest, match="'tools' is not supported") as caught:
        validated(Parameters, {"tools": value})
    assert caught.value.param == "tools"


@pytest.mark.parametrize("value", [None, True, 5, "text", ["a"], {"a": [1]}])
def test_accepts_any_value_of_an_ignored_parameter(value: Any) -> None:
    validated(Parameters, {"metadata": value})


@pytest.mark.parametrize("value", ["nova", {"id": "nova"}])
def test_reads_the_name_of_a_voice_in_both_forms(value: Any) -> None:
    assert validated(Parameters, {"voice": value}).voice == "nova"


def test_the_default_voice_has_no_name() -> None:
    assert validated(Parameters, {}).voice is None
    assert validated(Parameters, {"voice": None}).voice is None


@pytest.mark.parametrize("value", [5, [], {}, {"id": 5}, {"id": "nova", "x": 1}, "x" * 201, "\ud800"])
def test_rejects_any_other_voice(value: Any) -> None:
    with pytest.raises(InvalidRequest) as caught:
        validated(Parameters, {"voice": value})
    assert caught.value.param == "voice"
